"""ARQ on Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from benchmarks.programs import PYTHON
from benchmarks.systems.base import Producer, System, Task, Variant, concurrencies


class ArqOnRedis(System):
    """ARQ, on uvloop."""

    key = "arq"
    title = "ARQ, Redis"
    server = "redis"
    packages = ("arq", "redis", "hiredis", "uvloop")
    overlay = "arq"
    variants = concurrencies(10, 100, 500)
    bulk = "100 calls at once"

    def worker(self, variant: Variant) -> list[str]:
        """Return `arq`, which logs each job unless it is told not to."""
        app = "benchmarks.systems.arq_app"
        command = [PYTHON, "-m", "arq", f"{app}.WorkerSettings"]
        return [*command, "--custom-log-dict", f"{app}.LOGGING"]


class ArqProducer(Producer):
    """Enqueues."""

    async def open(self) -> None:
        """Connect."""
        from arq import create_pool

        from benchmarks.systems import arq_app

        self._redis = await create_pool(arq_app.SETTINGS)

    async def one(self, task: Task, value: int) -> None:
        """Enqueue one."""
        await self._redis.enqueue_job(task, value)

    async def many(self, task: Task, values: Sequence[int]) -> None:
        """Enqueue a hundred at once: it has no bulk call."""
        for start in range(0, len(values), 100):
            part = values[start : start + 100]
            await asyncio.gather(*(self._redis.enqueue_job(task, value) for value in part))


SYSTEMS = (ArqOnRedis(),)
PRODUCERS = {"arq": ArqProducer}
