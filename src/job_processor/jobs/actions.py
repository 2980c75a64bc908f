"""What is done to jobs by hand: kill, retry, delete; one way each, for one job and for many."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from bson import ObjectId

from job_processor.errors import (
    InvalidArgumentError,
    JobConflictError,
    JobNotFoundError,
    JobProcessorError,
    JobStateError,
)
from job_processor.events import Event, EventKind
from job_processor.handlers.rates import Rate
from job_processor.jobs.after import bring_back
from job_processor.jobs.selection import query_of
from job_processor.models import CronTask, Job, JobStatus, object_id
from job_processor.parts import Parts
from job_processor.redaction import Redaction, without
from job_processor.settings import KILL_LOOKS, check_name
from job_processor.store import Store
from job_processor.store.owners import KIND, Owner
from job_processor.store.requests import JobQuery

if TYPE_CHECKING:  # imported where it is needed
    from job_processor.jobs.spread import Spread


@dataclass(frozen=True, slots=True)
class Did:
    """What became of an action on one job."""

    job: Job | None = None
    """As it then stands; None where it is gone, or the action was refused."""
    refusal: JobProcessorError | None = None
    """Why nothing was done."""

    def result(self) -> Job:
        """Return the job; raise why nothing was done, where there is none to return."""
        if self.job is not None:
            return self.job
        assert self.refusal is not None  # noqa: S101  # one of the two is there
        raise self.refusal


async def kill(parts: Parts, job_ids: Sequence[ObjectId]) -> list[Did]:
    """Kill those that wait, ask the workers of those that run; a settled one stays."""
    return [await _kill(parts, job_id) for job_id in job_ids]


async def retry(
    parts: Parts,
    job_ids: Sequence[ObjectId],
    *,
    from_beginning: bool = False,
    from_step: str | None = None,
    descendants: bool = False,
    spread: Spread | None = None,
) -> list[Did]:
    """Send settled ones round again, now, with all their attempts.

    They go on after the steps that they have done, unless they finished or are to begin
    `from_beginning`; or after those before `from_step`. Raises InvalidArgumentError for both.

    What was asked of the run that has ended is done with; what is asked from then on holds, and a
    kill that comes in between wins: the job is then returned as killed.

    descendants: what was skipped because one of them had failed waits for it again.
    spread: when each of them is due; None: now.
    """
    if from_step is not None:
        check_name("from_step", from_step)
        if from_beginning:
            allowed = "allowed is one of the two: from_step, or from_beginning"
            raise InvalidArgumentError("from_step", from_step, allowed)
    await parts.store.kills.acknowledge(job_ids)
    did = [await _requeue(parts, job_id, from_beginning, from_step, spread) for job_id in job_ids]
    waiting = [each.job for each in did if each.job is not None]
    parts.events.tell_stored(waiting)
    if descendants:
        await bring_back(parts, [job.id for job in waiting])
    late = await obey_kills(parts, [job.id for job in waiting])
    killed = {job.id: job for job in late}
    return [Did(killed.get(each.job.id, each.job)) if each.job else each for each in did]


async def delete(parts: Parts, job_ids: Sequence[ObjectId]) -> list[Did]:
    """Remove those that do not run, for good, and what was asked of them."""
    store = parts.store
    await _cancel_standing(store, job_ids)
    gone = await store.history.delete(job_ids)
    await store.kills.acknowledge(gone)
    left = [job_id for job_id in job_ids if job_id not in gone]
    there = {job.id for job in await store.history.get_many(left)} if left else set()
    return [_deleted(job_id, gone, there) for job_id in job_ids]


async def _kill(parts: Parts, job_id: ObjectId) -> Did:
    before = await parts.store.history.get(job_id)
    if before is None:
        return Did(refusal=JobNotFoundError(job_id))
    if before.settled:
        return Did(before, JobStateError(f"job {job_id} is {before.status} already"))
    try:
        job = await _kill_unsettled(parts, job_id)
    except JobNotFoundError as error:
        return Did(refusal=error)
    if isinstance(job, CronTask) and job.status is JobStatus.KILLED:
        await _cancel_standing(parts.store, [job_id])
    return Did(job)


async def _requeue(
    parts: Parts,
    job_id: ObjectId,
    from_beginning: bool,
    from_step: str | None,
    spread: Spread | None,
) -> Did:
    now, history = parts.clock.now(), parts.store.history
    at = now if spread is None else spread.next(now)
    if at is None:
        return Did(refusal=JobStateError(f"job {job_id} would be due too late at this rate"))
    try:
        waiting = await history.requeue(
            job_id, now, from_beginning=from_beginning, from_step=from_step, at=at
        )
    except JobConflictError as error:
        return Did(refusal=error)
    if waiting is not None:
        if spread is not None:
            spread.take()
        return Did(waiting)
    found = await parts.store.history.get(job_id)
    if found is None:
        return Did(refusal=JobNotFoundError(job_id))
    if found.settled and from_step is not None:
        return Did(refusal=InvalidArgumentError("from_step", from_step, _steps_of(found)))
    text = f"job {job_id} is {found.status}; only a job that has ended can be retried"
    return Did(refusal=JobStateError(text))


def _steps_of(job: Job) -> str:
    """Return from which steps a job may go on."""
    secrets = Redaction().secrets(getattr(job, "payload", None))
    names = [repr(without(step.name, secrets)) for step in job.steps]
    if not names:
        return f"job {job.id} has done no step; leave it out"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"allowed are the steps of job {job.id}: {', '.join(names[:_NAMED])}{more}"


def _deleted(job_id: ObjectId, gone: set[ObjectId], there: set[ObjectId]) -> Did:
    if job_id in gone:
        gone.remove(job_id)  # one that is named twice is deleted once
        return Did()
    if job_id in there:
        text = f"job {job_id} is running; kill it before you delete it"
        return Did(refusal=JobStateError(text))
    return Did(refusal=JobNotFoundError(job_id))


_NAMED = 20  # steps in an error

_TRIES = 5
"""Of a write that others are faster with: each of them has then written what is looked at next."""


async def _cancel_standing(store: Store, job_ids: Collection[ObjectId]) -> None:
    """Keep that those of these that stand where a pointer is are not made again.

    Others never are. Once their record is gone, nothing else would tell.
    """
    for cron in await store.crons.standing_at(job_ids):
        for _ in range(_TRIES):
            setting = (await store.settings.all(KIND)).get(cron.name)
            if setting is None:  # another scheduler's
                break
            cancelled = replace(Owner.from_setting(setting), cancelled=cron.scheduled_for)
            if await store.settings.put(KIND, cron.name, cancelled.as_setting(), setting):
                break


_PAUSE = 0.005  # seconds after the first look at a job that moved away; it doubles


async def _kill_unsettled(parts: Parts, job_id: ObjectId) -> Job:
    """Kill a waiting job at once, ask the worker of a running one; return it as it then stands.

    It is read again after the request was left, and everything repeated if it moved meanwhile; one
    that goes on moving is left to its request. A settled job stays as it ended. Raises
    JobNotFoundError.
    """
    store, clock = parts.store, parts.clock
    asked: ObjectId | None = None
    for look in itertools.count():
        job = await store.history.get(job_id)
        if job is None or job.settled:
            if asked is not None:
                await store.kills.acknowledge([job_id])
            if job is None:
                raise JobNotFoundError(job_id)
            return job
        held = job.status is JobStatus.RUNNING and job.worker_id is not None
        if held and job.worker_id == asked:
            return job
        if held or look == KILL_LOOKS:
            asked = job.worker_id or job_id
            await store.kills.request(job_id, asked, clock.now())
            if look >= KILL_LOOKS:
                return job
            continue
        killed = await store.kills.kill_waiting(job_id, clock.now())
        if killed is not None:
            await store.kills.acknowledge([job_id])
            _tell(parts, [killed])
            return killed
        await asyncio.sleep(_PAUSE * 2**look)
    raise AssertionError("counting ends")


async def obey_kills(parts: Parts, job_ids: Collection[ObjectId]) -> list[Job]:
    """Kill those of these jobs that wait although somebody asked to kill them; return them.

    For whoever let them wait: the request may have come before that write.
    """
    store = parts.store
    asked = await store.kills.requested(job_ids)
    if not asked:
        return []
    found = [await store.kills.kill_waiting(job_id, parts.clock.now()) for job_id in asked]
    killed = [job for job in found if job is not None]
    await store.kills.acknowledge(asked)
    _tell(parts, killed)
    return killed


def _tell(parts: Parts, killed: list[Job]) -> None:
    if parts.events.listeners.all:
        for job in killed:
            parts.events.emit(Event(EventKind.KILLED, None, job))


Action: TypeAlias = Literal["retry", "kill", "delete"]
_STEP = 500


Reason: TypeAlias = Literal["ended", "active", "running", "gone", "exclusive", "other"]
"""Why nothing was done to a job: it has ended already (kill), has not (retry), runs (delete), is
gone, or would be the second active one of an exclusive name."""

_REFUSED: Mapping[Action, Reason] = {"kill": "ended", "retry": "active", "delete": "running"}


@dataclass(frozen=True, slots=True)
class Acted:
    """The result of an action on many jobs, in counts."""

    done: int
    """Jobs that were retried, killed or deleted."""
    left: int
    """Jobs that were left as they are, because their state does not allow the action."""
    why: Mapping[Reason, int] = field(default_factory=dict, compare=False)
    """The number of jobs left for each reason."""


Do: TypeAlias = Callable[[Parts, Sequence[ObjectId]], Awaitable[list[Did]]]

_DOING: Mapping[str, Do] = {
    "retry": retry,
    "kill": kill,
    "delete": delete,
}


async def act(
    parts: Parts,
    action: Action,
    job_ids: Iterable[ObjectId | str] | None,
    selection: dict[str, Any],
    on_progress: Callable[[int], object] | None,
    *,
    from_beginning: bool = False,
    from_step: str | None = None,
    descendants: bool = False,
    rate: Rate | str | None = None,
) -> Acted:
    """Do one thing to many jobs: to those of `job_ids`, or to those of a selection.

    Raises InvalidArgumentError for another action, for both or none of the two, and for
    `from_beginning`, `from_step`, `descendants` and `rate` with another action than `retry`.
    """
    if action not in _DOING:
        allowed = "allowed are 'retry', 'kill' and 'delete'"
        raise InvalidArgumentError("action", action, allowed)
    if (job_ids is None) == (not selection):
        allowed = "allowed is one of the two: job_ids, or what find_jobs takes"
        raise InvalidArgumentError("job_ids", job_ids, allowed)
    options: dict[str, Any] = {
        "from_beginning": from_beginning or None,
        "from_step": from_step,
        "descendants": descendants or None,
        "rate": rate,
    }
    given = {name: value for name, value in options.items() if value is not None}
    for name, value in given.items():
        if action != "retry":
            raise InvalidArgumentError(name, value, "allowed is it with the action 'retry' alone")
    if "rate" in given:
        from job_processor.jobs.spread import Spread  # noqa: PLC0415  # who schedules needs none

        given["spread"] = Spread.by(given.pop("rate"))
    do = partial(_DOING[action], **given)
    acting = _Acting(parts, action, do, on_progress)
    if job_ids is not None:
        return await acting.on([object_id(each, "job_ids") for each in job_ids])
    query = query_of(parts.registry, **selection)
    with parts.searches.one(query):
        return await acting.on_all(query)


class _Acting:
    """Does one action to jobs, a step of them at a time."""

    def __init__(
        self, parts: Parts, action: Action, do: Do, on_progress: Callable[[int], object] | None
    ) -> None:
        self._parts = parts
        self._action = action
        self._store = parts.store
        self._do = do
        self._on_progress = on_progress

    async def on(self, job_ids: Sequence[ObjectId]) -> Acted:
        """Do it to these."""
        acted = Acted(0, 0)
        for start in range(0, len(job_ids), _STEP):
            acted = self._sum(acted, await self._step(job_ids[start : start + _STEP]))
        return acted

    async def _step(self, job_ids: Sequence[ObjectId]) -> Acted:
        did = await self._do(self._parts, job_ids)
        refused = [each.refusal for each in did if each.refusal is not None]
        why = Counter(_reason(self._action, each) for each in refused)
        return Acted(len(did) - len(refused), len(refused), why)

    async def on_all(self, query: JobQuery) -> Acted:
        """Do it to all of a selection, the newest first, as it was when this began."""
        acted, step, history = Acted(0, 0), replace(query, limit=_STEP), self._store.history
        while True:
            jobs = await history.summaries(step)
            if jobs:
                acted = self._sum(acted, await self._step([job.id for job in jobs]))
                step = replace(step, after=jobs[-1].id)
            elif step.looks_through and (last := await history.reach(step)):
                step = replace(step, after=last)
            else:
                return acted

    def _sum(self, before: Acted, more: Acted) -> Acted:
        """Return both together, and tell how far that is."""
        why = Counter(before.why) + Counter(more.why)
        acted = Acted(before.done + more.done, before.left + more.left, why)
        if self._on_progress is not None:
            self._on_progress(acted.done + acted.left)
        return acted


def _reason(action: Action, refusal: JobProcessorError) -> Reason:
    if isinstance(refusal, JobNotFoundError):
        return "gone"
    if isinstance(refusal, JobConflictError):
        return "exclusive"
    return _REFUSED[action] if isinstance(refusal, JobStateError) else "other"
