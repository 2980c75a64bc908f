"""A process in which many callers schedule until it is killed; each tells what was acknowledged.

python -m tests.acceptance.enqueueing DATABASE tasks|threads
"""

from __future__ import annotations

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from job_processor import JobDef, JobProcessor
from job_processor.sync import JobClient

JOBS = {"a": JobDef(None)}
CALLERS = 30


def acknowledge(caller: int, number: int, job_id: object) -> None:
    """Tell of a job, in one write."""
    os.write(1, f"{caller} {number} {job_id}\n".encode())


async def tasks(db_url: str) -> None:
    """Schedule from many tasks of one event loop."""

    async def caller(name: int) -> None:
        for number in range(100_000):
            payload = {"caller": name, "number": number}
            acknowledge(name, number, (await processor.schedule_job("a", payload)).id)

    async with JobProcessor(db_url, jobs=JOBS) as processor:
        await asyncio.gather(*map(caller, range(CALLERS)))


def threads(db_url: str) -> None:
    """Schedule from many threads."""

    def caller(name: int) -> None:
        for number in range(100_000):
            payload = {"caller": name, "number": number}
            acknowledge(name, number, client.schedule_job("a", payload).id)

    with JobClient(db_url, jobs=JOBS) as client, ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(caller, range(CALLERS)))


if __name__ == "__main__":
    if sys.argv[2] == "tasks":
        asyncio.run(tasks(sys.argv[1]))
    else:
        threads(sys.argv[1])
