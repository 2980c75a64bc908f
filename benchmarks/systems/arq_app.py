"""The application of ARQ's worker, imported only where its own redis client is."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from arq.connections import RedisSettings
from arq.worker import func

from benchmarks import loops, probe

loops.install()
SETTINGS = RedisSettings.from_dsn(os.environ["BENCH_REDIS_URL"])
LOGGING = {"version": 1, "loggers": {"arq": {"level": "ERROR"}}}


async def noop(ctx: dict[Any, Any], n: int) -> None:
    """Count itself."""
    probe.hit()


async def work(ctx: dict[Any, Any], ms: int) -> None:
    """Wait."""
    probe.counter().begin()
    await asyncio.sleep(ms / 1000)
    probe.hit()


class WorkerSettings:
    """What `arq` reads."""

    functions = (func(noop, keep_result=0), func(work, keep_result=0))  # results are not kept
    redis_settings = SETTINGS
    max_jobs = int(os.environ["BENCH_CONCURRENCY"])
    poll_delay = 0.01  # seconds; with its default of 0.5 a job waits up to so long
    log_results = False
