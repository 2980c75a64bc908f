"""Crons: their pointer to the next occurrence, and the occurrences that stand in the queue."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Collection
from datetime import datetime

from bson import ObjectId

from job_processor.models import Cron, occurrence_id
from job_processor.store.desks.desk import Desk
from job_processor.store.hints import Hint


class Crons(Desk, ABC):
    """Crons: their pointer to the next occurrence, and the occurrences that stand in the queue."""

    @abstractmethod
    async def all(self) -> list[Cron]:
        """Return all crons of the database, by name."""

    @abstractmethod
    async def create(self, cron: Cron) -> bool:
        """Absent → as given; False when a cron of this name is there."""

    @abstractmethod
    async def update(
        self, cron: Cron, cron_string: str, scheduled_for: datetime, now: datetime
    ) -> bool:
        """Move a cron's pointer, only if expression and pointer are still those of `cron`."""

    @abstractmethod
    async def remove(self, name: str) -> None:
        """Present → absent, together with its pending occurrences that were planned by us."""

    @abstractmethod
    async def remove_occurrences(
        self, name: str, after: datetime, keep: Collection[ObjectId]
    ) -> int:
        """Pending cron tasks later than `after` → absent; return how many.

        Leaves those in `keep`, those that a retry put back, and those started by hand (their id is
        not derived from name and time). Where the cron's pointer, as it stands now, is at none of
        `keep`, what the caller knows is old: then also those before the pointer stay, which may
        have come due meanwhile.
        """

    async def skip_waiting(self, name: str, now: datetime) -> int:
        """Pending or paused cron tasks of this name → skipped, for `other`; return how many."""
        skipped = await self._skip_waiting(name, now)
        if skipped:
            self._tell(Hint.SETTLED, None)
        return skipped

    @abstractmethod
    def _skip_waiting(self, name: str, now: datetime) -> Awaitable[int]: ...

    async def standing_at(self, job_ids: Collection[ObjectId]) -> list[Cron]:
        """Return the crons whose pointer stands at one of these occurrences."""
        wanted = set(job_ids)
        crons = await self.all()
        return [each for each in crons if occurrence_id(each.name, each.scheduled_for) in wanted]
