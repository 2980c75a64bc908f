"""Schedules that were made at run time: each changed only by whoever knows its last write."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Collection, Sequence
from dataclasses import replace
from datetime import datetime

from bson import ObjectId

from job_processor.store.desks.desk import Desk
from job_processor.store.hints import Hint
from job_processor.store.schedules import Schedule


class Schedules(Desk, ABC):
    """Schedules that were made at run time: each changed only by whoever knows its last write."""

    @abstractmethod
    async def get(self, name: str) -> Schedule | None:
        """Return a schedule, None when there is none of this name."""

    async def put(self, schedule: Schedule, expected: ObjectId | None) -> bool:
        """Absent (expected: None), or with this token → as given; False when it lost."""
        done = await self._put(replace(schedule, token=ObjectId()), expected)
        self._tell(Hint.SCHEDULES, None)
        return done

    @abstractmethod
    def _put(self, schedule: Schedule, expected: ObjectId | None) -> Awaitable[bool]: ...

    @abstractmethod
    async def remove(self, name: str) -> bool:
        """Present → absent; False when there is none."""

    async def page(self, after: str, limit: int, job: str | None = None) -> list[Schedule]:
        """Return schedules by name, from behind one on, at most `limit`; of one job, or of all."""
        return await self._page(after, limit, job) if limit > 0 else []

    @abstractmethod
    def _page(self, after: str, limit: int, job: str | None) -> Awaitable[list[Schedule]]: ...

    async def due(self, jobs: Collection[str], now: datetime, limit: int) -> list[Schedule]:
        """Return those of these jobs that are due, the earliest first, at most `limit`."""
        return await self._due(jobs, now, limit) if jobs and limit > 0 else []

    @abstractmethod
    def _due(
        self, jobs: Collection[str], now: datetime, limit: int
    ) -> Awaitable[list[Schedule]]: ...

    async def next_due(self, jobs: Collection[str]) -> datetime | None:
        """Return when the first of these jobs' schedules is due."""
        return await self._next_due(jobs) if jobs else None

    @abstractmethod
    def _next_due(self, jobs: Collection[str]) -> Awaitable[datetime | None]: ...

    @abstractmethod
    async def moved_after(self, moment: datetime, limit: int) -> list[Schedule]:
        """Return those whose next moment was computed later than this, at most `limit`."""

    async def advance(self, moves: Sequence[tuple[Schedule, Schedule]]) -> set[str]:
        """With the token of the first → as the second; return the names of those that won.

        Each is guarded on its own, all in one bulk write. After a lost reply nobody seems to have
        won: what was to follow is told of by nobody, and no job is made twice.
        """
        written = [(before, replace(after, token=ObjectId())) for before, after in moves]
        return await self._advance(written) if moves else set()

    @abstractmethod
    def _advance(self, moves: Sequence[tuple[Schedule, Schedule]]) -> Awaitable[set[str]]: ...

    @abstractmethod
    async def prune(self, before: datetime, limit: int) -> int:
        """Ended before this time → absent; at most `limit`, return how many."""
