"""A group of jobs, as those see it who open one, and the handlers of its members and callbacks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from bson import ObjectId

from job_processor.models import ACTIVE, FAILED, JobStatus, SimpleJob
from job_processor.settings import Duration

T = TypeVar("T")


class GroupStatus(StrEnum):
    """Where a group stands."""

    OPEN = "open"  # whoever opened it adds to it
    RUNNING = "running"
    FINISHED = "finished"
    ERRORED = "errored"


@dataclass(frozen=True, slots=True)
class GroupCounts:
    """How many members of a group are in which state."""

    by_name: Mapping[str, Mapping[JobStatus, int]] = field(default_factory=dict)
    """By the name of the job, and its state; what is 0 is left out."""

    def __getitem__(self, status: JobStatus | str) -> int:
        """Return how many are in a state."""
        return sum(each.get(JobStatus(status), 0) for each in self.by_name.values())

    @property
    def total(self) -> int:
        """All members that are there."""
        return sum(sum(each.values()) for each in self.by_name.values())

    @property
    def active(self) -> int:
        """Those that the group waits for: pending, running, paused."""
        return sum(self[status] for status in ACTIVE)

    @property
    def ended(self) -> int:
        """Those that have ended, well or not."""
        return self.total - self.active

    @property
    def finished(self) -> int:
        """Those that ended well."""
        return self[JobStatus.FINISHED]

    @property
    def failed(self) -> int:
        """Those that ended otherwise: errored, killed, skipped."""
        return sum(self[status] for status in FAILED)

    def __str__(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.ended}/{self.total}{failed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupInfo:
    """A group as it stands."""

    id: ObjectId
    status: GroupStatus
    round: int
    """1, and one more each time that it was sent round again."""
    created_at: datetime
    completed_at: datetime | None
    """When its last member had ended; None: it has not ended."""
    broken: str | None
    """Why it does not end well whatever its members do; None: it may."""
    then: str | None
    """The name of the job that follows once all have finished."""
    catch: str | None
    """The name of the job that follows once all have ended, and one has not finished."""
    callback_id: ObjectId | None
    """The job that followed its end; None: none did, or it has not ended."""
    counts: GroupCounts

    @property
    def is_over(self) -> bool:
        """True once all members have ended."""
        return self.completed_at is not None


class GroupWork(ABC):
    """What a group asks of wherever it is used: beside the database, or in a handler's process."""

    @abstractmethod
    def check_open(self, group_id: ObjectId) -> None:
        """Raise GroupClosedError where nothing may be added from here."""

    @abstractmethod
    async def add(self, group_id: ObjectId, jobs: Any, *, many: bool) -> list[SimpleJob]:
        """Store members: one, or many of which none is returned."""

    @abstractmethod
    async def info(self, group_id: ObjectId) -> GroupInfo:
        """Return how it stands; raises GroupNotFoundError."""

    @abstractmethod
    async def page(
        self, group_id: ObjectId, after: ObjectId | None, status: JobStatus | None
    ) -> list[SimpleJob]:
        """Return the members that follow one by their ids, in their order; [] at the end."""

    @abstractmethod
    async def wait(self, group_id: ObjectId, timeout: Duration | None) -> None:
        """Return once it has ended."""

    @abstractmethod
    async def kill(self, group_id: ObjectId) -> int:
        """Kill the members; return how many were killed or asked to stop."""

    @abstractmethod
    async def retry(self, group_id: ObjectId) -> int:
        """Send what failed round again; return how many."""

    @abstractmethod
    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Return what a call comes to, for synchronous code."""


class Group:
    """Jobs that are waited for together, and what follows once all of them have ended.

    `processor.group(…)` opens one, `processor.get_group(id)` returns one that is there, and
    `context.group` is that of a handler: the group that its job is a member of or, for a callback,
    the one that has ended. In plain handlers use the methods whose names end in `_sync`.
    """

    __slots__ = ("_work", "id")

    def __init__(self, group_id: ObjectId, work: GroupWork) -> None:
        self.id = group_id
        self._work = work

    def __repr__(self) -> str:
        return f"<group {self.id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Group) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def after_tag(self) -> str:
        """What a job waits for that is to run after it."""
        return f"g:{self.id}"

    def check_open(self) -> None:
        """Raise GroupClosedError unless this code may add to it: see `add`."""
        self._work.check_open(self.id)

    async def add(self, job: Any, payload: Any = None, **options: Any) -> SimpleJob:
        """Store a job as a member; return it as `schedule_job` does.

        job: its name, its handle, or a whole `JobRequest`: `resize.request(id=1)`.
        options: the others of `schedule_job`, such as `priority`.

        Only the block that opened the group may add to it, and handlers of its members while they
        run: `context.group.add(…)`. Raises GroupClosedError to others, and what `schedule_job`
        raises. A job that stands in for one with the same `unique_key` is no member by that.
        """
        return (await self._work.add(self.id, (job, payload, options), many=False))[0]

    async def add_many(self, jobs: Iterable[Any] | AsyncIterable[Any]) -> None:
        """Store many jobs as members, 1,000 in one write, as `schedule_jobs` does.

        jobs: what `schedule_jobs` takes, from an iterable, plain or async.
        """
        await self._work.add(self.id, jobs, many=True)

    async def wait(self, timeout: Duration | None = None) -> GroupInfo:
        """Return how it stands once all members have ended, and what follows is stored.

        timeout: seconds; 0 looks once, None waits for ever. Raises JobTimeoutError after it, and
        GroupNotFoundError.
        """
        await self._work.wait(self.id, timeout)
        return await self.info()

    async def info(self) -> GroupInfo:
        """Return how it stands; raises GroupNotFoundError when it is gone."""
        return await self._work.info(self.id)

    async def counts(self) -> GroupCounts:
        """Return how many members are in which state."""
        return (await self.info()).counts

    async def results(self) -> AsyncIterator[Any]:
        """Give what the handlers of those members returned that have finished, in order.

        That is the order of their ids: in which one process has added them. Read a page at a time,
        however many there are. Members that did not finish are left out: see `jobs`.
        """
        async for job in self.jobs(JobStatus.FINISHED):
            yield job.result()

    async def jobs(self, status: JobStatus | str | None = None) -> AsyncIterator[SimpleJob]:
        """Give the members, those in one state if it is given, in order, a page at a time."""
        after: ObjectId | None = None
        while page := await self.page(after, status):
            for job in page:
                yield job
            after = page[-1].id

    async def page(
        self, after: ObjectId | None = None, status: JobStatus | str | None = None
    ) -> list[SimpleJob]:
        """Return the first members behind one, by their ids, at most 100; [] at the end."""
        wanted = None if status is None else JobStatus(status)
        return await self._work.page(self.id, after, wanted)

    async def kill(self) -> int:
        """Kill all members, and let nothing be added any more.

        Waiting ones at once, running ones by their workers. `then` does not follow; `catch` does,
        once all have ended. Returns how many were killed or asked to stop.
        """
        return await self._work.kill(self.id)

    async def retry(self) -> int:
        """Send the members that did not finish round again; return how many.

        One that had ended begins a new round by that: `then` or `catch` follows once more. Raises
        GroupClosedError while it is open, or while what follows its last end is not stored yet.
        """
        return await self._work.retry(self.id)

    # --- for plain handlers ---------------------------------------------------------------------

    def add_sync(self, job: Any, payload: Any = None, **options: Any) -> SimpleJob:
        """Do as `add` does, in a plain handler."""
        return self._work.run(self.add(job, payload, **options))

    def add_many_sync(self, jobs: Iterable[Any]) -> None:
        """Do as `add_many` does, in a plain handler."""
        self._work.run(self.add_many(jobs))

    def info_sync(self) -> GroupInfo:
        """Do as `info` does, in a plain handler."""
        return self._work.run(self.info())

    def counts_sync(self) -> GroupCounts:
        """Do as `counts` does, in a plain handler."""
        return self._work.run(self.counts())

    def results_sync(self) -> Iterator[Any]:
        """Do as `results` does, in a plain handler."""
        return (job.result() for job in self.jobs_sync(JobStatus.FINISHED))

    def jobs_sync(self, status: JobStatus | str | None = None) -> Iterator[SimpleJob]:
        """Do as `jobs` does, in a plain handler."""
        after: ObjectId | None = None
        while page := self._work.run(self.page(after, status)):
            yield from page
            after = page[-1].id
