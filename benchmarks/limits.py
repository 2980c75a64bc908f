"""What limits cost, and what rates hold: `python -m benchmarks.limits [drain parked … rates]`.

What limits cost is measured by `lanes.py`.

For each rate, and 1, 3 and 10 worker processes: a long queue, a time, and each start written down
by its process, outside of the database. Printed is the rate that was reached, once the first second
is over, and the most starts in any second, beside what is allowed: amount and burst.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from bisect import bisect_right
from pathlib import Path

from benchmarks import keyed, lanes
from job_processor import AbortController, Event, EventKind, JobDef, JobProcessor, Rate

ROOT = Path(__file__).parents[1]
RATES = (Rate(10, per=1), Rate(100, per=1), Rate(100, per=1, burst=1), Rate(500, per=1))
WORKERS = (1, 3, 10)
WHAT = (*lanes.MEASURES, "rates", "keys")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--db", help="a MongoDB, or a file; without, a new SQLite file each time")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("what", nargs="*", metavar="WHAT", help="what to measure: all without")
    parser.add_argument("--pairs", type=int, default=20, help="runs of each of two in turn")
    parser.add_argument("--jobs", type=int, default=20_000, help="jobs in a drain")
    parser.add_argument("--other", type=Path, help="the checkout to compare with, for `plain`")
    parser.add_argument("--parked", type=int, default=1_000_000, help="parked jobs beside a claim")
    parser.add_argument("--lanes", type=int, default=10_000, help="lanes of the sweep")
    parser.add_argument("--child-lanes", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--child", nargs=4, metavar=("DB", "FILE", "AMOUNT", "BURST"))
    arguments = parser.parse_args()
    if unknown := set(arguments.what) - set(WHAT):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(WHAT)}")
    if arguments.child:
        db, file, amount, burst = arguments.child
        starts = asyncio.run(work(db, Rate(int(amount), per=1, burst=int(burst))))
        Path(file).write_text("\n".join(map(str, starts)))
        return
    if arguments.child_lanes:
        lanes.child(*arguments.child_lanes)
        return
    chosen = arguments.what or list(WHAT)
    costs = [what for what in chosen if what in lanes.MEASURES]
    if costs:
        print("| what limits cost | found | at most | holds |")
        print("| --- | --- | --- | --- |")
    for what in costs:
        lanes.MEASURES[what](arguments)
    for what, measure in (("rates", rates), ("keys", keyed.rates_of_keys)):
        if what in chosen:
            measure(arguments)


def rates(arguments: argparse.Namespace) -> None:
    """Measure what rates hold, and print a table."""
    print("| rate | burst | workers | reached | most in a second | allowed |")
    print("| --- | --- | --- | --- | --- | --- |")
    for rate in RATES:
        for workers in WORKERS:
            starts, began = measured(arguments.db, rate, workers, arguments.seconds)
            reached = reached_by(starts, began, began + arguments.seconds) / rate.amount
            print(
                f"| {rate} | {rate.burst} | {workers} | {reached:.1%} | "
                f"{in_windows(starts, 1.0)} | {rate.amount + rate.at_once} |",
                flush=True,
            )


def measured(db: str | None, rate: Rate, workers: int, seconds: float) -> tuple[list[float], float]:
    """Return when jobs started, and since when all workers worked."""
    with tempfile.TemporaryDirectory() as folder:
        address = db or f"sqlite:///{folder}/jobs.db"
        asyncio.run(fill(address, int(rate.amount * (seconds + 30) + rate.at_once)))
        files = [Path(folder) / f"{number}.txt" for number in range(workers)]
        command = [sys.executable, "-m", "benchmarks.limits", "--child", address]
        children = [
            subprocess.Popen(
                [*command, str(file), str(rate.amount), str(rate.burst)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=ROOT,
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
        starts = sorted(float(line) for file in files for line in file.read_text().split())
    return starts, began


async def fill(db: str, count: int) -> None:
    """Let so many jobs wait, and no others."""
    async with JobProcessor(db, jobs={"job": JobDef(None)}) as processor:
        await processor.act_on_jobs("delete", name="job")
        await processor.schedule_jobs(("job" for _ in range(count)), return_jobs=False)


async def work(db: str, rate: Rate) -> list[float]:
    """Work until standard input ends; return each start."""
    starts: list[float] = []

    async def job() -> None:
        starts.append(time.time())

    def tell(event: Event) -> None:
        if event.kind is EventKind.WORKER_STARTED:
            print("works", flush=True)

    stop = AbortController()
    async with JobProcessor(db, jobs={"job": JobDef(job, rate=rate)}) as processor:
        processor.listen(tell)
        worker = asyncio.create_task(processor.run_worker(stop.signal))
        await asyncio.to_thread(sys.stdin.read)
        stop.abort()
        await worker
    return starts


def reached_by(starts: list[float], began: float, ended: float) -> float:
    """Return the starts a second in a time, its first second left out."""
    counted = [start for start in starts if began + 1.0 < start < ended]
    return (len(counted) - 1) / (counted[-1] - counted[0])


def in_windows(starts: list[float], length: float) -> int:
    """Return the most starts in any window of so many seconds."""
    return max(bisect_right(starts, start + length) - n for n, start in enumerate(starts))


if __name__ == "__main__":
    main()
