"""Jobs that wait for a start, in lanes of rates that have a key: see `store/tokens.py`."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from bson import ObjectId

from job_processor.errors import StoreError
from job_processor.store.desks.desk import Desk
from job_processor.store.hints import Hint, Tell
from job_processor.store.rates import Pace, Reservation
from job_processor.store.tokens import FOLLOWERS, RateBook

if TYPE_CHECKING:
    from job_processor.store.base import Store

_logger = logging.getLogger("job_processor")


class Tokens(Desk, ABC):
    """Jobs that wait for a start, in lanes of rates that have a key: see `store/tokens.py`."""

    def __init__(self, tell: Tell, store: Store) -> None:
        super().__init__(tell, store)
        self.book = RateBook()
        """The rates, as this process knows them."""

    async def admit(self, lanes: Collection[str]) -> int:
        """Parked for a token, the first of their lane → dated; return how many.

        As far as the rate lets them. Where it lets none, and nobody is in line, the first of them
        is the next one. A lane whose rate nobody knows here is left to the sweep, as it is when
        this fails.
        """
        paces = {lane: rate.pace for lane in lanes if (rate := self.book.of(lane)) is not None}
        if not paces:
            return 0
        try:
            admitted = await self._admit(paces, FOLLOWERS, self.book.names())
        except StoreError as error:
            _logger.warning("rates: %s; the next sweep finds the waiting jobs", error)
            return 0
        if admitted:
            self._tell(Hint.WORK, None)
        return admitted

    def note(self, lane: str, reserved: Reservation) -> None:
        """Note a lane whose clock was wrong, for whoever warns of it."""
        if reserved.ahead:
            self.book.wrong[lane] = reserved.ahead

    @abstractmethod
    def _admit(
        self, lanes: Mapping[str, Pace], limit: int, names: Collection[str]
    ) -> Awaitable[int]:
        """Do so, in each lane for so many at most, of these names."""

    async def recall(self, group: str, after: datetime, at: datetime) -> int:
        """Dated or the next one, later than `after`, in lanes of a group → the next one, at `at`.

        Returns how many. Their tokens are lost. For a rate that was changed.
        """
        recalled = await self._recall(group, after, at)
        if recalled:
            self._tell(Hint.WORK, None)
        return recalled

    @abstractmethod
    def _recall(self, group: str, after: datetime, at: datetime) -> Awaitable[int]: ...

    async def hasten(self, lane: str, at: datetime) -> int:
        """The next one of a lane, later than this → at this moment; return how many.

        For a hold that ends sooner than it was to.
        """
        hastened = await self._hasten(lane, at)
        if hastened:
            self._tell(Hint.WORK, None)
        return hastened

    @abstractmethod
    def _hasten(self, lane: str, at: datetime) -> Awaitable[int]: ...

    async def withdraw(
        self, lanes: Collection[str], before: datetime, names: Collection[str]
    ) -> int:
        """Dated or the next one, ready before a time, of none of these names → parked for a token.

        Returns how many: for jobs that nobody claims, which let nobody follow.
        """
        return await self._withdraw(lanes, before, names) if lanes else 0

    @abstractmethod
    def _withdraw(
        self, lanes: Collection[str], before: datetime, names: Collection[str]
    ) -> Awaitable[int]: ...

    async def dissolve(self, lanes: Collection[str], names: Collection[str], limit: int) -> int:
        """Waiting in these lanes, of these names → in none of a rate, at most `limit`.

        Returns how many; for names whose rate is no more. What has a limit waits for that.
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

    async def waiting(self, after: str, limit: int) -> list[str]:
        """Return the lanes in which anything waits, by name, behind one, at most `limit`."""
        return await self._waiting(after, limit) if limit > 0 else []

    @abstractmethod
    def _waiting(self, after: str, limit: int) -> Awaitable[list[str]]: ...

    @abstractmethod
    async def lanes_of(self, job_ids: Collection[ObjectId]) -> set[str]:
        """Return the lanes in which any of these jobs waits."""
