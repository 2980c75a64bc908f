"""Flows: jobs that come after each other, written down first and stored together.

A flow is spelling: what it stores are jobs, each with what it comes after and the id of the flow.
They are stored from the last to the first, so that nothing begins before all that follows is there;
of a start that broke off half way, what is stored finds what it comes after gone, and is skipped.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from bson import ObjectId

from job_processor.errors import FlowNotFoundError, InvalidArgumentError, JobStateError, Unshown
from job_processor.handlers.flows import FlowWork
from job_processor.jobs import actions
from job_processor.jobs.actions import Acted
from job_processor.jobs.after import attach, look_again
from job_processor.jobs.groups import member_request, new_group
from job_processor.jobs.intake import insert_in, insert_or_skip, new_job
from job_processor.jobs.portal import wait_in
from job_processor.jobs.request import JobRequest, request_of
from job_processor.models import (
    ACTIVE,
    FAILED,
    Job,
    JobStatus,
    OnConflict,
    OnParentFailure,
    SimpleJob,
)
from job_processor.parts import Parts
from job_processor.settings import SCHEDULE_BATCH, check_name
from job_processor.store.requests import JobQuery
from job_processor.store.waits import job_tag, jobs_of

if TYPE_CHECKING:  # what editors know of handles
    from job_processor.jobs.handle import JobHandle, PartOptions
    from job_processor.models import TypedJob

R = TypeVar("R")
T = TypeVar("T")

GROUPED = 100
"""Jobs of one `add_many` up to which others wait for each of them; more are a group."""

_PASSES = 10
"""Looks for what a flow that is being killed has added meanwhile."""


class GroupedJobs(Sequence[SimpleJob]):
    """Jobs that were added together, so many that they are a group: others come after that."""

    __slots__ = ("_jobs", "group_id")

    def __init__(self, group_id: ObjectId, jobs: Sequence[SimpleJob]) -> None:
        self.group_id = group_id
        self._jobs = jobs

    @property
    def after_tag(self) -> str:
        """The tag of the group."""
        return _group_tag(self.group_id)

    def __len__(self) -> int:
        return len(self._jobs)

    @overload
    def __getitem__(self, index: int) -> SimpleJob: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[SimpleJob]: ...

    def __getitem__(self, index: int | slice) -> SimpleJob | Sequence[SimpleJob]:
        return self._jobs[index]


class Flow:
    """Jobs that come after each other, to be stored together: `flow = processor.flow("import")`.

    name: what it is called where it is shown; many flows may have the same.
    """

    _started = _in_session = False

    def __init__(
        self, parts: Callable[[], Parts], name: str, flow_id: ObjectId | None = None
    ) -> None:
        check_name("name", name)
        self.id = flow_id or ObjectId()
        """What `find_jobs(flow=…)`, `kill_flow` and `retry_flow` take."""
        self.name = name
        self._parts = parts
        self._added: list[SimpleJob] = []
        self._groups: dict[ObjectId, int] = {}
        """Each with the position of its first job."""

    def __repr__(self) -> str:
        return f"<flow {self.name!r} ({self.id}) of {len(self._added)} jobs>"

    @property
    def jobs(self) -> tuple[SimpleJob, ...]:
        """What was added so far, in that order; as it is stored, once it has started."""
        return tuple(self._added)

    def __del__(self) -> None:
        if self._started or not vars(self).get("_added"):
            return
        told = f"flow {self.name!r} was never started; write await flow.start()"
        warnings.warn(told, RuntimeWarning, stacklevel=2, source=self)

    @overload
    def add(
        self, job: JobHandle[..., R], payload: Any = None, **options: Unpack[PartOptions]
    ) -> TypedJob[R]: ...

    @overload
    def add(
        self, job: str | JobRequest, payload: Any = None, **options: Unpack[PartOptions]
    ) -> SimpleJob: ...

    def add(self, job: Any, payload: Any = None, **options: Any) -> SimpleJob:
        """Add a job; return it as it will be stored, for the `after` of others.

        job: its name, its handle, or a whole `JobRequest`: `load.request(part=7)`. options: the
            others of `schedule_job`, but `session`. `after` takes what was added before, so no
            cycle can be written, and jobs that are stored already.

        Raises what `schedule_job` does, at once, and JobStateError once the flow has started.
        """
        return self._add(member_request(job, payload, options, "flow.add"))

    @overload
    def add_many(
        self, job: JobHandle[..., R], payloads: Iterable[Any], **options: Unpack[PartOptions]
    ) -> Sequence[TypedJob[R]]: ...

    @overload
    def add_many(
        self, job: str, payloads: Iterable[Any], **options: Unpack[PartOptions]
    ) -> Sequence[SimpleJob]: ...

    def add_many(self, job: Any, payloads: Iterable[Any], **options: Any) -> Sequence[SimpleJob]:
        """Add a job for each payload; return them: another one comes after all by `after=parts`.

        More than 100 are a group, which others wait for as one.
        """
        if isinstance(payloads, Mapping | str | bytes) or not isinstance(payloads, Iterable):
            allowed = "allowed is an iterable of payloads: write [payload] for a single one"
            raise InvalidArgumentError("payloads", Unshown(payloads), allowed)
        requests = [
            member_request(job, payload, dict(options), "flow.add_many") for payload in payloads
        ]
        if len(requests) <= GROUPED:
            return [self._add(request) for request in requests]
        group_id = ObjectId()
        self._groups[group_id] = len(self._added)
        return GroupedJobs(group_id, [self._add(request, group_id) for request in requests])

    async def start(self, *, session: Any = None) -> list[SimpleJob]:
        """Store all of it; return the jobs as they are stored, in the order of their adding.

        Nothing begins before all that comes after it is stored. session: of a transaction, as in
        `schedule_job`; then all of it is there, or nothing.

        After a StoreError it may be called again, and stores what is missing; where it is not, what
        is stored by then is skipped. Raises InvalidArgumentError for a parent that is not there,
        and JobStateError when it has started.
        """
        parts = self._parts()
        if not self._in_session or session is None:
            self._check_open()
        jobs = await attach(parts, self._followed(), session, self._own_tags())
        if session is None:
            jobs = await self._store(parts, jobs)
        else:
            self._check_groups(session)
            self._in_session = True  # which may be repeated
            await insert_in(parts, session, jobs)
        self._started, self._added = True, jobs
        if parts.events.listeners.all:
            parts.events.tell_stored(jobs)
        if parts.onlooker is not None:
            await parts.onlooker.scheduled(parts, {job.name for job in jobs})
        return jobs

    async def _store(self, parts: Parts, jobs: Sequence[SimpleJob]) -> list[SimpleJob]:
        """Store a flow from its end on, then look whether anything has ended meanwhile.

        A group is sealed as soon as its jobs are there, before what they come after is: so a
        process that dies leaves none open behind jobs that run.
        """
        for group_id in self._groups:
            if await parts.store.groups.get(group_id) is None:
                await parts.store.groups.open(replace(new_group(parts, None, None), id=group_id))
        rules: dict[ObjectId, OnConflict] = {job.id: "skip" for job in jobs if job.unique_key}
        stored: list[Any] = []
        for end in range(len(jobs), 0, -SCHEDULE_BATCH):
            start = max(0, end - SCHEDULE_BATCH)
            chunk = jobs[start:end]
            stored += await insert_or_skip(parts.store, chunk[::-1], parts.clock, rules)
            for group_id, first in self._groups.items():
                if start <= first < end:
                    await parts.store.groups.seal(group_id)
        await look_again(parts, stored)
        return stored[::-1]

    def _add(self, request: JobRequest, group_id: ObjectId | None = None) -> SimpleJob:
        self._check_open()
        _check_key(request)
        job = new_job(self._parts(), request, flow=(self.id, self.name))
        if group_id is not None:
            job = replace(job, group=group_id)
        self._added.append(job)
        return job

    def _followed(self) -> list[SimpleJob]:
        """Return the jobs, marked where others of them come after them."""
        parents = {job_id for job in self._added for job_id in jobs_of(job.after)}
        return [replace(job, followed=True) if job.id in parents else job for job in self._added]

    def _own_tags(self) -> set[str]:
        return {job_tag(job.id) for job in self._added} | {*map(_group_tag, self._groups)}

    def _check_open(self) -> None:
        if self._started:
            told = (
                f"flow {self.name!r} ({self.id}) has started; a handler of it adds more while it "
                "runs: await context.flow.add(…)"
            )
            raise JobStateError(told)

    def _check_groups(self, session: Any) -> None:
        if self._groups:
            allowed = (
                f"allowed in a transaction are at most {GROUPED} jobs of one add_many; start the "
                "flow without one, or add them in parts"
            )
            raise InvalidArgumentError("session", session, allowed)


def chain(
    parts: Callable[[], Parts],
    jobs: Sequence[Any],
    name: str,
    on_parent_failure: OnParentFailure | None,
) -> Flow:
    """Return a flow in which each job comes after the one before it."""
    if not jobs:
        raise InvalidArgumentError("jobs", jobs, "allowed is one job or more")
    flow, last = Flow(parts, name), None
    try:
        for position, given in enumerate(jobs):
            request = _link(given, position)
            if last is not None:
                request = replace(request, after=last, on_parent_failure=on_parent_failure)
            last = flow._add(request)  # noqa: SLF001  # a flow of our own
    except BaseException:
        flow._added.clear()  # noqa: SLF001  # it is not to be started
        raise
    return flow


def _link(given: Any, position: int) -> JobRequest:
    """Return a job of a chain, which comes after nothing else than the one before it."""
    handed = getattr(given, "request_of", None)
    request = request_of(given, position) if handed is None else handed(None)
    if request.after is not None:
        allowed = "allowed is none: a job of a chain comes after the one before it"
        raise InvalidArgumentError(f"jobs[{position}].after", Unshown(request.after), allowed)
    return request


class FlowDesk(FlowWork):
    """Adds to the flow of a job that runs here.

    may_add: tells whether it runs still. loop: of the processor; None: the present one.
    """

    def __init__(
        self,
        parts: Parts,
        job: Job,
        may_add: Callable[[], bool],
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._parts = parts
        self._job = job
        self._may_add = may_add
        self._loop = loop or asyncio.get_running_loop()

    async def extend(self, jobs: Sequence[Any]) -> list[SimpleJob]:
        """Store more jobs of the flow, as a flow of its own that has the same id."""
        job, parts = self._job, self._parts
        assert job.flow is not None  # noqa: S101  # it is of one
        if not self._may_add():
            told = f"job {job.name!r} ({job.id}) runs no more, and adds no more to its flow"
            raise JobStateError(told)
        requests = [
            member_request(each, payload, options, "context.flow.add")
            for each, payload, options in jobs
        ]
        more = Flow(lambda: parts, job.flow_name or "flow", job.flow)
        try:
            for request in requests:
                more.add(request)
            return await more.start()
        finally:
            more._started = True  # noqa: SLF001  # what was refused is told by its error

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Return what a call comes to in the event loop of the processor."""
        return wait_in(self._loop, call)


async def kill(parts: Parts, flow_id: ObjectId) -> Acted:
    """Kill what is active in a flow: what waits before what it waits for, then what runs."""
    await _check_there(parts, flow_id)
    done = left = 0
    for _ in range(_PASSES):
        acted = await actions.act(parts, "kill", None, {"flow": flow_id}, None)
        done, left = done + acted.done, max(left, acted.left)
        if not await _has(parts, flow_id, ACTIVE - {JobStatus.RUNNING}):
            break
    return Acted(done, left)


async def retry(parts: Parts, flow_id: ObjectId) -> Acted:
    """Send what failed in a flow round again, with all that was skipped because of it."""
    await _check_there(parts, flow_id)
    done = left = 0
    for status in sorted(FAILED - {JobStatus.SKIPPED}):
        selection = {"flow": flow_id, "status": status}
        acted = await actions.act(parts, "retry", None, selection, None, descendants=True)
        done, left = done + acted.done, left + acted.left
    return Acted(done, left)


async def _check_there(parts: Parts, flow_id: ObjectId) -> None:
    if not await parts.store.history.summaries(JobQuery(flow=flow_id, limit=1)):
        raise FlowNotFoundError(flow_id)


async def _has(parts: Parts, flow_id: ObjectId, statuses: Iterable[JobStatus]) -> bool:
    counts = [
        await parts.store.history.count_matching(JobQuery(flow=flow_id, status=status), 1)
        for status in statuses
    ]
    return any(counts)


def _group_tag(group_id: ObjectId) -> str:
    return f"g:{group_id}"


def _check_key(request: JobRequest) -> None:
    """Each job of a flow is one of its own: who holds its key may be of another flow."""
    if request.unique_key is not None and request.on_conflict != "skip":
        allowed = (
            "allowed in a flow is 'skip': the job that holds the key may be of another flow, so "
            "nothing here can come after it"
        )
        raise InvalidArgumentError("on_conflict", request.on_conflict, allowed)
