"""What each feature costs beside a plain job: `python -m benchmarks.features`.

Each feature schedules jobs in bulk and runs them by one worker, in a process and a database of its
own; run 1 of every feature, then run 2 of every feature. Figures are medians. Calls are uses of the
driver (SQLite) or commands (MongoDB), from the first claim until all is settled.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from benchmarks import probe
from benchmarks.page import PAGE, between
from benchmarks.programs import ROOT
from benchmarks.servers import MissingServer, MongoServer
from benchmarks.systems import ours_counting
from job_processor import Context, JobDef, JobProcessor, JobRequest, Retry

RESULTS = ROOT / "benchmarks" / "results" / "features.json"
CONCURRENCY = 100


@dataclass
class Data:
    """A payload."""

    n: int


class Model(BaseModel):
    """A payload."""

    n: int


async def plain() -> None:
    """Do nothing."""


async def with_data(payload: Data) -> None:
    """Take a dataclass."""


async def with_model(payload: Model) -> None:
    """Take a model."""


async def with_context(context: Context) -> None:
    """Take a context and leave it."""


async def telling(context: Context) -> None:
    """Tell ten times."""
    for step in range(10):
        context.progress(step / 10, "on the way")
        context.log("a line of the log")


async def saving(context: Context) -> None:
    """Save once."""
    await context.save({"step": 1})


async def failing_once(context: Context) -> None:
    """Fail at the first attempt."""
    if context.attempt == 1:
        raise ValueError("not yet")


async def returning() -> dict[str, str]:
    """Return a kilobyte."""
    return {"text": "x" * 1000}


def in_thread() -> None:
    """Do nothing, in a thread or a process."""


@dataclass(frozen=True)
class Feature:
    """A kind of job, and how it is scheduled."""

    title: str
    definition: JobDef
    share: float = 1.0
    """Part of the jobs that it gets: the slow ones need fewer."""
    request: Callable[[int], Any] = lambda n: ("job", {"n": n})


FEATURES = {
    "plain": Feature("a plain job", JobDef(plain)),
    "priority": Feature(
        "ten priorities",
        JobDef(plain),
        request=lambda n: JobRequest("job", {"n": n}, priority=n % 10),
    ),
    "expires": Feature(
        "an expiry",
        JobDef(plain),
        request=lambda n: JobRequest("job", {"n": n}, expires_at=timedelta(hours=1)),
    ),
    "unique": Feature(
        "a unique key",
        JobDef(plain),
        request=lambda n: JobRequest("job", {"n": n}, unique_key=f"key-{n}"),
    ),
    "dataclass": Feature("a dataclass as payload", JobDef(with_data)),
    "pydantic": Feature("a pydantic model as payload", JobDef(with_model)),
    "context": Feature("a context that is not used", JobDef(with_context)),
    "telling": Feature("progress and log, ten times each", JobDef(telling)),
    "saving": Feature("a state saved", JobDef(saving), 0.2),
    "retry": Feature("a first attempt that fails", JobDef(failing_once, retry=Retry(2, delay=0))),
    "result": Feature("a result of 1 kB", JobDef(returning)),
    "discard": Feature("the same, discarded", JobDef(returning, discard_result=True)),
    "thread": Feature("a thread", JobDef(in_thread)),
    "process": Feature("a process", JobDef(in_thread, executor="process"), 0.02),
}


def main() -> None:
    """Measure, print and put the tables into the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--cell", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.cell:
        db, name, jobs = arguments.cell
        sys.stdout.write(json.dumps(asyncio.run(_measure(db, FEATURES[name], int(jobs)))))
        return
    results = {store: _runs(urls, arguments) for store, urls in _stores()}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    tables = "\n\n".join(f"{store}:\n\n{_table(result)}" for store, result in results.items())
    print(tables)
    PAGE.write_text(between(PAGE.read_text(), "features", tables))


async def _measure(db: str, feature: Feature, jobs: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        counted = probe.Probe(Path(folder, "probe"))
        os.environ[probe.ENVIRONMENT] = str(counted.path)
        ours_counting.install()
        return await _counted(db, feature, jobs, counted)


async def _counted(db: str, feature: Feature, jobs: int, counted: probe.Probe) -> dict[str, float]:
    count = max(round(jobs * feature.share), 20)
    processor = JobProcessor(db, jobs={"job": feature.definition}, concurrency=CONCURRENCY)
    async with processor:
        began = time.perf_counter()
        await processor.schedule_jobs(feature.request(n) for n in range(count))
        scheduled = time.perf_counter()
        calls = counted.read().calls
        await processor.run_worker(burst=True)
        ended = time.perf_counter()
        return {
            "scheduled": count / (scheduled - began),
            "run": count / (ended - scheduled),
            "calls": (counted.read().calls - calls) / count,
        }


def _runs(urls: Iterator[str], arguments: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in FEATURES}
    for number in range(arguments.runs):
        for name in FEATURES:
            url = next(urls)
            jobs = arguments.jobs // (5 if url.startswith("mongodb") else 1)
            print(f"features: run {number + 1} of {arguments.runs}: {name}", file=sys.stderr)
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.features", "--cell", url, name, str(jobs)],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            runs[name].append(json.loads(done.stdout))
    return runs


def _stores() -> Iterator[tuple[str, Iterator[str]]]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        yield "SQLite", (f"sqlite:///{folder}/{n}.db" for n in range(10_000))
        server = MongoServer(Path(folder))
        try:
            server.start()
        except MissingServer as missing:
            print(f"MongoDB is not measured: {missing}", file=sys.stderr)
            return
        try:
            yield "MongoDB", (server.fresh()["BENCH_MONGODB_URL"] for _ in range(10_000))
        finally:
            server.stop()


def _table(runs: dict[str, list[dict[str, float]]]) -> str:
    """Return medians, and the medians of their ratios to the plain job of the same run."""
    lines = [
        "| | scheduled/s | × plain | run/s | × plain | calls/job |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, measured in runs.items():
        cells = [FEATURES[name].title]
        for figure in ("scheduled", "run"):
            ratios = [
                one[figure] / base[figure]
                for one, base in zip(measured, runs["plain"], strict=True)
            ]
            cells.append(f"{statistics.median(one[figure] for one in measured):,.0f}")
            cells.append(f"{statistics.median(ratios):.2f}")
        cells.append(f"{statistics.median(one['calls'] for one in measured):.3f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
