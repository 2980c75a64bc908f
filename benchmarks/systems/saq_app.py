"""The application of SAQ's worker, imported only where its own redis client is."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from saq import Queue

from benchmarks import loops, probe

loops.install()
queue = Queue.from_url(os.environ["BENCH_REDIS_URL"])


async def noop(ctx: Any, *, n: int) -> None:
    """Count itself."""
    probe.hit()


async def work(ctx: Any, *, n: int) -> None:
    """Wait."""
    probe.counter().begin()
    await asyncio.sleep(n / 1000)
    probe.hit()


settings = {
    "queue": queue,
    "functions": [("noop", noop), ("work", work)],
    "concurrency": int(os.environ["BENCH_CONCURRENCY"]),
}
