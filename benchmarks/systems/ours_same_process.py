"""A program that schedules jobs and runs them in one event loop; prints its pickup times in ms."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time

from benchmarks.systems.ours_app import make
from job_processor import AbortController


async def pick_up(samples: int) -> list[float]:
    """Schedule one job after the other; return the ms from each call to its handler."""
    processor, stop = make(), AbortController()
    ran: asyncio.Queue[int] = asyncio.Queue()

    async def note() -> None:
        ran.put_nowait(time.monotonic_ns())

    processor.job("note")(note)
    times = []
    async with processor:
        worker = asyncio.create_task(processor.run_worker(stop.signal))
        for number in range(samples + 1):
            await asyncio.sleep(random.uniform(0.05, 0.15))
            began = time.monotonic_ns()
            await processor.schedule_job("note")
            took = (await asyncio.wait_for(ran.get(), 30) - began) / 1e6
            if number:  # the first finds a worker that has just started
                times.append(took)
        stop.abort()
        await worker
    return times


if __name__ == "__main__":
    print(json.dumps(asyncio.run(pick_up(int(sys.argv[1])))))
