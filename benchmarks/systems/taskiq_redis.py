"""TaskIQ on a Redis list."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from taskiq_redis import ListQueueBroker

from benchmarks import probe
from benchmarks.programs import PYTHON
from benchmarks.systems.base import Producer, System, Task, Variant, argument, concurrencies

# Without a result backend: its default keeps none.
broker = ListQueueBroker(os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1"))


async def noop(n: int) -> None:
    """Count itself."""
    probe.hit()


async def work(ms: int) -> None:
    """Wait."""
    probe.counter().begin()
    await asyncio.sleep(ms / 1000)
    probe.hit()


TASKS = {
    "noop": broker.register_task(noop, task_name="noop"),
    "work": broker.register_task(work, task_name="work"),
}


class TaskiqOnRedis(System):
    """TaskIQ in one process; its worker takes uvloop by itself."""

    key = "taskiq"
    title = "TaskIQ, Redis list"
    server = "redis"
    packages = ("taskiq", "taskiq-redis", "redis", "hiredis", "uvloop")
    variants = concurrencies(100, 10, 500)
    bulk = "100 calls at once"

    def worker(self, variant: Variant) -> list[str]:
        """Return `taskiq worker`, which fetches ahead what it will run next."""
        broker = "benchmarks.systems.taskiq_redis:broker"
        number = argument(variant.options)
        command = [PYTHON, "-m", "taskiq", "worker", broker, "--workers", "1"]
        command += ["--max-async-tasks", number, "--max-prefetch", number]
        # The arguments are of plain types: nothing to convert.
        return [*command, "--no-parse", "--log-level", "ERROR"]


class TaskiqProducer(Producer):
    """Sends."""

    async def open(self) -> None:
        """Connect."""
        await broker.startup()

    async def one(self, task: Task, value: int) -> None:
        """Send one."""
        await TASKS[task].kiq(value)

    async def many(self, task: Task, values: Sequence[int]) -> None:
        """Send a hundred at once: it has no bulk call."""
        for start in range(0, len(values), 100):
            part = values[start : start + 100]
            await asyncio.gather(*(TASKS[task].kiq(value) for value in part))

    async def close(self) -> None:
        """Disconnect."""
        await broker.shutdown()


SYSTEMS = (TaskiqOnRedis(),)
PRODUCERS = {"taskiq": TaskiqProducer}
