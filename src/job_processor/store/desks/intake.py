"""Jobs that come in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from job_processor.models import Job, JobStatus, SimpleJob
from job_processor.store.desks.desk import Desk
from job_processor.store.gathering import Gathering
from job_processor.store.hints import NOTHING, Hint, Tell, told
from job_processor.store.lanes import freed_by

if TYPE_CHECKING:
    from job_processor.store.base import Store


class Intake(Desk, ABC):
    """Jobs that come in."""

    _writes_at_once: ClassVar[int] = 1
    """Writes of gathered jobs that may be under way at a time."""
    _early: ClassVar[Hint] = NOTHING
    """What is told as soon as `_insert` was called, before it has answered: for a store that then
    has the insert in its queue already, in front of the claims that follow."""

    def __init__(self, tell: Tell, store: Store) -> None:
        super().__init__(tell, store)
        self._gathering = Gathering(self._writes_at_once)

    def keep(self, job: SimpleJob) -> SimpleJob:
        """Return a new job with what this database keeps of it: by default the job itself.

        Raises SharedDatabaseError for one that it cannot keep.
        """
        return job

    async def insert(self, jobs: Sequence[Job]) -> list[Job]:
        """Absent → as given, in one bulk write; return those refused.

        Refused is an exclusive job while another of its type and name is pending, running or
        paused, and one whose unique key another of its name holds (unique indexes decide). A job
        whose id is there already counts as inserted: it was our own first attempt, or another
        scheduler's same occurrence.
        """
        if not jobs:
            return []
        written = self._insert(jobs)
        hint, ended = told((job.id, job.status) for job in jobs)
        self._tell(hint & self._early, None)
        refused = await written
        if len(refused) < len(jobs):
            self._tell(hint & ~self._early, ended)
        return refused

    @abstractmethod
    def _insert(self, jobs: Sequence[Job]) -> Awaitable[list[Job]]: ...

    async def put(self, job: Job) -> bool:
        """Absent → as given, in one write with what others put at the same time; False: refused.

        It means the same as `insert` of this job alone, whatever becomes of the others.
        """
        return await self._gathering.put(self, job)

    def insert_here(self, jobs: Sequence[Job]) -> list[Job] | None:
        """Absent → as given, before this returns; None where that may take a while."""
        refused = self._insert_here(jobs)
        if refused is not None and len(refused) < len(jobs):
            if len(jobs) == 1 and jobs[0].status is JobStatus.PENDING:  # most jobs
                self._tell(Hint.WORK, None)
            else:
                self._tell(*told((job.id, job.status) for job in jobs))
        return refused

    def _insert_here(self, jobs: Sequence[Job]) -> list[Job] | None:  # noqa: ARG002  # see there
        """Return those refused, None where nothing was done: by default it always takes a while."""
        return None

    @abstractmethod
    async def insert_in(self, session: Any, jobs: Sequence[Job]) -> None:
        """Absent → as given, as a part of the caller's transaction.

        Raises InvalidArgumentError when `session` is none of this database, and JobConflictError
        where `insert` would refuse one. Errors of the caller's driver are not translated: it may
        have to repeat the transaction.
        """

    @abstractmethod
    async def find_holder(self, name: str, unique_key: str) -> SimpleJob | None:
        """Return the job that holds a unique key of a name."""

    @abstractmethod
    async def release_key(self, holder: SimpleJob) -> None:
        """Holding its unique key in the very state that was read → without it, else unchanged."""

    async def replace(self, holder: SimpleJob, job: SimpleJob) -> SimpleJob | None:
        """Pending and holding its unique key → `job` under its id, as if it had never run.

        See `replaced_by`; its saved state goes, too. Returns it as it then stands; None when it
        waits no more, or was changed since it was read.
        """
        replaced = await self._replace(holder, job)
        if replaced is not None:
            self._tell(Hint.WORK, None)
            await self._pass_on([freed_by(holder, replaced)])
            await self._let_follow([holder.rate_lane])
            await self._left([holder.group if replaced.group != holder.group else None])
        return replaced

    @abstractmethod
    def _replace(self, holder: SimpleJob, job: SimpleJob) -> Awaitable[SimpleJob | None]: ...
