"""How long the dashboard takes for a page, and how much memory: `benchmarks.dashboard`.

Time is that of the server: from the request to the last byte of the answer, without a network.
Memory is that of another process, in which `job-processor web` serves the same database.
`python -m benchmarks.dashboard [--jobs 1000000] [--runs 15]`
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import httpx2 as httpx
from bson import ObjectId

from benchmarks import weights
from benchmarks.page import PAGE, between
from benchmarks.served import ROUNDS, weigh_served
from benchmarks.servers import MissingServer, MongoServer
from job_processor import JobDef, JobProcessor
from job_processor.models import JobStatus, Output, SimpleJob
from job_processor.parts import parts_of
from job_processor.store.name_rollups import Kind, NameRollup
from job_processor.store.rollups import HOUR, MINUTE, TEN_MINUTES, Rollup, start_of
from job_processor.web import create_app, health

FEW = 10_000
CHUNK = 5000
NAMES = [f"job_{n:02}" for n in range(30)]
STATUSES = [JobStatus.FINISHED] * 90 + [JobStatus.ERRORED] * 5 + [JobStatus.PENDING] * 5
PATHS = {
    "overview": "/",
    "jobs": "/jobs",
    "jobs of a state": "/jobs?status=errored",
    "jobs of a name": "/jobs?name=job_07",
    "jobs of a name and a state": "/jobs?name=job_07&status=finished",
    "jobs of a tag": "/jobs?tag=tag_3",
    "jobs of a time": "/jobs?from=2020-01-01&to=2100-01-01",
    "oldest first": "/jobs?order=oldest&status=pending",
    "a text in the error (rare)": "/jobs?status=errored&error=rare",
    "a text in the error (often)": "/jobs?error=refused",
    "a payload field": "/jobs?payload=n%3D77",
    "one job": "/jobs/{id}",
    "jobs that ended in a minute": "/jobs?ended_from={minute}&ended_to={next}",
    "names": "/names",
    "one name": "/name?name=job_07",
    "a tag": "/tag?tag=tag_3",
    "crons": "/crons",
    "workers": "/workers",
    "flows": "/flows",
    "groups": "/groups",
    "limits": "/limits",
    "schedules": "/schedules",
    "audit": "/audit",
    "API: a page of jobs": "/api/jobs?limit=100",
    "API: status": "/api/status",
    "a probe": "/healthz",
}
PROBE = "a probe, beside 40 searches whose readers have left"
SEARCH = "/jobs?status=errored&error=nowhere"
MEMORY = (
    "memory of its process alone (USS) when it starts, MB",
    "after each page once, MB",
    f"after each page {ROUNDS} times, MB",
    "the same with shared libraries (RSS), MB",
)


def main() -> None:
    """Measure, print and put the tables into the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--mongo-jobs", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    parts, weighed = [], {}
    for store, urls, jobs in _stores(arguments):
        few = asyncio.run(_measure(next(urls), FEW, arguments.runs))
        many = asyncio.run(_measure(next(urls), jobs, arguments.runs))
        parts.append(f"{store}:\n\n{_table(few, many, jobs)}")
        weighed[store] = weights.weigh(next(urls), next(urls))
    tables = "\n\n".join(parts)
    print(tables)
    print(weights.table(weighed))
    page = between(PAGE.read_text(), "dashboard", tables)
    PAGE.write_text(between(page, "weights", weights.table(weighed)))


async def _measure(url: str, jobs: int, runs: int) -> dict[str, float]:
    health.FRESH = 0.0  # each probe asks
    definitions = {name: JobDef(None, tag=f"tag_{n % 10}") for n, name in enumerate(NAMES)}
    async with JobProcessor(url, jobs=definitions) as processor:
        some = await _fill(processor, jobs)
        transport = httpx.ASGITransport(app=create_app(processor))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1", timeout=120
        ) as client:
            times: dict[str, list[float]] = {title: [] for title in PATHS}
            minute = start_of(datetime.now(UTC), MINUTE)
            given = {
                "id": some,
                "minute": f"{minute:%Y-%m-%dT%H:%MZ}",
                "next": f"{minute + timedelta(minutes=1):%Y-%m-%dT%H:%MZ}",
            }
            for run in range(runs + 1):
                for title, path in PATHS.items():
                    began = time.perf_counter()
                    answer = await client.get(path.format(**given))
                    assert answer.status_code in (200, 503), path
                    if run:  # the first one warms up
                        times[title].append((time.perf_counter() - began) * 1000)
            medians = {title: statistics.median(each) for title, each in times.items()}
            probes = [await _beside_searches(client) for _ in range(5)]
            medians[PROBE] = statistics.median(probes)
    paths = [path.format(**given) for path in PATHS.values()]
    weight = weigh_served(url, paths)
    sizes = (weight.begun.uss, weight.visited.uss, weight.used.uss, weight.used.rss)
    return {**medians, **dict(zip(MEMORY, sizes, strict=True))}


async def _beside_searches(client: httpx.AsyncClient) -> float:
    """Return the milliseconds of a probe while searches end that were given up just now."""
    for _ in range(40):
        search = asyncio.create_task(client.get(SEARCH))
        await asyncio.sleep(0.02)
        search.cancel()
    began = time.perf_counter()
    await client.get("/healthz")
    return (time.perf_counter() - began) * 1000


async def _fill(processor: JobProcessor, jobs: int) -> ObjectId:
    store = parts_of(processor).store  # settled jobs cannot be scheduled
    chosen = ObjectId()
    for start in range(0, jobs, CHUNK):
        made = list(_made(min(CHUNK, jobs - start)))
        await store.intake.insert(made)
        chosen = made[0].id
        print(f"dashboard: {start + len(made):,} of {jobs:,} jobs", end="\r", file=sys.stderr)
    now = datetime.now(UTC)
    await store.rollups.add([], list(_counted(now)))
    for seconds, count in ((MINUTE, 60), (TEN_MINUTES, 144)):
        await store.rollups.add(
            [
                Rollup(
                    seconds,
                    start_of(now - timedelta(seconds=seconds * n), seconds),
                    {"finished": 100 + n, "errored": n},
                    {NAMES[n % 30]: n},
                    {n % 12: 50},
                )
                for n in range(count)
            ]
        )
    return chosen


def _counted(now: datetime) -> Iterator[NameRollup]:
    """Give what workers have counted of each name: each minute and hour that is kept."""
    kinds: list[tuple[Kind, str]] = [("all", ""), *(("name", name) for name in NAMES)]
    kinds += [("tag", f"tag_{n}") for n in range(10)]
    for seconds, count in ((MINUTE, 180), (HOUR, 192)):
        for n, (kind, name) in product(range(count), kinds):
            start = start_of(now - timedelta(seconds=seconds * n), seconds)
            classes = dict.fromkeys(range(n % 7, 60, 6), 5)
            yield NameRollup(
                kind, name, seconds, start, {"finished": 50, "errored": n % 3}, classes, classes
            )


def _made(count: int) -> Iterator[SimpleJob]:
    now = datetime.now(UTC).replace(microsecond=0)
    for _ in range(count):
        status = random.choice(STATUSES)
        errored, waiting = status is JobStatus.ERRORED, status is JobStatus.PENDING
        told = "ConnectionError: refused\n" + "  in a traceback\n" * 10
        yield SimpleJob(
            id=ObjectId(),
            name=random.choice(NAMES),
            status=status,
            scheduled_for=now + timedelta(hours=1) if waiting else now,
            created_at=now,
            updated_at=now,
            started_at=None if waiting else now,
            ended_at=None if waiting else now,
            output=None if waiting else Output("12ms", {"ok": True}, told if errored else None),
            payload={"n": random.randrange(1000), "text": "x" * 100},
        )


def _stores(arguments: argparse.Namespace) -> Iterator[tuple[str, Iterator[str], int]]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        yield "SQLite", (f"sqlite:///{folder}/{n}.db" for n in range(9)), arguments.jobs
        if arguments.mongo_jobs == 0:
            return
        server = MongoServer(Path(folder))
        try:
            server.start()
        except MissingServer as missing:
            print(f"MongoDB is not measured: {missing}", file=sys.stderr)
            return
        try:
            urls = (server.fresh()["BENCH_MONGODB_URL"] for _ in range(9))
            yield f"MongoDB ({server.version})", urls, arguments.mongo_jobs
        finally:
            server.stop()


def _table(few: Mapping[str, float], many: Mapping[str, float], jobs: int) -> str:
    lines = [f"| page | {FEW:,} jobs, ms | {jobs:,} jobs, ms |", "| --- | ---: | ---: |"]
    lines += [f"| {title} | {few[title]:.1f} | {many[title]:.1f} |" for title in (*PATHS, PROBE)]
    lines += [f"| {title} | {few[title]:.1f} | {many[title]:.1f} |" for title in MEMORY]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
