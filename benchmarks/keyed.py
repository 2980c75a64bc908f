"""What rates with a key hold: many keys with a queue each, and the starts of each one counted.

Of each start two moments are written down by its process: when it was claimed, which is when its
start was given, and when its handler began.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from bisect import bisect_right
from collections import defaultdict
from pathlib import Path

from job_processor import (
    AbortController,
    Event,
    EventKind,
    JobDef,
    JobProcessor,
    JobRequest,
    Rate,
    SimpleJob,
)

ROOT = Path(__file__).parents[1]
KEYS = 100
RATES = (Rate(1, per=1, key=True), Rate(5, per=1, key=True))
WORKERS = (1, 3, 10)


def rates_of_keys(arguments: argparse.Namespace) -> None:
    """Measure, and print a table."""
    print(f"| rate of {KEYS} keys | workers | reached | claimed in a second | begun | allowed |")
    print("| --- | --- | --- | --- | --- | --- |")
    for rate in RATES:
        for workers in WORKERS:
            starts, began = measured(arguments.db, rate, workers, arguments.seconds)
            ended = began + arguments.seconds
            within = [
                claimed
                for key in starts.values()
                for claimed, _ in key
                if began + 2 < claimed < ended
            ]
            reached = len(within) / (arguments.seconds - 2) / (rate.amount * KEYS)
            claimed, begun = (
                max(
                    most_in_a_second(sorted(each[place] for each in key)) for key in starts.values()
                )
                for place in (0, 1)
            )
            allowed = rate.amount + rate.at_once
            print(
                f"| {rate} | {workers} | {reached:.1%} | {claimed} | {begun} | {allowed} |",
                flush=True,
            )


Starts = dict[str, list[tuple[float, float]]]
"""By key: when each start was claimed, and when its handler began."""


def measured(db: str | None, rate: Rate, workers: int, seconds: float) -> tuple[Starts, float]:
    """Return the starts, and since when all workers worked."""
    with tempfile.TemporaryDirectory() as folder:
        address = db or f"sqlite:///{folder}/jobs.db"
        asyncio.run(fill(address, rate, int(rate.amount * (seconds + 20))))
        files = [Path(folder) / f"{number}.txt" for number in range(workers)]
        command = [sys.executable, "-m", "benchmarks.keyed", address, str(rate.amount)]
        children = [
            subprocess.Popen(
                [*command, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
            )
            for file in files
        ]
        for child in children:
            assert child.stdout is not None
            child.stdout.readline()  # it works
        began = time.time()
        time.sleep(seconds)
        for child in children:
            assert child.stdin is not None
            child.stdin.close()
        for child in children:
            child.wait()
        starts: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        for file in files:
            for line in file.read_text().splitlines():
                key, claimed, begun = line.split()
                starts[key].append((float(claimed), float(begun)))
    return dict(starts), began


async def fill(db: str, rate: Rate, count: int) -> None:
    """Let so many jobs of each key wait, and no others."""
    async with JobProcessor(db, jobs={"job": JobDef(None, rate=rate)}) as processor:
        await processor.act_on_jobs("delete", name="job")
        requests = (JobRequest("job", rate_key=key) for _ in range(count) for key in range(KEYS))
        await processor.schedule_jobs(requests, return_jobs=False)


async def work(db: str, rate: Rate) -> list[str]:
    """Work until standard input ends; return each start."""
    starts: list[str] = []

    async def handler(job: SimpleJob) -> None:
        claimed = job.updated_at.timestamp()
        starts.append(f"{job.rate_lane} {claimed} {time.time()}")

    def tell(event: Event) -> None:
        if event.kind is EventKind.WORKER_STARTED:
            print("works", flush=True)

    stop = AbortController()
    async with JobProcessor(db, jobs={"job": JobDef(handler, rate=rate)}) as processor:
        processor.listen(tell)
        worker = asyncio.create_task(processor.run_worker(stop.signal))
        await asyncio.to_thread(sys.stdin.read)
        stop.abort()
        await worker
    return starts


def most_in_a_second(starts: list[float]) -> int:
    """Return the most starts in any second."""
    return max(bisect_right(starts, start + 0.999) - n for n, start in enumerate(starts))


if __name__ == "__main__":
    database, amount, path = sys.argv[1:]
    found = asyncio.run(work(database, Rate(int(amount), per=1, key=True)))
    Path(path).write_text("\n".join(found))
