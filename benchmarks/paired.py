"""Whether a change costs processor time: the same drain by two checkouts in turn, pair by pair.

    python -m benchmarks.paired ../before --pairs 20

Each run is a process of its own that stores no-op jobs in a new SQLite file (or in the MongoDB of
`--db`) and drains them with one worker. What counts is the processor time of the drain, user and
system, of all threads, a job: it is moved less by other work on the machine than time on the clock.
Which of the two goes first alternates. Printed are the medians, the ratio (this checkout to the
other one) and its 95% interval, by the differences of logarithms within each pair.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
_T = {10: 2.262, 15: 2.145, 20: 2.093, 25: 2.064, 30: 2.045, 40: 2.023}
"""Student's t for 95%, by the number of pairs at least."""


async def _drain(db: str, jobs: int, concurrency: int) -> dict[str, float]:
    """Store and drain; return the seconds of processor and of clock, a job."""
    from job_processor import JobDef, JobProcessor

    async def nothing() -> None: ...

    processor = JobProcessor(db, jobs={"nothing": JobDef(nothing)}, concurrency=concurrency)
    async with processor:
        await processor.run_worker(burst=True)  # loads what a worker needs, once in a process
        await processor.schedule_jobs(["nothing"] * jobs, return_jobs=False)
        clock, began = time.perf_counter(), time.process_time()
        await processor.run_worker(burst=True)
        used, took = time.process_time() - began, time.perf_counter() - clock
        assert await processor.count_jobs(jobs + 1, status="finished") == jobs
    return {"processor": used / jobs, "clock": took / jobs}


def _run(checkout: Path, options: argparse.Namespace) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        db = options.db or f"sqlite:///{folder}/paired.db"
        if options.db:  # a database of its own for each run
            address, _, query = options.db.partition("?")
            db = f"{address.rstrip('/')}_{os.getpid()}_{time.monotonic_ns()}?{query}"
        command = [sys.executable, __file__, "--child", db]
        command += ["--jobs", str(options.jobs), "--concurrency", str(options.concurrency)]
        environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{checkout}: {done.stderr}")
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def interval(ratios: list[float]) -> tuple[float, float, float]:
    """Return the mean ratio with the ends of its 95% interval."""
    logs = [math.log(ratio) for ratio in ratios]
    mean = statistics.fmean(logs)
    t = next((_T[n] for n in sorted(_T, reverse=True) if n <= len(logs)), 2.262)
    half = t * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("other", nargs="?", type=Path, help="the checkout to compare with")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--concurrency", type=int, default=100)
    parser.add_argument("--db", help="a MongoDB address with the beginning of a name of a database")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(asyncio.run(_drain(options.child, options.jobs, options.concurrency))))
        return
    if options.other is None:
        parser.error("name the checkout to compare with")
    for checkout in (HERE, options.other):  # the first ones warm the disk up
        _run(checkout, options)
    here: list[dict[str, float]] = []
    there: list[dict[str, float]] = []
    for pair in range(options.pairs):
        order = [(here, HERE), (there, options.other)]
        for found, checkout in order if pair % 2 else order[::-1]:
            found.append(_run(checkout, options))
    for what in ("processor", "clock"):
        ratios = [a[what] / b[what] for a, b in zip(here, there, strict=True)]
        mean, low, high = interval(ratios)
        mine, theirs = (statistics.median(each[what] for each in side) for side in (here, there))
        print(
            f"{what:9} {mine * 1e6:6.1f} µs a job here, {theirs * 1e6:6.1f} there;"
            f" ratio {mean:.3f} ({low:.3f} to {high:.3f})"
        )


if __name__ == "__main__":
    main()
