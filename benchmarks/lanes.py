"""What limits cost: the measures of `python -m benchmarks.limits` that are not of rates.

Each prints a line: what was measured, what it is to be at most, and whether it is. Where two things
are compared, they run in turn, pair by pair, each run in a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bson import ObjectId

from benchmarks.paired import interval
from job_processor import JobDef, JobProcessor, Limit
from job_processor.models import Job, JobStatus, SimpleJob
from job_processor.parts import parts_of
from job_processor.store import Store
from job_processor.store.lanes import LaneClaim, LimitBook
from job_processor.store.requests import Claim, Outcome, Settlement
from job_processor.worker.limits import LimitWatch
from job_processor.worker.pauses import PauseWatch
from job_processor.worker.sweeper import Sweeper

ROOT = Path(__file__).parents[1]
CONCURRENCY = 100
CHUNK = 5_000
PROBES = 300
"""Claims of which the median counts."""

VARIANTS: dict[str, Any] = {
    "none": None,
    "limit": 10 * CONCURRENCY,
    "keys": Limit(10 * CONCURRENCY, key="n"),
    "one": Limit(1, key="n"),
}
"""Limits of the drains: of ten times the slots, the same for each of 100 keys, one for each key."""

BARS = {"limit": 1.10, "keys": None, "one": None}
TOLD = {
    "limit": "a limit of 10 x the slots",
    "keys": "the same for each of 100 keys",
    "one": "one at a time for each of 100 keys",
}


def line(what: str, found: str, bar: str = "", ok: bool | None = None) -> None:
    """Print a line of the table."""
    verdict = "" if ok is None else "yes" if ok else "NO"
    print(f"| {what} | {found} | {bar} | {verdict} |", flush=True)


# --- drains, with a limit and without ------------------------------------------------------------


async def drained(db: str, variant: str, jobs: int) -> dict[str, float]:
    """Store and drain; return the seconds of processor and of clock, a job."""

    async def nothing(n: int) -> None: ...

    definition = JobDef(nothing, limit=VARIANTS[variant])
    async with JobProcessor(db, jobs={"nothing": definition}, concurrency=CONCURRENCY) as processor:
        await processor.run_worker(burst=True)
        await processor.schedule_jobs(
            (("nothing", {"n": n % 100}) for n in range(jobs)), return_jobs=False
        )
        clock, began = time.perf_counter(), time.process_time()
        await processor.run_worker(burst=True)
        used, took = time.process_time() - began, time.perf_counter() - clock
        assert await processor.count_jobs(jobs + 1, status="finished") == jobs
    return {"processor": used / jobs, "clock": took / jobs}


def drains(options: Namespace) -> None:
    """Compare drains with each limit to those without."""
    for variant, told in TOLD.items():
        found: dict[str, list[dict[str, float]]] = {"none": [], variant: []}
        for pair in range(options.pairs):
            for each in list(found)[:: 1 if pair % 2 else -1]:
                found[each].append(_apart("drain", options, each))
        for what in ("clock", "processor"):
            ratios = [a[what] / b[what] for a, b in zip(found[variant], found["none"], strict=True)]
            mean, low, high = interval(ratios)
            bar = BARS[variant] if what == "clock" else None
            line(
                f"drain, {told}: {what}",
                f"{mean:.3f} ({low:.3f} to {high:.3f}) of that without",
                "" if bar is None else f"{bar:.2f}",
                None if bar is None else mean <= bar,
            )


def _apart(what: str, options: Namespace, *arguments: str) -> dict[str, float]:
    """Measure in a process of its own, on a database of its own."""
    with tempfile.TemporaryDirectory() as folder:
        db = _database(options, folder)
        command = [sys.executable, "-m", "benchmarks.limits", "--child-lanes", what, db]
        done = subprocess.run(
            [*command, *arguments, str(options.jobs)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise SystemExit(done.stderr)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def child(what: str, db: str, *arguments: str) -> None:
    """Measure, and print what was found."""
    assert what == "drain"
    variant, jobs = arguments
    print(json.dumps(asyncio.run(drained(db, variant, int(jobs)))))


def _database(options: Namespace, folder: str) -> str:
    if not options.db:
        return f"sqlite:///{folder}/lanes.db"
    address, _, query = options.db.partition("?")
    return f"{address.rstrip('/')}_{os.getpid()}_{time.monotonic_ns()}?{query}"


# --- names without a limit -----------------------------------------------------------------------


def plain(options: Namespace) -> None:
    """Compare the processor time of names without a limit with another checkout."""
    if options.other is None:
        line("names without a limit", "name a checkout to compare with: --other ../before")
        return
    command = [sys.executable, "-m", "benchmarks.paired", str(options.other)]
    command += ["--pairs", str(options.pairs), "--jobs", str(options.jobs)]
    command += ["--db", options.db] if options.db else []
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    told = next(each for each in done.stdout.splitlines() if each.startswith("processor"))
    high = float(told.rpartition(" to ")[2].rstrip(")"))
    line(
        "names without a limit: processor",
        told.partition("ratio ")[2],
        "high end 1.03",
        high <= 1.03,
    )


# --- on a store ----------------------------------------------------------------------------------


@asynccontextmanager
async def opened(options: Namespace, limit: Limit) -> AsyncIterator[tuple[JobProcessor, Store]]:
    """Open a fresh database whose jobs have this limit."""

    async def nothing(n: int) -> None: ...

    with tempfile.TemporaryDirectory() as folder:
        processor = JobProcessor(
            _database(options, folder),
            jobs={"nothing": JobDef(nothing, limit=limit)},
            heartbeat_interval=0.02,
            worker_timeout=0.05,  # the next pass of the sweep may follow soon
        )
        async with processor:
            store = parts_of(processor).store
            amounts = {"nothing": limit.amount}
            store.lanes.book = LimitBook(lambda: amounts, lambda: ["nothing"])
            yield processor, store


def worker_of(processor: JobProcessor) -> Any:
    """Return what its runs go through."""
    return processor._engine  # noqa: SLF001  # the sweep is of a worker


def _job(now: datetime, **fields: Any) -> SimpleJob:
    return SimpleJob(
        id=ObjectId(),
        name="nothing",
        status=JobStatus.PENDING,
        scheduled_for=now,
        created_at=now,
        updated_at=now,
        payload={"n": 0},
        **fields,
    )


async def put(store: Store, count: int, lanes: int, **fields: Any) -> None:
    """Insert jobs of so many lanes."""
    now = store.lanes.book.now() - timedelta(minutes=1)
    for start in range(0, count, CHUNK):
        await store.intake.insert(
            [
                _job(now, lane=f"nothing:{n % lanes}", **fields)
                for n in range(start, min(start + CHUNK, count))
            ]
        )


async def settle(store: Store, jobs: Sequence[Job], worker: Any) -> None:
    """End runs."""
    now = store.lanes.book.now()
    ends = [Settlement(job, Outcome(JobStatus.FINISHED, now), worker) for job in jobs]
    assert len((await store.runs.settle(ends)).won) == len(jobs)


def parked(options: Namespace) -> None:
    """Compare a claim with so many parked jobs with one beside none."""
    none, many = (asyncio.run(claims(options, count)) for count in (0, options.parked))
    for what in none:
        ratio = statistics.median(many[what]) / statistics.median(none[what])
        line(
            f"{what} with {options.parked:,} parked",
            f"{ratio:.2f} of that with none ({statistics.median(many[what]) * 1e6:.0f} µs)",
            "1.20",
            ratio <= 1.2,
        )


async def claims(options: Namespace, count: int) -> dict[str, list[float]]:
    """Return what claims of ten took, of lanes and of plain jobs, with so many parked jobs."""
    took: dict[str, list[float]] = {"a claim of lanes": [], "a plain claim": []}
    async with opened(options, Limit(1, key="n")) as (processor, store):
        await put(store, count, 1_000, parked="slot")
        worker = worker_of(processor).worker_id
        for probe in range(PROBES):
            now = store.lanes.book.now()
            jobs = [_job(now, lane=f"nothing:probe{probe}-{n}") for n in range(10)]
            await store.intake.insert([*jobs, *(_job(now) for _ in range(10))])
            later = now + timedelta(seconds=1)
            began = time.perf_counter()
            taken = await store.lanes.claim(LaneClaim(worker, ("nothing",), 10, later))
            took["a claim of lanes"].append(time.perf_counter() - began)
            began = time.perf_counter()
            found = await store.queue.claim(Claim(worker, ("nothing",), 10, later))
            took["a plain claim"].append(time.perf_counter() - began)
            assert len(taken.jobs) == len(found) == 10
            await settle(store, [*taken.jobs, *found], worker)
    return took


def sweep(options: Namespace) -> None:
    """Measure the passes of the sweep over many lanes, in each of which a slot is owed."""
    took, admitted = asyncio.run(swept(options))
    line(
        f"the sweep over {options.lanes:,} lanes, {admitted:,} slots given",
        f"{len(took)} passes of {statistics.median(took):.2f} s, at most {max(took):.2f} s",
        "a tenth of 60 s",
        max(took) <= 6.0,
    )


async def swept(options: Namespace) -> tuple[list[float], int]:
    """Return what each pass took, and how many jobs were admitted."""
    took: list[float] = []
    async with opened(options, Limit(1, key="n")) as (processor, store):
        await put(store, 3 * options.lanes, options.lanes, parked="slot")
        engine = worker_of(processor)
        sweeper = Sweeper(engine, PauseWatch(engine), LimitWatch(engine))
        store.lanes.book.names = lambda: ["nothing"]
        while not took or await _position(store):
            began = time.perf_counter()
            if await sweeper.sweep():
                took.append(time.perf_counter() - began)
            await asyncio.sleep(0.05)  # until the next pass is due
        held = await store.lanes.claim(
            LaneClaim(engine.worker_id, ("nothing",), 2 * options.lanes, store.lanes.book.now())
        )
    return took, len(held.jobs)


async def _position(store: Store) -> str:
    last = (await store.settings.all("sweep")).get("lanes", {})
    return str(last.get("position", ""))


MEASURES = {"drain": drains, "plain": plain, "parked": parked, "sweep": sweep}
