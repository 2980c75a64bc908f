"""Jobs that wait for a slot of their lane, or are parked for another reason."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from bson import ObjectId

from job_processor.errors import StoreError
from job_processor.handlers.lanes import has_key
from job_processor.store.desks.desk import Desk
from job_processor.store.hints import Hint, Tell
from job_processor.store.lanes import Bounds, LaneClaim, LaneInfo, LimitBook, Taken

if TYPE_CHECKING:
    from job_processor.store.base import Store

_logger = logging.getLogger("job_processor")


class Lanes(Desk, ABC):
    """Jobs that wait for a slot of their lane, or are parked for another reason.

    Whoever frees a slot writes that first and then looks for whom it is; whoever finds none parks
    the job first and then looks whether one is free. So of two that race, one sees the other.
    """

    def __init__(self, tell: Tell, store: Store) -> None:
        super().__init__(tell, store)
        self.book = LimitBook()
        """The limits, as this process knows them."""

    async def claim(self, claim: LaneClaim) -> Taken:
        """In line, due, of these names → running under the worker, with a slot of their lane.

        Where there is a limit. In an ordered lane it is the lane's next that runs, and not whoever
        met the free slot. What finds a lane of a key full is parked, with others that wait there;
        of a lane without a key it is left where it stands. After a lost reply the claimed runs
        stand under the worker's id: see `Runs.of_worker`.
        """
        if not claim.names or claim.limit < 1:
            return Taken([], blocked=False)
        return await self._claim(claim)

    @abstractmethod
    def _claim(self, claim: LaneClaim) -> Awaitable[Taken]: ...

    async def hand_over(self, lanes: Collection[str]) -> int:
        """Waiting, the next of its lane → admitted: with a slot, in line, from now on.

        What stands in line already keeps its place: a claim that has begun is to meet it still.
        As many as are free in each of the lanes; returns how many. A lane whose limit nobody knows
        here is left to the sweep, as it is when this fails: the write that freed the slot holds.
        Of a lane without a key nobody is parked: who stands in line is for the next claim.
        """
        if not all(map(has_key, lanes)):
            self._tell(Hint.FREED, None)
        keyed = [lane for lane in lanes if has_key(lane) and self.book.amount(lane) is not None]
        if not keyed:
            return 0
        try:
            await self.book.refresh()
            known = {lane: self.book.amount(lane) or 1 for lane in keyed}
            admitted = await self._hand_over(known, self.book.names(), self.book.now())
        except StoreError as error:
            _logger.warning("lanes: %s; the next sweep finds the waiting jobs", error)
            return 0
        if admitted:
            self._tell(Hint.WORK, None)
        return admitted

    @abstractmethod
    def _hand_over(
        self, lanes: Mapping[str, int], names: Collection[str], now: datetime
    ) -> Awaitable[int]:
        """Admit the next of each lane, as far as its limit allows, of these names.

        In an ordered lane whose next is of no such name nobody is admitted.
        """

    async def park(self, job_ids: Collection[ObjectId], reason: str, now: datetime) -> int:
        """Pending without a slot, in line or in no lane → parked for `reason`; return how many.

        One that is parked already keeps its reason. Repeating is harmless.
        """
        return await self._park(job_ids, reason, now) if job_ids else 0

    @abstractmethod
    def _park(
        self, job_ids: Collection[ObjectId], reason: str, now: datetime
    ) -> Awaitable[int]: ...

    async def release(
        self, job_ids: Collection[ObjectId], now: datetime, at: datetime | None = None
    ) -> int:
        """Parked → in the line of its lane, or as any job where it has none; return how many.

        It stands there at `at`, or at its own time. Repeating is harmless.
        """
        released = await self._release(job_ids, now, at) if job_ids else 0
        if released:
            self._tell(Hint.WORK, None)
        return released

    @abstractmethod
    def _release(
        self, job_ids: Collection[ObjectId], now: datetime, at: datetime | None
    ) -> Awaitable[int]: ...

    async def withdraw(
        self, lanes: Collection[str], before: datetime, names: Collection[str]
    ) -> int:
        """Admitted before a time and of none of these names → parked; return how many.

        For jobs that nobody claims: their slots are for others. An ordered lane stays as it is.
        """
        return await self._withdraw(lanes, before, names) if lanes else 0

    @abstractmethod
    def _withdraw(
        self, lanes: Collection[str], before: datetime, names: Collection[str]
    ) -> Awaitable[int]: ...

    async def retract(self, lanes: Collection[str]) -> int:
        """Admitted with a slot beyond the limit of its lane → parked; return how many.

        For a limit that was lowered: what runs goes on, and what had not begun waits again.
        """
        known = {lane: amount for lane in lanes if (amount := self.book.amount(lane)) is not None}
        return await self._retract(known) if known else 0

    @abstractmethod
    def _retract(self, lanes: Mapping[str, int]) -> Awaitable[int]: ...

    async def dissolve(self, lanes: Collection[str], names: Collection[str], limit: int) -> int:
        """Waiting in these lanes, of these names → in none, at most `limit`; return how many.

        For names whose limit is no more.
        """
        asked = bool(lanes and names) and limit > 0
        dissolved = await self._dissolve(lanes, names, limit) if asked else 0
        if dissolved:
            self._tell(Hint.WORK, None)
        return dissolved

    @abstractmethod
    def _dissolve(
        self, lanes: Collection[str], names: Collection[str], limit: int
    ) -> Awaitable[int]: ...

    async def expire(self, now: datetime, limit: int) -> int:
        """Waiting unbegun without a slot, and expired → in no lane, at its time; return how many.

        At most `limit`, those that expired first. A claim then ends it as any other that expired.
        """
        expired = await self._expire(now, limit) if limit > 0 else 0
        if expired:
            self._tell(Hint.WORK, None)
        return expired

    @abstractmethod
    def _expire(self, now: datetime, limit: int) -> Awaitable[int]: ...

    async def waiting(self, after: str, limit: int) -> list[str]:
        """Return the lanes in which anything waits, by name, behind one, at most `limit`."""
        return await self._waiting(after, limit) if limit > 0 else []

    @abstractmethod
    def _waiting(self, after: str, limit: int) -> Awaitable[list[str]]: ...

    async def in_use(self, bounds: Sequence[Bounds], limit: int) -> list[str]:
        """Return the lanes in which anything waits or has a slot, by name; of each of the bounds.

        At most about `limit` of each: where there are more, which ones is left open.
        """
        return await self._in_use(bounds, limit) if bounds and limit > 0 else []

    @abstractmethod
    def _in_use(self, bounds: Sequence[Bounds], limit: int) -> Awaitable[list[str]]: ...

    async def look_at(self, lanes: Sequence[str], cap: int) -> list[LaneInfo]:
        """Return how these lanes stand, in their order, each count exact up to `cap`."""
        return await self._look_at(lanes, cap) if lanes else []

    @abstractmethod
    def _look_at(self, lanes: Sequence[str], cap: int) -> Awaitable[list[LaneInfo]]: ...

    async def members(self, lane: str, limit: int) -> tuple[list[ObjectId], list[ObjectId]]:
        """Return the jobs of a lane that have a slot, and those that are to have one, next first.

        At most `limit` of each.
        """
        return await self._members(lane, limit) if limit > 0 else ([], [])

    @abstractmethod
    def _members(
        self, lane: str, limit: int
    ) -> Awaitable[tuple[list[ObjectId], list[ObjectId]]]: ...

    async def parked(self, names: Collection[str], cap: int) -> dict[str, int]:
        """Count the parked jobs of each name, for whatever reason, each count exact up to `cap`.

        What is 0 is left out.
        """
        return await self._parked(names, cap) if names else {}

    @abstractmethod
    def _parked(self, names: Collection[str], cap: int) -> Awaitable[dict[str, int]]: ...

    @abstractmethod
    async def holding(self, job_ids: Collection[ObjectId]) -> dict[ObjectId, str]:
        """Return the lanes of those of these jobs that have a slot."""

    async def next_ready(
        self, names: Collection[str], after: datetime | None = None
    ) -> datetime | None:
        """Return when the first job of these names is ready that is in line; None: none is.

        after: only what is ready later than that counts.
        """
        return await self._next_ready(names, after) if names else None

    @abstractmethod
    def _next_ready(
        self, names: Collection[str], after: datetime | None
    ) -> Awaitable[datetime | None]: ...
