"""Does a claim cost more when the queue is long?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any, ClassVar

from bson import ObjectId

from benchmarks.fillers import SHORT, Shape, fill
from benchmarks.results import Column
from benchmarks.scenarios.base import Bench, Measured, Scenario
from benchmarks.systems.base import System
from job_processor.settings import Settings
from job_processor.store.base import Store
from job_processor.store.opening import open_store
from job_processor.store.requests import Claim

LIMITS = (1, 10)
"""Jobs in one claim: of an idle worker, and of one with ten free slots."""
CLAIM_SECONDS = 15.0
"""After which a slow server has been asked often enough, once it was `ENOUGH` times."""
ENOUGH = 13
SHAPES: dict[Shape, str] = {
    "waiting": "waiting",
    "later": "for later",
    "tag": "another tag",
    "finished": "finished",
}


class Backlog(Scenario):
    """Our claim on a short queue, and on one with a million jobs of some kind besides."""

    name = "backlog"
    title = "Backlog"
    question = (
        f"The time of our claim, in ms, with {SHORT:,} jobs waiting, and how many times that it "
        "takes with 1,000,000 more: waiting, scheduled for later, of a tag that this worker lacks, "
        "finished; on MongoDB as many more as 30 seconds of filling bring. Both queues are "
        "asked in turn; medians. `empty` is a claim that finds nothing."
    )
    columns = (
        Column("more", "more jobs"),
        Column("base_1", "claim of 1, ms", 3, better="lower"),
        Column("base_10", "claim of 10, ms", 3, better="lower"),
        *(
            Column(f"{shape}_{limit}", f"{label}: {limit}", 2, better="lower", plot=True)
            for shape, label in SHAPES.items()
            for limit in LIMITS
        ),
        *(
            Column(f"{shape}_0", f"{label}: empty", 2, better="lower")
            for shape, label in SHAPES.items()
            if shape != "waiting"
        ),
    )
    most_runs = 2  # each compares medians, and fills eight databases
    kinds: ClassVar[frozenset[str]] = frozenset({"ours"})

    def measure(self, bench: Bench, system: System) -> Measured:
        """Fill a short and a long queue of each shape, and claim from both in turn."""
        measured: dict[str, float] = {}
        for shape in SHAPES:
            with (
                bench.session(system, system.variants[0]) as short,
                bench.session(system, system.variants[0]) as long,
            ):
                databases = short.environment["BENCH_DB"], long.environment["BENCH_DB"]
                more = asyncio.run(_fill(databases, shape, bench.backlog))
                measured["more"] = min(more, measured.get("more", more))
                times = asyncio.run(_compare(databases, shape, bench.quick))
            for limit, (base, other) in times.items():
                if limit:
                    measured.setdefault(f"base_{limit}", base)
                measured[f"{shape}_{limit}"] = other / base
        return measured

    def remark(self, bench: Bench, system: System) -> str:
        """Return nothing: no worker runs."""
        return ""


async def _fill(databases: Sequence[str], shape: Shape, backlog: int) -> int:
    await fill(databases[0], shape, 0)
    return await fill(databases[1], shape, backlog)


async def _compare(
    databases: Sequence[str], shape: Shape, quick: bool
) -> dict[int, tuple[float, float]]:
    """Return the median times of both queues in ms, by the limit of the claim; 0: an empty one."""
    stores = [open_store(db, Settings()) for db in databases]
    for store in stores:
        await store.setup()
    tries = 10 if quick else 60
    times: dict[int, tuple[float, float]] = {}
    try:
        for limit in LIMITS:
            times[limit] = await _in_turn(stores, limit, tries)
        if shape != "waiting":
            for store in stores:
                while await store.queue.claim(_claim(100)):
                    pass
            times[0] = await _in_turn(stores, 1, tries)
    finally:
        for store in stores:
            await store.close()
    return times


async def _in_turn(stores: Sequence[Store], limit: int, tries: int) -> tuple[float, float]:
    taken: list[list[float]] = [[], []]
    started = time.perf_counter()
    for number in range(tries + 3):
        if number >= ENOUGH and time.perf_counter() - started > CLAIM_SECONDS:
            break
        for store, times in zip(stores, taken, strict=True):
            claim = _claim(limit)
            began = time.perf_counter()
            await store.queue.claim(claim)
            if number >= 3:  # the first ones fill caches
                times.append(1000 * (time.perf_counter() - began))
    return median(taken[0]), median(taken[1])


def _claim(limit: int) -> Claim:
    now = datetime.now(UTC)
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)
    options: dict[str, Any] = {"worker_id": ObjectId(), "names": ("noop",)}
    return Claim(limit=limit, now=now, **options)
