"""Celery on Redis."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from celery import Celery, chain, chord

from benchmarks import probe
from benchmarks.programs import PYTHON
from benchmarks.systems.base import Producer, System, Task, Variant

app = Celery("benchmark", broker=os.environ.get("BENCH_REDIS_URL", "redis://"))
app.conf.update(
    task_ignore_result=True,  # users who want speed have no result backend
    task_store_errors_even_if_ignored=False,
    worker_prefetch_multiplier=64,  # its guide: many, for tasks as short as these
    worker_disable_rate_limits=True,  # its guide: spares each task a look
    worker_send_task_events=False,
    broker_pool_limit=10,
    broker_connection_retry_on_startup=True,
)

if os.environ.get("BENCH_RESULTS"):  # a chord counts its members in the result backend
    app.conf.update(task_ignore_result=False, result_backend=os.environ["BENCH_REDIS_URL"])


def noop(n: int) -> None:
    """Count itself."""
    probe.hit()


def work(ms: int) -> None:
    """Wait."""
    probe.counter().begin()
    time.sleep(ms / 1000)
    probe.hit()


TASKS = {"noop": app.task(noop, name="noop"), "work": app.task(work, name="work")}


def _variant(pool: str, number: int) -> Variant:
    return Variant(f"{pool}, {number}", number, {"POOL": pool, "NUMBER": str(number)})


class CeleryOnRedis(System):
    """Celery, in whichever of its pools is the fastest."""

    key = "celery"
    title = "Celery, Redis"
    server = "redis"
    packages = ("celery", "kombu", "redis", "hiredis")
    # A prefork worker of n has n + 1 processes.
    variants = (
        _variant("threads", 10),
        _variant("threads", 100),
        _variant("prefork", 1),
        _variant("prefork", 2),
        _variant("solo", 1),
    )

    def worker(self, variant: Variant) -> list[str]:
        """Return `celery worker` without the talk between workers that one alone needs not."""
        options = variant.options
        command = [PYTHON, "-m", "celery", "-A", "benchmarks.systems.celery_redis", "worker"]
        command += ["--pool", options["POOL"], "--concurrency", options["NUMBER"]]
        command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        return [*command, "--loglevel", "ERROR"]


class CeleryProducer(Producer):
    """Sends through one producer that it keeps."""

    async def open(self) -> None:
        """Connect."""
        self._producer = app.amqp.producer_pool.acquire(block=True)

    async def one(self, task: Task, value: int) -> None:
        """Send one."""
        TASKS[task].apply_async((value,), producer=self._producer)

    async def many(self, task: Task, values: Sequence[int]) -> None:
        """Send one after the other: it has no bulk call."""
        for value in values:
            TASKS[task].apply_async((value,), producer=self._producer)

    async def fan_in(self, count: int) -> None:
        """Send a chord."""
        task = TASKS["noop"]
        chord(task.s(value) for value in range(count))(task.si(0))

    async def chains(self, count: int, length: int) -> None:
        """Send one canvas a chain."""
        task = TASKS["noop"]
        for _ in range(count):
            chain(*(task.si(value) for value in range(length))).apply_async()


SYSTEMS = (CeleryOnRedis(),)
PRODUCERS = {"celery": CeleryProducer}
