"""SAQ on Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from benchmarks.programs import PYTHON
from benchmarks.systems.base import Producer, System, Task, Variant, concurrencies

NO_RESULT = -1  # a job's ttl: it is deleted once it has ended


class SaqOnRedis(System):
    """SAQ, on uvloop."""

    key = "saq"
    title = "SAQ, Redis"
    server = "redis"
    packages = ("saq", "redis", "hiredis", "uvloop")
    overlay = "saq"
    variants = concurrencies(10, 100, 500)
    bulk = "100 calls at once"

    def worker(self, variant: Variant) -> list[str]:
        """Return `saq`."""
        return [PYTHON, "-m", "saq", "benchmarks.systems.saq_app.settings", "--quiet"]


class SaqProducer(Producer):
    """Enqueues."""

    async def open(self) -> None:
        """Connect."""
        from benchmarks.systems.saq_app import queue

        self._queue = queue
        await queue.connect()

    async def one(self, task: Task, value: int) -> None:
        """Enqueue one."""
        await self._queue.enqueue(task, n=value, ttl=NO_RESULT)

    async def many(self, task: Task, values: Sequence[int]) -> None:
        """Enqueue a hundred at once: it has no bulk call."""
        for start in range(0, len(values), 100):
            part = values[start : start + 100]
            await asyncio.gather(*(self.one(task, value) for value in part))

    async def close(self) -> None:
        """Disconnect."""
        await self._queue.disconnect()


SYSTEMS = (SaqOnRedis(),)
PRODUCERS = {"saq": SaqProducer}
