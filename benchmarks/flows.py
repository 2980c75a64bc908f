"""Flows, groups and durable steps: `python -m benchmarks.flows [fan_in chains steps]`.

How long many jobs take with one that follows them, and chains of jobs, beside peers, is measured by
`graphs.py`.

Steps: one worker runs handlers whose steps do nothing, in a process and a database of its own. A
step is one write, which is waited for: one handler alone shows how long that takes, ten at once how
many of them the database takes. Steps are kept in their job, so the last of many are written into a
larger one. `found` is the cost of a step that an earlier run has done.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import tempfile
import time

from benchmarks import graphs
from job_processor import Context, JobProcessor

AT_ONCE = 10
PART = 100
WHAT = ("fan_in", "chains", "steps")


async def nothing() -> int:
    """Do nothing."""
    return 1


class Handler:
    """Does its steps twice, and takes the time of each hundred."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self.first: list[float] = []
        self.found: list[float] = []

    async def __call__(self, context: Context) -> None:
        """Do them, come back, and find them."""
        times = self.found if context.job.steps else self.first
        for _ in range(self._steps // PART):
            began = time.perf_counter()
            for _ in range(PART):
                await context.step("step", nothing)
            times.append((time.perf_counter() - began) / PART)
        await context.sleep(seconds=0.5)


async def measure(db: str, jobs: int, steps: int) -> tuple[Handler, float]:
    """Return the times of the last handler, and how long all of them took for their steps."""
    processor, handler = (
        JobProcessor(db, collection_prefix=f"flows_{secrets.token_hex(4)}"),
        Handler(steps),
    )
    processor.job("steps")(handler)
    async with processor:
        made = await processor.schedule_jobs([("steps", None)] * jobs)
        began = time.perf_counter()
        await processor.run_worker(burst=True)
        took = time.perf_counter() - began
        await asyncio.sleep(1.0)
        await processor.run_worker(burst=True)
        for job in made:
            (await processor.wait_for_job(job.id)).result()
    return handler, took


def row(db: str, steps: int) -> str:
    """Measure a database; return steps a second, and microseconds of one that is found."""
    alone, _ = asyncio.run(measure(db, 1, steps))
    _, together = asyncio.run(measure(db, AT_ONCE, steps))
    rates = (1 / alone.first[0], 1 / alone.first[-1], AT_ONCE * steps / together)
    cells = " | ".join(f"{rate:,.0f}/s" for rate in rates)
    return f"| {steps} | {cells} | {1e6 * min(alone.found):.1f} µs |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="*", metavar="WHAT", help="what to measure: all without")
    parser.add_argument("--systems", default=",".join(graphs.SYSTEMS), help="of graphs")
    parser.add_argument("--runs", type=int, default=5, help="of each system, in turns")
    parser.add_argument("--members", type=int, default=10_000, help="jobs that one follows")
    parser.add_argument("--chains", type=int, default=100)
    parser.add_argument("--length", type=int, default=100, help="of each chain")
    parser.add_argument("--db", help="of steps: a MongoDB, or a file; without, a new SQLite file")
    parser.add_argument("--steps", type=int, default=1000, help="of each handler")
    options = parser.parse_args()
    if unknown := set(options.what) - set(WHAT):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(WHAT)}")
    chosen = options.what or list(WHAT)
    asked = {
        "fan_in": graphs.fan_in(options.members),
        "chains": graphs.chains(options.chains, options.length),
    }
    wanted = [graph for what, graph in asked.items() if what in chosen]
    if wanted:
        graphs.measure(wanted, options.systems.split(","), options.runs)
    if "steps" in chosen:
        measure_steps(options)


def measure_steps(options: argparse.Namespace) -> None:
    """Print the table of steps."""
    print(f"\n| steps | first {PART} | last {PART} | {AT_ONCE} handlers at once | found |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        print(row(options.db or f"sqlite:///{folder}/jobs.db", options.steps))


if __name__ == "__main__":
    main()
