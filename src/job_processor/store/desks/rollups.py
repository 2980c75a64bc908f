"""Counts of spans of time, added up."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Sequence
from datetime import datetime

from job_processor.store.desks.desk import Desk
from job_processor.store.rollups import Rollup


class Rollups(Desk, ABC):
    """Counts of spans of time, added up."""

    async def add(self, rollups: Sequence[Rollup]) -> None:
        """Absent or present → with these counts added.

        A repetition after a lost reply may count twice: they are for charts.
        """
        if rollups:
            await self._add(rollups)

    @abstractmethod
    def _add(self, rollups: Sequence[Rollup]) -> Awaitable[object]: ...

    @abstractmethod
    async def since(self, seconds: int, since: datetime) -> list[Rollup]:
        """Return the rollups of a span that begin at this time or later, the earliest first."""
