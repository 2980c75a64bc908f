"""How many of many idle workers ask for one job, and how soon it begins.

    python -m benchmarks.wakeups --db mongodb://127.0.0.1:27017/ --workers 50 --jobs 20

The workers share one event loop, and each has a client of its own, as in a process of its own. They
are idle, and their sweeps far away; jobs come one by one. Counted is, for each job, which workers
send a claim from when it is scheduled until all turns are over; the time is from before the call
that schedules it to the handler's first line.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import statistics
import time
from contextlib import AsyncExitStack
from typing import Any

from pymongo import AsyncMongoClient, MongoClient, monitoring

from benchmarks.external import add_db
from job_processor import AbortController, JobDef, JobProcessor
from job_processor.store.contention import LAST

SWEEP = 3600.0
"""Seconds: no worker looks by itself."""

CLAIMS = {"findAndModify", "find"}


class Claims(monitoring.CommandListener):
    """Counts the claims of one worker: what it asks of the jobs with their names and states."""

    def __init__(self) -> None:
        self.count = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Count a claim."""
        command: Any = event.command
        if event.command_name in CLAIMS and command[event.command_name].endswith(".jobs"):
            asked = command.get("query") or command.get("filter") or {}
            self.count += "name" in asked and "$lte" in asked.get("scheduled_for", {})

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Count nothing."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Count nothing."""


async def _measure(db: str, workers: int, jobs: int) -> tuple[list[int], list[float]]:
    """Return how many workers asked for each job, and in how many milliseconds it began."""
    began: asyncio.Queue[float] = asyncio.Queue()

    async def nothing() -> None:
        began.put_nowait(time.perf_counter())

    asked: list[int] = []
    took: list[float] = []
    stop, claims = AbortController(), [Claims() for _ in range(workers)]
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        caller = await stack.enter_async_context(
            JobProcessor(db, jobs={"nothing": JobDef(nothing)})
        )
        for each in claims:
            client: AsyncMongoClient[Any] = AsyncMongoClient(db, event_listeners=[each])
            stack.push_async_callback(client.close)
            processor = JobProcessor(
                client.get_default_database(),
                jobs={"nothing": JobDef(nothing)},
                poll_interval=SWEEP,
            )
            await stack.enter_async_context(processor)
            group.create_task(processor.run_worker(stop.signal))
        await asyncio.sleep(15.0 + workers / 10)  # each has its stream, and has seen the others
        for _ in range(jobs):
            for each in claims:
                each.count = 0
            before = time.perf_counter()
            await caller.schedule_job("nothing")
            took.append((await began.get() - before) * 1000)
            await asyncio.sleep(3 * LAST)  # all turns are over
            asked.append(sum(each.count > 0 for each in claims))
        stop.abort()
    return asked, took


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add_db(parser)
    parser.add_argument("--workers", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=20)
    options = parser.parse_args()
    server, mark, query = options.db.partition("?")
    url = f"{server}_{secrets.token_hex(4)}{mark}{query}"
    try:
        asked, took = asyncio.run(_measure(url, options.workers, options.jobs))
    finally:
        with MongoClient[dict[str, Any]](url) as client:
            client.drop_database(client.get_default_database().name)
    print(
        f"{options.workers} idle workers: {statistics.median(asked):.0f} asked for a job "
        f"({min(asked)} to {max(asked)}); it began after {statistics.median(took):.1f} ms "
        f"({min(took):.1f} to {max(took):.1f})"
    )


if __name__ == "__main__":
    main()
