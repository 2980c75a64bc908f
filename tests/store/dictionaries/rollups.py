"""Rollups: counts of spans of time, added up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from job_processor.store.desks.rollups import Rollups
from job_processor.store.rollups import Rollup
from tests.store.dictionaries.tables import OnTables


class DictionaryRollups(OnTables, Rollups):
    """Keeps one rollup a span."""

    async def _add(self, rollups: Sequence[Rollup]) -> None:
        async with self._connection as tables:
            for rollup in rollups:
                key = (rollup.seconds, rollup.start)
                present = tables.rollups.get(key)
                tables.rollups[key] = rollup if present is None else present.plus(rollup)

    async def since(self, seconds: int, since: datetime) -> list[Rollup]:
        """Return those of a span that begin at a time or later."""
        async with self._connection as tables:
            return [
                rollup
                for (length, start), rollup in sorted(tables.rollups.items())
                if length == seconds and start >= since
            ]
