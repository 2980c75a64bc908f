"""Lanes: what shares a rate."""

from __future__ import annotations

from dataclasses import replace

from job_processor.store.desks.rates import Rates
from job_processor.store.rates import (
    KEYED_RATE,
    KEYLESS_RATE,
    Lane,
    LaneState,
    Pace,
    Reservation,
    new_id,
)
from tests.store.dictionaries.tables import OnTables, Tables


class DictionaryRates(OnTables, Rates):
    """Keeps one lane a name."""

    async def _reserve(self, lane: str, pace: Pace, count: int) -> Reservation:
        async with self._connection as tables:
            return self.take(tables, lane, pace, count)

    def take(self, tables: Tables, lane: str, pace: Pace, count: int) -> Reservation:
        """Do so while nobody else does anything."""
        present = tables.lanes.get(lane, Lane())
        tables.lanes[lane], reservation = present.reserved(pace, count, self._now(), new_id())
        return reservation

    async def _give_back(self, lane: str, reserved: Reservation, unused: int) -> bool:
        async with self._connection as tables:
            present = tables.lanes.get(lane)
            changed = None if present is None else present.given_back(reserved, unused)
            if changed is not None:
                tables.lanes[lane] = changed
            return changed is not None

    async def _hold(self, lane: str, seconds: float, at_least: bool) -> None:
        async with self._connection as tables:
            present = tables.lanes.get(lane, Lane())
            tables.lanes[lane] = present.held(seconds, self._now(), at_least=at_least)

    async def states(self, limit: int, prefix: str = KEYLESS_RATE) -> dict[str, LaneState]:
        """Return how they stand."""
        dates = prefix.startswith(KEYED_RATE)
        async with self._connection as tables:
            now = self._now()
            lanes = sorted(
                (name, each) for name, each in tables.lanes.items() if name.startswith(prefix)
            )
            return {name: lane.state(now, dates=dates) for name, lane in lanes[:limit]}

    async def move(self, lane: str, ms: float) -> None:
        """Move a lane by so many milliseconds: for tests of clocks."""
        async with self._connection as tables:
            present = tables.lanes[lane]
            held_until = present.held_until + ms
            tables.lanes[lane] = replace(present, tat=present.tat + ms, held_until=held_until)

    def is_good(self, pace: Pace, date: float) -> bool:
        """Return whether a date is no reason to reserve anew, by the present time."""
        now = self._now()
        return pace.is_kept(date, now) or pace.is_to_come(date, now)

    def _now(self) -> float:
        return self._connection.now().timestamp() * 1000.0
