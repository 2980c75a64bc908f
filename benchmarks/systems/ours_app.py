"""The application of our workers: `job-processor worker benchmarks.systems.ours_app:make`."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from benchmarks import loops, probe
from job_processor import JobProcessor

loops.install()
if os.environ.get("BENCH_COUNT"):
    from benchmarks.systems import ours_counting

    ours_counting.install()


async def noop() -> None:
    """Count itself."""
    probe.hit()


async def work(payload: dict[str, Any]) -> None:
    """Wait, as a job does that asks another service."""
    probe.counter().begin()
    await asyncio.sleep(payload["n"] / 1000)
    probe.hit()


def make(db: str | None = None) -> JobProcessor:
    """Return a processor with the handlers and, where asked for, many more names and tags."""
    processor = JobProcessor(
        db or os.environ["BENCH_DB"], concurrency=int(os.environ.get("BENCH_CONCURRENCY", "10"))
    )
    processor.job("noop")(noop)
    processor.job("work")(work)
    for i in range(int(os.environ.get("BENCH_NAMES", "0"))):
        processor.job(f"noop_{i}", tag=f"tag_{i % 10}")(noop)
    return processor
