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
    """The state of a group.

    `open`: members can be added from outside; `running`: some have not ended; `finished`: all have
    finished; `errored`: all have ended, and at least one did not finish.
    """

    OPEN = "open"  # whoever opened it adds to it
    RUNNING = "running"
    FINISHED = "finished"
    ERRORED = "errored"


@dataclass(frozen=True, slots=True)
class GroupCounts:
    """The number of members of a group, or jobs of a flow, in each state."""

    by_name: Mapping[str, Mapping[JobStatus, int]] = field(default_factory=dict)
    """Counts by the name of the job and its state; zeros are left out."""

    def __getitem__(self, status: JobStatus | str) -> int:
        """Return how many are in a state."""
        return sum(each.get(JobStatus(status), 0) for each in self.by_name.values())

    @property
    def total(self) -> int:
        """All members."""
        return sum(sum(each.values()) for each in self.by_name.values())

    @property
    def active(self) -> int:
        """Members that have not ended: pending, running or paused."""
        return sum(self[status] for status in ACTIVE)

    @property
    def ended(self) -> int:
        """Members that have ended, in whatever way."""
        return self.total - self.active

    @property
    def finished(self) -> int:
        """Members that have finished."""
        return self[JobStatus.FINISHED]

    @property
    def failed(self) -> int:
        """Members that did not finish: errored, killed or skipped."""
        return sum(self[status] for status in FAILED)

    def __str__(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.ended}/{self.total}{failed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupInfo:
    """The state of a group."""

    id: ObjectId
    status: GroupStatus
    round: int
    """1, and one more for each retry after its end."""
    created_at: datetime
    completed_at: datetime | None
    """When its last member ended; None: some have not ended."""
    broken: str | None
    """Why the group fails whatever its members do, such as a block that raised; None: it does not.
    """
    then: str | None
    """The name of the job that follows once all members have finished."""
    catch: str | None
    """The name of the job that follows once all members have ended and at least one has not
    finished.
    """
    callback_id: ObjectId | None
    """The id of the `then` or `catch` job; None: none was stored, or the group has not ended."""
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
    """Jobs that belong together, with a job that follows once all of them have ended.

    `processor.group(…)` opens one, and `processor.get_group(id)` returns an existing one. In a
    handler, `context.group` is the group of its job or, for a `then` or `catch` job, the group that
    has ended. Sync handlers use the methods that end in `_sync`.
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
        """What is stored as parent in a job that runs after this group."""
        return f"g:{self.id}"

    def check_open(self) -> None:
        """Raise GroupClosedError unless this code may add members: see `add`."""
        self._work.check_open(self.id)

    async def add(self, job: Any, payload: Any = None, **options: Any) -> SimpleJob:
        """Store a job as a member; returns it as `schedule_job` does.

        job: its name, its handle, or a complete `JobRequest`: `resize.request(id=1)`.
        payload: as in `schedule_job`.
        options: other options of `schedule_job`, such as `priority`.

        Only the block that opened the group and handlers of its members, while they run, may add
        members: `context.group.add(…)`. Elsewhere it raises GroupClosedError. If an existing job
        with the same `unique_key` is returned, that job does not become a member.

        Raises GroupClosedError and the errors of `schedule_job`.
        """
        return (await self._work.add(self.id, (job, payload, options), many=False))[0]

    async def add_many(self, jobs: Iterable[Any] | AsyncIterable[Any]) -> None:
        """Store many jobs as members, 1,000 in one write, as `schedule_jobs` does.

        jobs: an iterable, plain or async, with the jobs that `schedule_jobs` takes.
        """
        await self._work.add(self.id, jobs, many=True)

    async def wait(self, timeout: Duration | None = None) -> GroupInfo:
        """Wait until all members have ended and the `then` or `catch` job is stored.

        timeout: seconds, or a timedelta; 0 checks once; None waits for ever.

        Returns the group's state. Raises JobTimeoutError after `timeout`, and GroupNotFoundError.
        """
        await self._work.wait(self.id, timeout)
        return await self.info()

    async def info(self) -> GroupInfo:
        """Return the state of the group; raises GroupNotFoundError if it was removed."""
        return await self._work.info(self.id)

    async def counts(self) -> GroupCounts:
        """Return the number of members in each state."""
        return (await self.info()).counts

    async def results(self) -> AsyncIterator[Any]:
        """Yield the results of the members that have finished, in the order of their ids.

        Members that one process added are in the order in which it added them. Members that did not
        finish are left out: see `jobs`. The results are read page by page, so memory stays bounded.
        """
        async for job in self.jobs(JobStatus.FINISHED):
            yield job.result()

    async def jobs(self, status: JobStatus | str | None = None) -> AsyncIterator[SimpleJob]:
        """Yield the members in the order of their ids, read page by page.

        status: only members in this state; None: all.
        """
        after: ObjectId | None = None
        while page := await self.page(after, status):
            for job in page:
                yield job
            after = page[-1].id

    async def page(
        self, after: ObjectId | None = None, status: JobStatus | str | None = None
    ) -> list[SimpleJob]:
        """Return up to 100 members in the order of their ids; [] at the end.

        after: the id of a member; returns those behind it.
        status: only members in this state; None: all.
        """
        wanted = None if status is None else JobStatus(status)
        return await self._work.page(self.id, after, wanted)

    async def kill(self) -> int:
        """Cancel the group: kill all members and refuse new ones.

        Waiting members are killed at once, running ones are stopped by their workers. Once all have
        ended, `catch` follows and `then` does not. Returns the number of members that were killed
        or asked to stop.
        """
        return await self._work.kill(self.id)

    async def retry(self) -> int:
        """Retry the members that did not finish; returns how many.

        If the group had ended, it runs again, and `then` or `catch` follows once more at its end.

        Raises GroupClosedError while the group is open, or while the job that follows its last end
        is not stored yet.
        """
        return await self._work.retry(self.id)

    # --- for plain handlers ---------------------------------------------------------------------

    def add_sync(self, job: Any, payload: Any = None, **options: Any) -> SimpleJob:
        """Do as `add` does, in a sync handler."""
        return self._work.run(self.add(job, payload, **options))

    def add_many_sync(self, jobs: Iterable[Any]) -> None:
        """Do as `add_many` does, in a sync handler."""
        self._work.run(self.add_many(jobs))

    def info_sync(self) -> GroupInfo:
        """Do as `info` does, in a sync handler."""
        return self._work.run(self.info())

    def counts_sync(self) -> GroupCounts:
        """Do as `counts` does, in a sync handler."""
        return self._work.run(self.counts())

    def results_sync(self) -> Iterator[Any]:
        """Do as `results` does, in a sync handler."""
        return (job.result() for job in self.jobs_sync(JobStatus.FINISHED))

    def jobs_sync(self, status: JobStatus | str | None = None) -> Iterator[SimpleJob]:
        """Do as `jobs` does, in a sync handler."""
        after: ObjectId | None = None
        while page := self._work.run(self.page(after, status)):
            yield from page
            after = page[-1].id
