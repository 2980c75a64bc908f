"""Schedules that were made at run time, by name."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from bson import ObjectId

from job_processor.store.desks.schedules import Schedules
from job_processor.store.schedules import Schedule
from tests.store.dictionaries.tables import OnTables, Tables, storable


class DictionarySchedules(OnTables, Schedules):
    """Lets only whoever knows the token of the last write replace one."""

    async def get(self, name: str) -> Schedule | None:
        """Return a schedule."""
        async with self._connection as tables:
            return tables.schedules.get(name)

    async def _put(self, schedule: Schedule, expected: ObjectId | None) -> bool:
        async with self._connection as tables:
            return _write(tables, schedule, expected)

    async def remove(self, name: str) -> bool:
        """Remove a schedule; False where there is none."""
        async with self._connection as tables:
            return tables.schedules.pop(name, None) is not None

    async def _page(self, after: str, limit: int, job: str | None) -> list[Schedule]:
        async with self._connection as tables:
            found = sorted(tables.schedules.items())
            return [s for name, s in found if name > after and job in (None, s.job)][:limit]

    async def _due(self, jobs: Collection[str], now: datetime, limit: int) -> list[Schedule]:
        async with self._connection as tables:
            found = _standing(tables, jobs)
            return [schedule for due, _, schedule in found if due <= now][:limit]

    async def _next_due(self, jobs: Collection[str]) -> datetime | None:
        async with self._connection as tables:
            return min((due for due, _, _ in _standing(tables, jobs)), default=None)

    async def moved_after(self, moment: datetime, limit: int) -> list[Schedule]:
        """Return those that were moved later."""
        async with self._connection as tables:
            return [s for s in tables.schedules.values() if s.moved_at > moment][:limit]

    async def _advance(self, moves: Sequence[tuple[Schedule, Schedule]]) -> set[str]:
        async with self._connection as tables:
            return {after.name for before, after in moves if _write(tables, after, before.token)}

    async def prune(self, before: datetime, limit: int) -> int:
        """Remove those that have ended before; return how many."""
        async with self._connection as tables:
            ended = [
                name
                for name, each in tables.schedules.items()
                if each.ended_at is not None and each.ended_at < before
            ][:limit]
            for name in ended:
                del tables.schedules[name]
            return len(ended)


def _standing(tables: Tables, jobs: Collection[str]) -> list[tuple[datetime, str, Schedule]]:
    found = (each for each in tables.schedules.values() if each.job in jobs)
    return sorted((each.due, each.name, each) for each in found if each.due is not None)


def _write(tables: Tables, schedule: Schedule, expected: ObjectId | None) -> bool:
    present = tables.schedules.get(schedule.name)
    if (None if present is None else present.token) != expected:
        return False
    tables.schedules[schedule.name] = Schedule.of(storable(schedule.values()), schedule.token)
    return True
