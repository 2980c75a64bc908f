"""Dramatiq on Redis."""

from __future__ import annotations

import os
import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks import probe
from benchmarks.programs import PYTHON
from benchmarks.systems.base import Producer, System, Task, Variant, argument, threads

# Its default middleware, as most users run it.
broker = RedisBroker(url=os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1"))
dramatiq.set_broker(broker)


def noop(n: int) -> None:
    """Count itself."""
    probe.hit()


def work(ms: int) -> None:
    """Wait."""
    probe.counter().begin()
    time.sleep(ms / 1000)
    probe.hit()


ACTORS = {"noop": dramatiq.actor(noop), "work": dramatiq.actor(work)}


class DramatiqOnRedis(System):
    """Dramatiq in one process."""

    key = "dramatiq"
    title = "Dramatiq, Redis"
    server = "redis"
    packages = ("dramatiq", "redis", "hiredis")
    variants = threads(8, 1, 32, 100)

    def worker(self, variant: Variant) -> list[str]:
        """Return `dramatiq` with one process."""
        command = [PYTHON, "-m", "dramatiq", "benchmarks.systems.dramatiq_redis"]
        return [*command, "--processes", "1", "--threads", argument(variant.options)]


class DramatiqProducer(Producer):
    """Sends."""

    async def one(self, task: Task, value: int) -> None:
        """Send one."""
        ACTORS[task].send(value)


SYSTEMS = (DramatiqOnRedis(),)
PRODUCERS = {"dramatiq": DramatiqProducer}
