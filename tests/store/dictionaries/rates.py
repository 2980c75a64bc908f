"""Lanes: what shares a rate."""

from __future__ import annotations

from dataclasses import replace

from job_processor.store.base import Rates
from job_processor.store.rates import Lane, LaneState, Pace, Reservation
from tests.store.dictionaries.tables import OnTables


class DictionaryRates(OnTables, Rates):
    """Keeps one lane a name."""

    async def _reserve(self, lane: str, pace: Pace, count: int) -> Reservation:
        async with self._connection as tables:
            present = tables.lanes.get(lane, Lane())
            tables.lanes[lane], reservation = present.reserved(pace, count, self._now())
            return reservation

    async def _give_back(self, lane: str, reserved: Reservation, unused: int) -> bool:
        async with self._connection as tables:
            present = tables.lanes.get(lane)
            if present is None or present.tat != reserved.tat:
                return False
            tables.lanes[lane] = replace(present, tat=present.tat - unused * reserved.interval)
            return True

    async def _hold(self, lane: str, seconds: float, at_least: bool) -> None:
        async with self._connection as tables:
            present = tables.lanes.get(lane, Lane())
            tables.lanes[lane] = present.held(seconds, self._now(), at_least=at_least)

    async def states(self, limit: int) -> dict[str, LaneState]:
        """Return how they stand."""
        async with self._connection as tables:
            now = self._now()
            return {name: lane.state(now) for name, lane in sorted(tables.lanes.items())[:limit]}

    async def move(self, lane: str, ms: float) -> None:
        """Move a lane by so many milliseconds: for tests of clocks."""
        async with self._connection as tables:
            present = tables.lanes[lane]
            held_until = present.held_until + ms
            tables.lanes[lane] = replace(present, tat=present.tat + ms, held_until=held_until)

    def _now(self) -> float:
        return self._connection.now().timestamp() * 1000.0
