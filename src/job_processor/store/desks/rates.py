"""Lanes of jobs that share a rate, by the database's clock in the very write."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable

from job_processor.store.desks.desk import Desk
from job_processor.store.hints import Hint
from job_processor.store.rates import KEYLESS_RATE, LaneState, Pace, Reservation


class Rates(Desk, ABC):
    """Lanes of jobs that share a rate, by the database's clock in the very write."""

    async def reserve(self, lane: str, pace: Pace, count: int) -> Reservation:
        """Absent or present → with up to `count` more starts; return how many, and when the next.

        See `store.rates.Lane.reserved`. After a lost reply they may be reserved, and are lost: that
        makes the lane slower, never faster.
        """
        if count < 1:
            raise ValueError(f"{count} starts cannot be reserved")
        return await self._reserve(lane, pace, count)

    @abstractmethod
    def _reserve(self, lane: str, pace: Pace, count: int) -> Awaitable[Reservation]: ...

    async def give_back(self, lane: str, reserved: Reservation, unused: int) -> bool:
        """Reserved by this very reservation → with so many starts fewer, once.

        Also where others have reserved since: see `store.rates.Lane.given_back`. False where that
        cannot be any more, so that these starts are lost.
        """
        return await self._give_back(lane, reserved, unused) if unused > 0 else True

    @abstractmethod
    def _give_back(self, lane: str, reserved: Reservation, unused: int) -> Awaitable[bool]: ...

    async def hold(self, lane: str, seconds: float, *, at_least: bool = False) -> None:
        """Absent or present → without a start for so many seconds from now; 0 ends a hold.

        at_least: no shorter than it is held already. Twice holds it from the second time on.
        """
        await self._hold(lane, seconds, at_least)
        self._tell(Hint.WORK, None)

    @abstractmethod
    def _hold(self, lane: str, seconds: float, at_least: bool) -> Awaitable[object]: ...

    @abstractmethod
    async def states(self, limit: int, prefix: str = KEYLESS_RATE) -> dict[str, LaneState]:
        """Return how the lanes stand whose names begin with this, by name, at most `limit`."""
