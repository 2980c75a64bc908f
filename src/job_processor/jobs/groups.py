"""Groups: opened and filled, added to by running members, waited for, killed, retried."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, TypeAlias, TypeVar

from bson import ObjectId

from job_processor.errors import (
    GroupClosedError,
    GroupNotFoundError,
    InvalidArgumentError,
    JobTimeoutError,
    StoreError,
    StoreUnavailableError,
)
from job_processor.handlers.groups import Group, GroupCounts, GroupInfo, GroupStatus, GroupWork
from job_processor.jobs import actions
from job_processor.jobs.chunks import OnProgress, Request, Requests
from job_processor.jobs.handle import JobHandle
from job_processor.jobs.intake import new_job, schedule, schedule_all
from job_processor.jobs.portal import wait_in
from job_processor.jobs.request import JobRequest, request_of
from job_processor.models import FAILED, JobStatus, SimpleJob
from job_processor.parts import Parts
from job_processor.settings import (
    GROUP_PAGE,
    GROUP_PAGE_BYTES,
    GROUP_TOUCHED,
    Duration,
    duration,
)
from job_processor.store.groups import Callback, GroupRecord
from job_processor.store.hints import Hint
from job_processor.store.refusals import refuse
from job_processor.store.requests import JobQuery
from job_processor.tasks import cancel, set_within

T = TypeVar("T")
Called: TypeAlias = str | JobRequest | JobHandle[..., Any]
"""A job by its name, its handle or a whole request."""

KILLED = "it was killed"
_PAUSE = 0.05
"""Seconds between two looks of who waits for a group, while jobs end all the time."""
_OWED = timedelta(seconds=10)
"""How long whoever waits for a group waits for what follows its end to be stored."""
_CLOSED = (
    "only the block that opened it adds to it, `async with processor.group(…) as group`, and "
    "handlers of its members while they run, `context.group.add(…)`"
)
_OF_CALLBACK = "a name, a handle or a JobRequest"


class OpenGroup:
    """A group while it is being filled: `async with processor.group(then="zip") as group`.

    It is sealed where the block ends. Where the block raises, it is broken off: what was added goes
    on, and `catch` follows, never `then`.
    """

    def __init__(self, parts: Callable[[], Parts], then: Called | None, catch: Called | None):
        self._ready = parts
        self._then = then
        self._catch = catch
        self._work: GroupDesk | None = None
        self._group: Group | None = None
        self._touching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Group:
        if self._group is not None:
            raise GroupClosedError(self._group.id, "a block opens one group; write another one")
        parts = self._ready()
        record = new_group(parts, self._then, self._catch)
        await parts.store.groups.open(record)
        self._work = work = GroupDesk(parts, lambda: work.is_filled)
        work.is_filled = True
        self._group = Group(record.id, work)
        self._touching = asyncio.create_task(_touch(parts, record.id), name="touching a group")
        return self._group

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._work is not None  # noqa: S101  # it was entered
        assert self._group is not None  # noqa: S101  # the same
        self._work.is_filled = False
        if self._touching is not None:
            await cancel([self._touching])
        broken = None if kind is None else f"the block that filled it raised {kind.__name__}"
        await self._work.seal(self._group.id, broken)


class GroupDesk(GroupWork):
    """Works on groups by the store of a processor.

    may_add: tells whether whoever has this may add members. loop: of the processor; None: the
        present one.
    """

    is_filled = False
    """True while its block goes on."""

    def __init__(
        self,
        parts: Parts,
        may_add: Callable[[], bool] = lambda: False,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._parts = parts
        self._may_add = may_add
        self._loop = loop or asyncio.get_running_loop()

    def check_open(self, group_id: ObjectId) -> None:
        """Raise GroupClosedError where its block is over, or its member runs no more."""
        if not self._may_add():
            raise GroupClosedError(group_id, _CLOSED)

    async def add(self, group_id: ObjectId, jobs: Any, *, many: bool) -> list[SimpleJob]:
        """Store members."""
        group = Group(group_id, self)
        if many:
            requests = _in_group(jobs, group)
            return await schedule_all(self._parts, requests, None, None, return_jobs=False)
        request = replace(member_request(*jobs), group=group)
        return [await schedule(self._parts, request)]

    async def seal(self, group_id: ObjectId, broken: str | None) -> None:
        """Seal a group that was filled here; raises GroupClosedError where somebody else did."""
        if await self._parts.store.groups.seal(group_id, broken) or broken is not None:
            return
        record = await self._record(group_id)
        if record.broken not in (None, KILLED):
            raise GroupClosedError(group_id, record.broken or "")

    async def info(self, group_id: ObjectId) -> GroupInfo:
        """Return how a group stands."""
        record = await self._record(group_id)
        return info_of(record, GroupCounts(await self._parts.store.groups.counts(group_id)))

    async def page(
        self, group_id: ObjectId, after: ObjectId | None, status: JobStatus | None
    ) -> list[SimpleJob]:
        """Return the members that follow one."""
        query = JobQuery(
            group=group_id,
            status=status,
            above=after,
            oldest_first=True,
            limit=GROUP_PAGE,
            max_bytes=GROUP_PAGE_BYTES,
        )
        found = await self._parts.store.history.find(query)
        return [job for job in found if isinstance(job, SimpleJob)]

    async def wait(self, group_id: ObjectId, timeout: Duration | None) -> None:
        """Return once a group has ended."""
        seconds = None if timeout is None else duration("timeout", timeout, zero=True)
        told = f"group {group_id} has not ended within {seconds or 0:g} s"
        if seconds == 0:
            if not self._is_over(await self._record(group_id)):
                raise JobTimeoutError(told)
            return
        news = asyncio.Event()
        store = self._parts.store
        forget = store.subscribe(lambda hint: news.set() if hint & Hint.SETTLED else None)
        try:
            async with asyncio.timeout(seconds):
                while not await self._has_ended(group_id):
                    await set_within(news, self._parts.settings.poll_interval)
                    news.clear()
                    await asyncio.sleep(_PAUSE)
        except TimeoutError as error:
            raise JobTimeoutError(told) from error
        finally:
            forget()

    async def kill(self, group_id: ObjectId) -> int:
        """Kill what is active in a group, which ends badly."""
        await self._record(group_id)
        await self._parts.store.groups.break_off(group_id, KILLED)
        killed = 0
        for status in (JobStatus.PENDING, JobStatus.PAUSED, JobStatus.RUNNING):
            killed += await self._act("kill", group_id, status)
        await self._parts.store.groups.look([group_id])
        return killed

    async def retry(self, group_id: ObjectId) -> int:
        """Send what failed in a group round again, which begins a new round if it had ended."""
        record, counts = (
            await self._record(group_id),
            await self._parts.store.groups.counts(group_id),
        )
        failed = GroupCounts(counts).failed
        if not failed:
            return 0
        groups = self._parts.store.groups
        if record.owes:
            await groups.serve(record)
        if record.sealed and await groups.reopen(group_id, self._parts.clock.now()) is None:
            what = "its `then` or `catch` job is not stored yet; try again in a minute"
            raise GroupClosedError(group_id, what)
        try:
            return sum([await self._act("retry", group_id, status) for status in sorted(FAILED)])
        finally:
            if record.sealed:
                await groups.seal(group_id)

    async def _act(self, action: actions.Action, group_id: ObjectId, status: JobStatus) -> int:
        selection = {"group": group_id, "status": status}
        return (await actions.act(self._parts, action, None, selection, None)).done

    async def _record(self, group_id: ObjectId) -> GroupRecord:
        record = await self._parts.store.groups.get(group_id)
        if record is None:
            raise GroupNotFoundError(group_id)
        return record

    async def _has_ended(self, group_id: ObjectId) -> bool:
        try:
            return self._is_over(await self._record(group_id))
        except StoreUnavailableError:
            return False

    def _is_over(self, record: GroupRecord) -> bool:
        """Tell whether a group has ended and what follows is stored, if that comes soon."""
        ended = record.completed_at
        return ended is not None and (not record.owes or self._parts.clock.now() - ended > _OWED)

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Return what a call comes to in the event loop of the processor."""
        return wait_in(self._loop, call)


def new_group(parts: Parts, then: Called | None, catch: Called | None) -> GroupRecord:
    """Return a group to be opened.

    Raises InvalidArgumentError for callbacks that cannot be, and SharedDatabaseError beside Node.
    """
    node = parts.store.node_side()
    if node is not None and node.refuses_own_fields:
        refuse("group", "processor.group(…)", "group")
    now = parts.clock.now()
    return GroupRecord(
        id=ObjectId(),
        created_at=now,
        touched_at=now,
        then=_callback(parts, "then", then),
        catch=_callback(parts, "catch", catch),
    )


def _callback(parts: Parts, argument: str, given: object) -> Callback | None:
    """Return what is to follow the end of a group, checked as if it were scheduled now."""
    if given is None:
        return None
    request = _called(argument, given)
    named = {"unique_key": request.unique_key, "unique_for": request.unique_for}
    refused = {**named, "on_conflict": request.on_conflict, "group": request.group}
    for option, value in refused.items():
        if value is not None:
            allowed = f"allowed is {argument} without {option}: each end of a group makes one job"
            raise InvalidArgumentError(f"{argument}.{option}", value, allowed)
    expires = request.expires_at
    if expires is not None and not isinstance(expires, timedelta):
        allowed = "allowed is a timedelta, from the end of the group on"
        raise InvalidArgumentError(f"{argument}.expires_at", expires, allowed)
    job = new_job(parts, request)
    when = request.scheduled_for
    return Callback(
        name=job.name,
        payload=job.payload,
        priority=job.priority,
        exclusive=job.exclusive,
        delay=when.total_seconds() if isinstance(when, timedelta) else 0.0,
        not_before=when if isinstance(when, datetime) else None,
        expires_in=None if expires is None else expires.total_seconds(),
        lane=job.lane,
        ordered=job.ordered,
        labels=job.labels or None,
        traceparent=job.traceparent,
    )


def _called(argument: str, given: object) -> JobRequest:
    """Return the request that is meant by a name, a handle or a request."""
    if isinstance(given, JobRequest):
        return given
    if isinstance(given, JobHandle):
        return given.request_of(None)
    if isinstance(given, str):
        return JobRequest(given)
    raise InvalidArgumentError(argument, given, f"allowed is {_OF_CALLBACK}")


def member_request(
    job: object, payload: Any, options: dict[str, Any], verb: str = "group.add"
) -> JobRequest:
    """Return the request that `verb` was asked for; raises InvalidArgumentError."""
    known = JobRequest.__dataclass_fields__.keys() - {"name", "payload", "group"}
    for option in options:
        if option not in known:
            allowed = f"allowed are {', '.join(sorted(known))}"
            raise InvalidArgumentError(verb, option, allowed)
    if isinstance(job, JobRequest):
        if payload is not None or options:
            allowed = "allowed with a JobRequest are none: it has them itself"
            raise InvalidArgumentError(verb, sorted({*options, "payload"}), allowed)
        return job
    if isinstance(job, JobHandle):
        return replace(job.request_of(payload), **options)
    if isinstance(job, str):
        return JobRequest(job, payload, **options)
    raise InvalidArgumentError(verb, job, f"allowed is {_OF_CALLBACK}")


def _in_group(jobs: Requests, group: Group) -> Requests:
    """Give requests for members of a group."""

    def member(given: Request, position: int) -> JobRequest:
        return replace(request_of(given, position), group=group)

    async def streamed(source: AsyncIterable[Request]) -> AsyncIterator[JobRequest]:
        position = 0
        async for each in source:
            yield member(each, position)
            position += 1

    if isinstance(jobs, AsyncIterable):
        return streamed(jobs)
    if isinstance(jobs, Iterable) and not isinstance(jobs, dict | str | bytes):
        return (member(each, position) for position, each in enumerate(jobs))
    return jobs  # which `schedule_jobs` refuses


async def schedule_group(
    parts: Callable[[], Parts],
    job: str | JobHandle[..., Any],
    payloads: Iterable[Any] | AsyncIterable[Any],
    then: Called | None,
    catch: Called | None,
    on_progress: OnProgress | None,
) -> Group:
    """Open a group, store a member for each payload, and seal it."""
    if not isinstance(job, str | JobHandle):
        raise InvalidArgumentError("name", job, "allowed is the name of a job, or its handle")
    if isinstance(payloads, dict | str | bytes) or not isinstance(
        payloads, Iterable | AsyncIterable
    ):
        allowed = "allowed is an iterable of payloads, plain or async: write [payload] for one"
        raise InvalidArgumentError("payloads", type(payloads), allowed)
    async with OpenGroup(parts, then, catch) as group:
        requests = _of_payloads(job, payloads, group)
        await schedule_all(parts(), requests, None, on_progress, return_jobs=False)
    return group


def _of_payloads(
    job: str | JobHandle[..., Any], payloads: Iterable[Any] | AsyncIterable[Any], group: Group
) -> Iterator[JobRequest] | AsyncIterator[JobRequest]:
    base = JobRequest(job) if isinstance(job, str) else job.request_of(None)
    base = replace(base, group=group)

    async def streamed(source: AsyncIterable[Any]) -> AsyncIterator[JobRequest]:
        async for payload in source:
            yield replace(base, payload=payload)

    if isinstance(payloads, AsyncIterable):
        return streamed(payloads)
    return (replace(base, payload=payload) for payload in payloads)


def info_of(record: GroupRecord, counts: GroupCounts) -> GroupInfo:
    """Return how a group stands."""
    if record.completed_at is not None:
        status = GroupStatus.ERRORED if record.failed else GroupStatus.FINISHED
    else:
        status = GroupStatus.RUNNING if record.sealed else GroupStatus.OPEN
    return GroupInfo(
        id=record.id,
        status=status,
        round=record.round,
        created_at=record.created_at,
        completed_at=record.completed_at,
        broken=record.broken,
        then=None if record.then is None else record.then.name,
        catch=None if record.catch is None else record.catch.name,
        callback_id=record.callback_id,
        counts=counts,
    )


async def find_groups(parts: Parts, limit: int, after: ObjectId | None) -> list[GroupInfo]:
    """Return groups, the newest first, with the counts of their members."""
    groups = parts.store.groups
    return [
        info_of(record, GroupCounts(await groups.counts(record.id)))
        for record in await groups.newest(after, limit)
    ]


async def _touch(parts: Parts, group_id: ObjectId) -> None:
    """Show now and then that a group is still being filled."""
    while True:
        await asyncio.sleep(GROUP_TOUCHED)
        with contextlib.suppress(StoreError):  # there is time until it counts as left
            await parts.store.groups.touch(group_id, parts.clock.now())
