"""All jobs that are stored, for who looks for them, and what is done with those that ended."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from bson import ObjectId

from job_processor.models import Job, JobStatus, JobType
from job_processor.redaction import Redaction
from job_processor.store.desks.desk import Desk
from job_processor.store.hints import Hint
from job_processor.store.requests import JobQuery, NameCount
from job_processor.store.summaries import JobSummary
from job_processor.store.waits import End, end_of


class State(NamedTuple):
    """Where a job stands."""

    status: JobStatus
    attempt: int


class Gone(NamedTuple):
    """Who may wait for a job that was deleted."""

    followed: bool
    """True where another job may come after it."""
    open_in: ObjectId | None
    """The group that waited for its end."""


class History(Desk, ABC):
    """All jobs that are stored, for who looks for them, and what is done with those that ended."""

    @abstractmethod
    async def get(self, job_id: ObjectId) -> Job | None:
        """Return a job or cron task, None when there is none of this id."""

    async def get_many(self, job_ids: Collection[ObjectId]) -> list[Job]:
        """Return those of the jobs and cron tasks that exist, in no order."""
        return await self._get_many(job_ids) if job_ids else []

    @abstractmethod
    def _get_many(self, job_ids: Collection[ObjectId]) -> Awaitable[list[Job]]: ...

    async def states_of(self, job_ids: Collection[ObjectId]) -> dict[ObjectId, State]:
        """Return the states of those that exist, and read nothing else of them."""
        return await self._states_of(job_ids) if job_ids else {}

    @abstractmethod
    def _states_of(self, job_ids: Collection[ObjectId]) -> Awaitable[dict[ObjectId, State]]: ...

    async def find(self, query: JobQuery) -> list[Job]:
        """Return a selection of jobs and cron tasks by id, newest first, at most its `limit`.

        Where it looks through jobs, it is among the first `LOOK_THROUGH` of the rest of it: `reach`
        tells how far that is.
        """
        return await self._find(query) if query.limit > 0 else []

    @abstractmethod
    def _find(self, query: JobQuery) -> Awaitable[list[Job]]: ...

    async def summaries(
        self, query: JobQuery, redaction: Redaction | None = None
    ) -> list[JobSummary]:
        """Return what a list shows of what `find` returns.

        The database makes the extracts: payloads and results do not come out whole.
        """
        return await self._summaries(query, redaction) if query.limit > 0 else []

    @abstractmethod
    def _summaries(
        self, query: JobQuery, redaction: Redaction | None
    ) -> Awaitable[list[JobSummary]]: ...

    async def summaries_of(
        self, job_ids: Collection[ObjectId], redaction: Redaction | None = None
    ) -> list[JobSummary]:
        """Return what a list shows of those of these jobs that exist, in no order."""
        return await self._summaries_of(job_ids, redaction) if job_ids else []

    @abstractmethod
    def _summaries_of(
        self, job_ids: Collection[ObjectId], redaction: Redaction | None
    ) -> Awaitable[list[JobSummary]]: ...

    @abstractmethod
    async def reach(self, query: JobQuery) -> ObjectId | None:
        """Return the last job that a query which looks through jobs looks at.

        None where it looks at all of the rest of its selection.
        """

    @abstractmethod
    async def find_active(self, type: JobType, name: str) -> Job | None:
        """Return a pending, running or paused one of this name; an exclusive one before others."""

    async def latest(
        self,
        names: Sequence[tuple[JobType, str]],
        limit: int,
        redaction: Redaction | None = None,
    ) -> list[list[JobSummary]]:
        """Return what a list shows of the newest jobs of each name, at most `limit` of each."""
        if not names or limit < 1:
            return [[] for _ in names]
        return await self._latest(names, limit, redaction)

    @abstractmethod
    def _latest(
        self, names: Sequence[tuple[JobType, str]], limit: int, redaction: Redaction | None
    ) -> Awaitable[list[list[JobSummary]]]: ...

    async def names(self, limit: int) -> list[tuple[JobType, str]]:
        """Return the distinct (type, name) of stored jobs, at a cost that history has no part in.

        At most `limit`, in order of type and name.
        """
        return await self._names(limit) if limit > 0 else []

    @abstractmethod
    def _names(self, limit: int) -> Awaitable[list[tuple[JobType, str]]]: ...

    async def count(
        self,
        names: Sequence[tuple[JobType, str]],
        cap: int,
        statuses: Collection[JobStatus] | None = None,
    ) -> list[NameCount]:
        """Count the jobs of each name in each state, each count exact up to `cap`.

        In these states only, where some are given; what is 0 is left out.
        """
        return await self._count(names, cap, statuses) if names else []

    @abstractmethod
    def _count(
        self,
        names: Sequence[tuple[JobType, str]],
        cap: int,
        statuses: Collection[JobStatus] | None,
    ) -> Awaitable[list[NameCount]]: ...

    @abstractmethod
    async def count_states(self, cap: int) -> dict[JobStatus, int]:
        """Count all jobs in each state, each count exact up to `cap`, in one read.

        Without the occurrences of crons that wait for their time. What is 0 may be left out.
        """

    @abstractmethod
    async def count_matching(self, query: JobQuery, cap: int) -> int:
        """Return how many jobs a selection has, exact up to `cap`, whatever its `limit`."""

    async def requeue(
        self,
        job_id: ObjectId,
        now: datetime,
        *,
        from_beginning: bool = False,
        from_step: str | None = None,
        at: datetime | None = None,
    ) -> Job | None:
        """Settled → pending, due now or `at` a time, as if it had never run.

        Its history of attempts stays, its notes and its saved state go. Its steps stay, unless it
        has finished or begins `from_beginning`; with `from_step` those before that one stay.

        None when it is not settled, has no such step, or there is none. Raises JobConflictError
        when it is exclusive and another one of its name is active.
        """
        job = await self._requeue(job_id, now, at or now, from_beginning, from_step)
        if job is not None:
            self._tell(Hint.WORK, None)
        return job

    @abstractmethod
    def _requeue(
        self,
        job_id: ObjectId,
        now: datetime,
        at: datetime,
        from_beginning: bool,
        from_step: str | None,
    ) -> Awaitable[Job | None]: ...

    async def delete(self, job_ids: Collection[ObjectId]) -> set[ObjectId]:
        """Present and not running → absent; return which are gone now and were there."""
        if not job_ids:
            return set()
        holding = await self._holding(job_ids)
        leaving = await self.tokens.lanes_of(job_ids) if self.tokens.book else set()
        gone = await self._delete(job_ids)
        await self._pass_on(lane for job_id, lane in holding.items() if job_id in gone)
        await self._let_follow(leaving)
        await self._let_go(_gone(job_id for job_id, was in gone.items() if was.followed))
        await self._left(was.open_in for was in gone.values())
        return set(gone)

    @abstractmethod
    def _delete(self, job_ids: Collection[ObjectId]) -> Awaitable[Mapping[ObjectId, Gone]]:
        """Return which are gone, and of each who may wait for it."""

    async def prune(
        self, before: datetime, limit: int, errored_before: datetime | None = None
    ) -> int:
        """Settled before this time → absent; at most `limit`, return how many.

        Errored ones by a time of their own, where one is given. Not what the database removes by
        itself (`Abilities.history_days`). Also drops the kill requests of jobs that are settled or
        gone, rollups that are too old, and groups that ended before both times.
        """
        removed, followed = await self._prune(before, limit, errored_before)
        await self._let_go(_gone(followed))
        return removed

    @abstractmethod
    def _prune(
        self, before: datetime, limit: int, errored_before: datetime | None
    ) -> Awaitable[tuple[int, Collection[ObjectId]]]:
        """Return how many are gone, and those of them that are followed."""


def _gone(job_ids: Iterable[ObjectId]) -> list[End]:
    ends = (end_of(job_id, None) for job_id in job_ids)
    return [end for end in ends if end is not None]
