"""Jobs that wait for a worker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Collection, Sequence
from datetime import datetime

from job_processor.models import Job
from job_processor.redaction import Redaction
from job_processor.store.desks.desk import Desk
from job_processor.store.requests import Claim
from job_processor.store.summaries import JobSummary


class Queue(Desk, ABC):
    """Jobs that wait for a worker."""

    async def claim(self, claim: Claim) -> Sequence[Job]:
        """Pending or paused, due, of these names, not excluded → running under the worker.

        Takes at most `limit`, by priority and then by `scheduled_for` (of a claim of what is
        overdue, by that alone); sets `started_at` where it is empty and `updated_at` always. Of
        those that crashed before it takes one, and none but where `suspects`: fewer than `limit`
        where several stand among the first.
        Returns what is now ours, in that order; [] when there is nothing. Where it is to be run
        together, and is as most jobs are, it may come as `Fresh`. After a lost reply the
        claimed runs stand under the worker's id: see `Runs.of_worker`.
        """
        if not claim.names or claim.limit < 1:
            return []
        return await self._claim(claim)

    @abstractmethod
    def _claim(self, claim: Claim) -> Awaitable[Sequence[Job]]: ...

    async def next_due(self, names: Collection[str]) -> datetime | None:
        """Return the earliest `scheduled_for` of pending or paused jobs of these names."""
        return await self._next_due(names) if names else None

    @abstractmethod
    def _next_due(self, names: Collection[str]) -> Awaitable[datetime | None]: ...

    async def due(
        self,
        now: datetime,
        limit: int,
        leaving_out: Collection[str] = (),
        redaction: Redaction | None = None,
    ) -> list[JobSummary]:
        """Return the pending and paused jobs and cron tasks that are due, the earliest first.

        All but those of some names; what a list shows of them, as `History.summaries` does.
        """
        return await self._due(now, limit, leaving_out, redaction) if limit > 0 else []

    @abstractmethod
    def _due(
        self,
        now: datetime,
        limit: int,
        leaving_out: Collection[str],
        redaction: Redaction | None,
    ) -> Awaitable[list[JobSummary]]: ...

    async def count_due(self, names: Collection[str], now: datetime, cap: int) -> dict[str, int]:
        """Count the due jobs of each name that are not parked, each count exact up to `cap`.

        At a cost that what waits for later, or is parked, has no part in; what is 0 is left out.
        """
        return await self._count_due(names, now, cap) if names else {}

    @abstractmethod
    def _count_due(
        self, names: Collection[str], now: datetime, cap: int
    ) -> Awaitable[dict[str, int]]: ...
