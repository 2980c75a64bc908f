"""Lets go on what waits for a message: at the end of its time, and what somebody owes it.

Whoever sends a message lets go on what waits for it, and whoever begins to wait looks for the
message, in a write of its own: between the two it may die. So now and then one of the workers walks
along what waits, a bounded number of it, from where the last one stopped.
"""

from __future__ import annotations

import asyncio
import random
import time
from datetime import datetime

from bson import ObjectId

from job_processor.clock import from_ms, to_ms
from job_processor.store.messages import Wait
from job_processor.tasks import Trouble, set_within
from job_processor.worker.engine import Engine
from job_processor.worker.turns import Turn

AT_ONCE = 1000
"""Jobs of one look, and of one sweep."""


class MessageWatch:
    """Looks after the jobs that wait for messages."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._messages = engine.store.messages
        self._turn = Turn(engine, "messages")
        self._news = asyncio.Event()
        self._next: datetime | None = None
        """Until when the first of them waits."""
        self._messages.on_wait = self._on_wait

    async def run(self) -> None:
        """Look when a wait is over, and sweep now and then, until cancelled."""
        trouble = Trouble(self._engine.logger, "messages")
        interval = self._engine.settings.worker_timeout
        sweep_at = time.monotonic() + interval * random.uniform(0.1, 0.5)
        while True:
            self._news.clear()
            if not await trouble.attempt(self.look):
                continue
            await set_within(self._news, min(self._until_next(), sweep_at - time.monotonic()))
            if time.monotonic() >= sweep_at and await trouble.attempt(self.sweep):
                sweep_at = time.monotonic() + interval * random.uniform(0.4, 0.6)

    async def look(self) -> None:
        """Let go on what has waited long enough; raises StoreError."""
        now, limit = self._engine.clock.now(), 1
        while True:
            waits = await self._messages.waiting(limit)
            over = [each.job_id for each in waits if each.until <= now]
            self._next = waits[0].until if waits else None
            if not over or not await self._messages.wake(over):
                return
            limit = AT_ONCE

    async def sweep(self) -> bool:
        """Walk along some of what waits, unless somebody did so; raises StoreError."""
        if not await self._messages.waiting(1):
            return False
        position = await self._turn.win(await self._engine.store.ping())
        if position is None:
            return False
        waits = await self._messages.waiting(AT_ONCE, _wait_at(position))
        now = self._engine.clock.now()
        topics = {topic for each in waits for topic in each.topics}
        there = await self._messages.find(topics, now)
        owed = [each.job_id for each in waits if not there.keys().isdisjoint(each.topics)]
        await self._messages.wake(owed, now)
        await self._turn.note(_position_of(waits[-1]) if len(waits) == AT_ONCE else "")
        return bool(owed)

    def _on_wait(self, until: datetime) -> None:
        if self._next is None or until < self._next:
            self._news.set()

    def _until_next(self) -> float:
        if self._next is None:
            return self._engine.settings.worker_timeout
        return max((self._next - self._engine.clock.now()).total_seconds(), 0)


def _position_of(wait: Wait) -> str:
    return f"{to_ms(wait.until)} {wait.job_id}"


def _wait_at(position: str) -> Wait | None:
    """Return where a sweep goes on; None: at the beginning."""
    until, _, job_id = position.partition(" ")
    if not until.isdecimal() or not ObjectId.is_valid(job_id):
        return None
    return Wait(from_ms(int(until)), ObjectId(job_id), ())
