"""Messages by name, kept for a time, and the jobs that wait for them."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bson import ObjectId

from job_processor.errors import StoreError
from job_processor.models import Message
from job_processor.store.desks.desk import Desk
from job_processor.store.hints import Hint, Tell
from job_processor.store.messages import Wait
from job_processor.store.requests import Outcome

if TYPE_CHECKING:
    from job_processor.store.base import Store

_logger = logging.getLogger("job_processor")

_WOKEN_AT_ONCE = 1000
"""Jobs of one write that have waited for one message."""


class Messages(Desk, ABC):
    """Messages by name, kept for a time, and the jobs that wait for them.

    Whoever sends writes the message first and then looks who waits for it; whoever waits writes
    that first and then looks for the message. So of two that race, one sees the other.
    """

    def __init__(self, tell: Tell, store: Store) -> None:
        super().__init__(tell, store)
        self.on_wait: Callable[[datetime], object] = lambda _: None
        """Called with the time until when a job of this process begins to wait."""

    async def put(self, message: Message) -> bool:
        """Absent, or its time over → as given; False where another one of its name is there.

        A repetition after a lost reply says the same. The jobs that wait for it are let go on by
        `deliver`.
        """
        return await self._put(message)

    @abstractmethod
    def _put(self, message: Message) -> Awaitable[bool]: ...

    @abstractmethod
    async def put_in(self, session: Any, message: Message) -> bool:
        """Do as `put` and `deliver` do, as a part of the caller's transaction.

        Raises InvalidArgumentError when `session` is none of this database. Errors of the caller's
        driver are not translated: it may have to repeat the transaction.
        """

    async def find(self, topics: Collection[str], now: datetime) -> dict[str, Message]:
        """Return the messages of these names that are there, by name."""
        return await self._find(topics, now) if topics else {}

    @abstractmethod
    def _find(self, topics: Collection[str], now: datetime) -> Awaitable[dict[str, Message]]: ...

    async def deliver(self, topics: Collection[str], now: datetime) -> int:
        """Parked for one of these messages → in its line, or as any job, now; return how many."""
        delivered = 0
        for topic in topics:
            while waiting := await self.waiting_for(topic, _WOKEN_AT_ONCE):
                woken = await self.wake(waiting, now)
                delivered += woken
                if woken < _WOKEN_AT_ONCE:
                    break
        return delivered

    async def waiting_for(self, topic: str, limit: int) -> list[ObjectId]:
        """Return the jobs that are parked for a message, alone or among several."""
        return await self._waiting_for(topic, limit) if limit > 0 else []

    @abstractmethod
    def _waiting_for(self, topic: str, limit: int) -> Awaitable[list[ObjectId]]: ...

    async def wake(self, job_ids: Collection[ObjectId], at: datetime | None = None) -> int:
        """Parked for a message → in the line of its lane, or as any job; return how many.

        It stands there at `at`, or at the time until when it waits. Repeating is harmless.
        """
        woken = await self._wake(job_ids, at) if job_ids else 0
        if woken:
            self._tell(Hint.WORK, None)
        return woken

    @abstractmethod
    def _wake(self, job_ids: Collection[ObjectId], at: datetime | None) -> Awaitable[int]: ...

    async def waiting(self, limit: int, after: Wait | None = None) -> list[Wait]:
        """Return what waits for messages, by the time until when, behind one, at most `limit`."""
        return await self._waiting(limit, after) if limit > 0 else []

    @abstractmethod
    def _waiting(self, limit: int, after: Wait | None) -> Awaitable[list[Wait]]: ...

    async def waited(self, waits: Sequence[Outcome]) -> None:
        """Let go on what was just parked for a message that is there already.

        What fails is left to the sweep: that it waits is written.
        """
        for each in waits:
            if each.scheduled_for is not None:
                self.on_wait(each.scheduled_for)
        now = max(each.at for each in waits)
        try:
            there = await self.find({topic for each in waits for topic in each.topics}, now)
            await self.deliver(there, now)
        except StoreError as error:
            _logger.warning("messages: %s; who waits for one is found by the next sweep", error)
