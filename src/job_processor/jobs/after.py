"""What a job comes after: from what callers write to tags, and what has become of each of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeAlias, get_args, runtime_checkable

from bson import ObjectId

from job_processor.errors import InvalidArgumentError, JobNotFoundError, Unshown
from job_processor.models import (
    FOR_A_PARENT,
    BaseJob,
    Cron,
    Job,
    JobStatus,
    OnParentFailure,
    RelatedJob,
    SimpleJob,
)
from job_processor.parts import Parts
from job_processor.store.waits import (
    RELEASED_AT_ONCE,
    End,
    end_of,
    is_skipped,
    job_of,
    job_tag,
    skipped_output,
    stays,
    without,
)

PARENTS_MAX = 100
"""What one job may come after: each is a value in its document. A group stands for any number."""

CHILDREN_MAX = 1000
"""Jobs that come after another, of one list."""
NOT_YET = timedelta(minutes=10)
"""How long a job that is waited for may take to be stored."""

_ALLOWED = (
    "allowed are a job as schedule_job returns it, the id of a job or cron task, a group, and a "
    "list of these: after=[extract]"
)
_NOT_YET = "it is not stored yet; schedule it first: first = await {}; … after=[first]"


@runtime_checkable
class Parent(Protocol):
    """What a job may come after besides a job: a group."""

    @property
    def after_tag(self) -> str:
        """Its tag."""


After: TypeAlias = BaseJob | ObjectId | str | Parent
"""One thing that a job may come after."""

Parents: TypeAlias = After | Iterable[After] | None
"""All that it comes after."""


def tags_of(after: object) -> tuple[str, ...]:
    """Return the tags of what a job is to come after, each once; raises InvalidArgumentError."""
    if after is None:
        return ()
    if _is_one(after):
        return (_tag(after, "after"),)
    if isinstance(after, Mapping | bytes) or not isinstance(after, Iterable):
        raise InvalidArgumentError("after", Unshown(after), _meant(after))
    tags = tuple(dict.fromkeys(_tag(each, f"after[{n}]") for n, each in enumerate(after)))
    if len(tags) > PARENTS_MAX:
        allowed = (
            f"allowed are at most {PARENTS_MAX} for one job; put them into a group and let it come "
            "after that: after=[group]"
        )
        raise InvalidArgumentError("after", f"{len(tags)} jobs", allowed)
    return tags


def check_rule(rule: object, tags: Sequence[str], *, given: bool) -> OnParentFailure | None:
    """Return what is stored of `on_parent_failure`; raises InvalidArgumentError."""
    if rule is None:
        return None
    if rule not in get_args(OnParentFailure):
        allowed = "allowed are 'skip' (the default), 'run' and 'wait'"
        raise InvalidArgumentError("on_parent_failure", rule, allowed)
    if not given:
        allowed = "it is about a failure of a job in `after`; give after=[…], too"
        raise InvalidArgumentError("on_parent_failure", rule, allowed)
    if rule == "skip" or not tags:
        return None
    return rule  # type: ignore[return-value]  # it is one of them


def waiting(job: SimpleJob, after: object, rule: object) -> SimpleJob:
    """Return a new job as one that waits for all that it comes after."""
    tags = tags_of(after)
    failing = check_rule(rule, tags, given=after is not None)
    if not tags:
        return job
    return replace(
        job, after=tags, waiting_for=tags, parked=FOR_A_PARENT, on_parent_failure=failing
    )


# --- what has become of each -------------------------------------------------------------------

Standings: TypeAlias = Mapping[str, End | None]
"""The end of each; None: it has not ended."""

Look: TypeAlias = Callable[[Parts, Sequence[str], Any], Awaitable[Standings]]
"""Marks what has these tags as followed, then looks what has ended; one that is not there is gone.

With a session, in the caller's transaction."""


async def _look_at_jobs(parts: Parts, tags: Sequence[str], session: Any) -> Standings:
    waits = parts.store.waits
    ids = {job_id: tag for tag in tags if (job_id := job_of(tag)) is not None}
    states: Mapping[ObjectId, JobStatus]
    if session is None:
        states = await waits.follow(list(ids))
    else:
        states = await waits.follow_in(session, list(ids))
    return {tag: end_of(job_id, states.get(job_id)) for job_id, tag in ids.items()}


async def _look_at_groups(parts: Parts, tags: Sequence[str], session: Any) -> Standings:
    """Nothing is marked: each end of a group looks who waits for it, after it was written."""
    del session  # a group is in no transaction
    ids = {ObjectId(hex_id): tag for tag in tags if ObjectId.is_valid(hex_id := tag[2:])}
    found = {record.id: record for record in await parts.store.groups.get_many(ids)}
    standings: dict[str, End | None] = {}
    for group_id, tag in ids.items():
        record = found.get(group_id)
        if record is None:
            told = f"group {group_id} is gone"
            standings[tag] = End(tag, well=False, told=told, gone=True)
        else:
            standings[tag] = None if record.completed_at is None else record.end
    return standings


LOOKS: dict[str, Look] = {"j": _look_at_jobs, "g": _look_at_groups}
"""By the letter before the colon of a tag."""


async def look(parts: Parts, tags: Iterable[str], session: Any = None) -> dict[str, End | None]:
    """Return what has become of what has these tags; of a kind nobody knows here, nothing."""
    kinds: dict[str, list[str]] = {}
    for tag in tags:
        kinds.setdefault(tag.partition(":")[0], []).append(tag)
    standings: dict[str, End | None] = {}
    for kind, of_kind in kinds.items():
        if kind in LOOKS:
            standings |= await LOOKS[kind](parts, of_kind, session)
    return standings


async def attach(
    parts: Parts, jobs: Sequence[SimpleJob], session: Any = None, made: Collection[str] = ()
) -> list[SimpleJob]:
    """Mark what new jobs come after, and return them as they are to be stored.

    What has ended already is waited for no more, and a failure of it skips them. made: the tags of
    what is stored with them, marked as followed already. Raises InvalidArgumentError for what is
    not there.
    """
    tags = dict.fromkeys(tag for job in jobs for tag in job.after if tag not in made)
    if not tags:
        return list(jobs)
    standings = await look(parts, tags, session)
    for tag, end in standings.items():
        if end is not None and end.gone:
            raise _unknown(parts, tag)
    now = parts.clock.now()
    return [_as_it_stands(job, standings, now) if job.after else job for job in jobs]


async def look_again(parts: Parts, jobs: Iterable[Job]) -> None:
    """Release those of these jobs that are stored by now and whose parents ended meanwhile."""
    tags = dict.fromkeys(tag for job in jobs if job.parked == FOR_A_PARENT for tag in job.after)
    if tags:
        await release_ended(parts, tags)


async def release_ended(parts: Parts, tags: Iterable[str]) -> int:
    """Release whoever waits for those of these that have ended; return how many have moved.

    A job that is not there may still come, where its id was made a short while ago: what comes
    after it is stored before it (see `jobs.flows`).
    """
    moved, left, recently = 0, list(tags), parts.clock.now() - NOT_YET
    while left:
        some, left = left[:RELEASED_AT_ONCE], left[RELEASED_AT_ONCE:]
        over = [end for end in (await look(parts, some)).values() if end is not None]
        ends = [end for end in over if not (end.gone and _is_made_after(end.tag, recently))]
        moved += await parts.store.waits.release(ends) if ends else 0
    return moved


async def bring_back(parts: Parts, job_ids: Iterable[ObjectId]) -> None:
    """Let those wait again that were skipped because of these, and those after them in turn."""
    waits, now = parts.store.waits, parts.clock.now()
    todo, tags = [job_tag(job_id) for job_id in job_ids], dict[str, None]()
    while todo:
        back = await waits.bring_back(todo[-1], now, RELEASED_AT_ONCE)
        if not back:
            todo.pop()
        for after in back.values():
            tags |= dict.fromkeys(after)
        todo += map(job_tag, back)
    await release_ended(parts, tags)  # others of theirs may have ended meanwhile


def _is_made_after(tag: str, moment: datetime) -> bool:
    job_id = job_of(tag)
    return job_id is not None and job_id.generation_time > moment


def _as_it_stands(job: SimpleJob, standings: Standings, now: datetime) -> SimpleJob:
    """Return a new job without what has ended; skipped where that is what follows from it."""
    over = [end for tag in job.after if (end := standings.get(tag)) is not None]
    rule = job.on_parent_failure
    culprit = next((end for end in over if is_skipped(rule, end)), None)
    if culprit is not None:
        return replace(
            job,
            status=JobStatus.SKIPPED,
            ended_at=now,
            output=skipped_output(culprit, now),
            parked=None,
            waiting_for=(culprit.tag,),
            unique_until=None,  # what does not run holds no key
        )
    left = without(job.waiting_for, [end.tag for end in over if not stays(rule, end)])
    return replace(job, waiting_for=left, parked=job.parked if left else None)


# --- who comes before and after ------------------------------------------------------------------


async def parents_of(parts: Parts, job_id: ObjectId) -> list[RelatedJob]:
    """Return how the jobs stand that a job comes after; raises JobNotFoundError."""
    job = await parts.store.history.get(job_id)
    if job is None:
        raise JobNotFoundError(job_id)
    return await _in_order(parts, job.parents)


async def children_of(parts: Parts, job_id: ObjectId, limit: int) -> list[RelatedJob]:
    """Return how the jobs stand that come after a job, the oldest first."""
    whole = isinstance(limit, int) and not isinstance(limit, bool)
    if not whole or not 1 <= limit <= CHILDREN_MAX:
        allowed = f"allowed is a whole number from 1 to {CHILDREN_MAX}"
        raise InvalidArgumentError("limit", limit, allowed)
    children = await parts.store.waits.followers(job_tag(job_id), limit)
    return await _in_order(parts, children)


async def _in_order(parts: Parts, job_ids: Sequence[ObjectId]) -> list[RelatedJob]:
    found = {each.id: each for each in await parts.store.waits.parents(job_ids)}
    return [found[job_id] for job_id in job_ids if job_id in found]


# --- what callers write -------------------------------------------------------------------------


def _is_one(value: object) -> bool:
    return isinstance(value, (BaseJob, ObjectId, str, Parent))


def _tag(value: object, argument: str) -> str:
    if isinstance(value, BaseJob):
        return job_tag(value.id)
    if isinstance(value, ObjectId):
        return job_tag(value)
    if isinstance(value, str):
        if ObjectId.is_valid(value):
            return job_tag(ObjectId(value))
        raise InvalidArgumentError(argument, value, f"it is no id; {_ALLOWED}")
    if isinstance(value, Parent):
        return value.after_tag
    raise InvalidArgumentError(argument, Unshown(value), _meant(value))


def _meant(value: object) -> str:
    """Return the line that is meant by what no job can come after."""
    if isinstance(value, Awaitable):
        return "it was not awaited; write first = await …, then after=[first]"
    if hasattr(value, "schedule"):  # a handle
        return _NOT_YET.format(f"{getattr(value, 'name', 'job')}.schedule(…)")
    if isinstance(value, Cron):
        return "a cron never ends; give the id of one of its occurrences"
    if type(value).__name__ == "JobRequest":
        return _NOT_YET.format("processor.schedule_job(…)")
    return _ALLOWED


def _unknown(parts: Parts, tag: str) -> InvalidArgumentError:
    job_id = job_of(tag)
    allowed = (
        f"nothing of this id is in this database ({parts.store.address}); a job comes after those "
        "of its own database alone, and what history has removed is not there any more"
    )
    return InvalidArgumentError("after", tag if job_id is None else str(job_id), allowed)
