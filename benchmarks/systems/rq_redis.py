"""RQ on Redis."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from redis import Redis
from rq import Queue

from benchmarks import probe
from benchmarks.programs import PYTHON
from benchmarks.systems.base import Producer, System, Task, Variant

URL = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1")


def noop(n: int) -> None:
    """Count itself."""
    probe.hit()


def work(ms: int) -> None:
    """Wait."""
    probe.counter().begin()
    time.sleep(ms / 1000)
    probe.hit()


FUNCTIONS = {"noop": noop, "work": work}


class RqOnRedis(System):
    """RQ with SimpleWorker, which does not fork for each job: its fastest by far."""

    key = "rq"
    title = "RQ, Redis"
    server = "redis"
    packages = ("rq", "redis", "hiredis")
    variants = (Variant("SimpleWorker", 1),)
    bulk = "enqueue_many"
    share = 0.1

    def worker(self, variant: Variant) -> list[str]:
        """Return `rq worker`."""
        command = [PYTHON, "-m", "rq.cli", "worker", "--url", URL_OF_WORKER, "--quiet"]
        return [*command, "--worker-class", "rq.worker.SimpleWorker"]


URL_OF_WORKER = "$BENCH_REDIS_URL"
"""Replaced by the harness, which knows the port."""


class RqProducer(Producer):
    """Enqueues; results are not kept."""

    async def open(self) -> None:
        """Connect."""
        self._queue = Queue(connection=Redis.from_url(URL))

    async def one(self, task: Task, value: int) -> None:
        """Enqueue one."""
        self._queue.enqueue(FUNCTIONS[task], value, result_ttl=0)

    async def many(self, task: Task, values: Sequence[int]) -> None:
        """Enqueue many in one pipeline."""
        prepare, function = Queue.prepare_data, FUNCTIONS[task]
        self._queue.enqueue_many([prepare(function, (value,), result_ttl=0) for value in values])


SYSTEMS = (RqOnRedis(),)
PRODUCERS = {"rq": RqProducer}
