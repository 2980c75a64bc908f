"""What batch handlers bring: `python -m benchmarks.batches`.

A queue of no-op jobs in an SQLite file is emptied by one process: by bare SQL in hundreds, one job
at a time, and in batches; each in a process and a file of its own, run 1 of each, then run 2 of
each. Figures are medians of the rounds: jobs a second, and the processor time of all threads for a
job, which is moved less by other work on the machine. The bars: in batches at least half of bare
SQL, and twice one at a time, by the clock.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import probe
from benchmarks.systems import raw_sqlite
from benchmarks.systems.raws import HUNDRED
from job_processor import JobProcessor

ROOT = Path(__file__).parents[1]
CONCURRENCY = 100
"""Of one at a time: the best that `drain` finds."""

BARE, ALONE, BATCHED = "bare", "alone", "batched"
OF_BARE, OF_ALONE = 0.5, 2.0
"""The bars."""


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=20_000, help="jobs in a queue")
    parser.add_argument("--batch", type=int, default=500, help="jobs in a batch")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each, in turn")
    parser.add_argument("--child", nargs=2, metavar=("KIND", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        kind, file = arguments.child
        print(*measured(kind, file, arguments.jobs, arguments.batch))
        return
    times: dict[str, list[Times]] = {BARE: [], ALONE: [], BATCHED: []}
    for _ in range(arguments.rounds):
        for kind, found in times.items():
            found.append(in_a_process(kind, arguments.jobs, arguments.batch))
    report({kind: Times.median(found) for kind, found in times.items()}, arguments)


class Times(NamedTuple):
    """How long it took to empty a queue, in seconds."""

    clock: float
    processor: float

    @classmethod
    def median(cls, found: Sequence[Times]) -> Times:
        """Return the medians."""
        return cls(*map(statistics.median, zip(*found, strict=True)))


def report(times: dict[str, Times], arguments: argparse.Namespace) -> None:
    """Print what was found, and whether the bars hold."""
    batch, jobs = arguments.batch, arguments.jobs
    speed = {kind: jobs / each.clock for kind, each in times.items()}
    print("| no-op jobs, SQLite | jobs/s | of bare SQL | µs of processor a job |")
    print("| --- | --- | --- | --- |")
    titles = {BARE: "bare SQL in hundreds", ALONE: "one at a time", BATCHED: f"batches of {batch}"}
    for kind, title in titles.items():
        work = times[kind].processor / jobs * 1e6
        print(f"| {title} | {speed[kind]:,.0f} | {speed[kind] / speed[BARE]:.2f} | {work:.1f} |")
    for found, least, told in (
        (speed[BATCHED] / speed[BARE], OF_BARE, "of bare SQL"),
        (speed[BATCHED] / speed[ALONE], OF_ALONE, "times one at a time"),
    ):
        held = "holds" if found >= least else "does not hold"
        print(f"batches: {found:.2f} {told}, at least {least:g}: {held}")


def in_a_process(kind: str, jobs: int, batch: int) -> Times:
    """Return how long one way takes, in a new process and on a new file."""
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "jobs.db")
        environment = {**os.environ, "BENCH_FILE": file, "BENCH_DB": f"sqlite:///{file}"}
        counter = Path(folder) / "probe"
        probe.Probe(counter).close()
        environment[probe.ENVIRONMENT] = str(counter)
        command = [sys.executable, "-m", "benchmarks.batches", "--child", kind, file]
        command += ["--jobs", str(jobs), "--batch", str(batch)]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True, text=True
        )
    return Times(*map(float, done.stdout.split()))


def measured(kind: str, file: str, jobs: int, batch: int) -> Times:
    """Fill a file, empty it, and return how long that took."""
    db = f"sqlite:///{file}"
    if kind != BARE:
        return asyncio.run(drain(db, kind, jobs, batch))
    asyncio.run(fill(processor_of(db, ALONE, 1), jobs))
    began = _now()
    raw_sqlite.drain(HUNDRED)
    return _since(began)


def processor_of(db: str, kind: str, batch: int) -> JobProcessor:
    """Return a processor with the handler that is to be measured."""
    processor = JobProcessor(db, concurrency=CONCURRENCY if kind == ALONE else 2)
    if kind == BATCHED:

        @processor.job("noop", batch=batch)
        async def noop_batch(payloads: list[dict[str, Any]]) -> None: ...

    else:

        @processor.job("noop")
        async def noop() -> None: ...

    return processor


async def fill(processor: JobProcessor, jobs: int) -> None:
    """Let so many jobs wait, and be sure that all that a worker needs is imported."""
    async with processor:
        await processor.run_worker(burst=True)
        queue = (("noop", {"n": n}) for n in range(jobs))
        await processor.schedule_jobs(queue, return_jobs=False)


async def drain(db: str, kind: str, jobs: int, batch: int) -> Times:
    """Return how long a worker takes to empty the queue, its ends written."""
    await fill(processor_of(db, kind, batch), jobs)
    async with processor_of(db, kind, batch) as processor:
        began = _now()
        await processor.run_worker(burst=True)
        times = _since(began)
        left = await processor.count_jobs(name="noop", status="pending", cap=1)
        assert left == 0, "the queue is not empty"
    return times


def _now() -> Times:
    return Times(time.perf_counter(), time.process_time())


def _since(began: Times) -> Times:
    now = _now()
    return Times(now.clock - began.clock, now.processor - began.processor)


if __name__ == "__main__":
    main()
