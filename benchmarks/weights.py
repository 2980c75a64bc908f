"""How much memory it takes to look at large jobs; `benchmarks.dashboard` runs it.

Each figure is of a process of its own, since memory that was taken once is rarely given back:
`python -m benchmarks.weights WHAT URL` is such a process.
"""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2 as httpx
from bson import ObjectId

from job_processor import AbortController, JobDef, JobProcessor
from job_processor.models import JobStatus, Output, SimpleJob
from job_processor.parts import parts_of
from job_processor.web import create_app, health

JOBS = 1000
BYTES = 100_000
"""Of each payload, and of each result."""

LOOKS = 30
BARS = {
    "`/healthz`, ms": 20.0,
    "`/healthz`, MB": 5.0,
    "`/jobs`, MB more than with empty payloads": 20.0,
    "`job-processor jobs`, MB more than with empty payloads": 20.0,
    "a worker with Prometheus, MB more than without": 5.0,
}


async def fill(url: str, size: int) -> None:
    """Store jobs that have ended, with payloads and results of so many bytes."""
    now = datetime.now(UTC).replace(microsecond=0)
    async with JobProcessor(url) as processor:
        for start in range(0, JOBS, 50):
            await parts_of(processor).store.intake.insert(  # settled jobs cannot be scheduled
                [
                    SimpleJob(
                        id=ObjectId(),
                        name=f"job_{n % 30:02}",
                        status=JobStatus.FINISHED,
                        scheduled_for=now,
                        created_at=now,
                        updated_at=now,
                        started_at=now,
                        ended_at=now,
                        payload={"id": n, "text": "x" * size} if size else {},
                        output=Output("12ms", {"ok": True, "text": "y" * size} if size else None),
                    )
                    for n in range(start, start + 50)
                ]
            )


def weigh(light: str, heavy: str) -> dict[str, float]:
    """Return the figures of two databases, one with empty payloads and one with large ones."""
    asyncio.run(fill(light, 0))
    asyncio.run(fill(heavy, BYTES))
    figures = {
        url: {what: _of_a_process(what, url) for what in _CHILDREN} for url in (light, heavy)
    }
    probe = figures[heavy]["healthz"]
    return {
        "`/healthz`, ms": probe["ms"],
        "`/healthz`, MB": probe["mb"],
        "`/jobs`, MB more than with empty payloads": _more(figures, light, heavy, "jobs"),
        "`job-processor jobs`, MB more than with empty payloads": _cli(heavy) - _cli(light),
        "a worker with Prometheus, MB more than without": (
            figures[heavy]["prometheus"]["mb"] - figures[heavy]["worker"]["mb"]
        ),
    }


def table(weights: Mapping[str, Mapping[str, float]]) -> str:
    """Return the figures of each store beside what they may be at the most."""
    title = f"{JOBS:,} jobs, payload and result of {BYTES // 1000} kB each"
    lines = [
        f"| {title} | {' | '.join(weights)} | goal |",
        f"| --- | {'---: | ' * len(weights)}---: |",
    ]
    for what, bar in BARS.items():
        cells = " | ".join(f"{figures[what]:.1f}" for figures in weights.values())
        lines.append(f"| {what} | {cells} | {bar:.0f} |")
    return "\n".join(lines)


def _more(figures: Mapping[str, Any], light: str, heavy: str, what: str) -> float:
    return float(figures[heavy][what]["mb"] - figures[light][what]["mb"])


def _of_a_process(what: str, url: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.weights", what, url],
        capture_output=True,
        text=True,
        check=True,
    )
    result: dict[str, float] = json.loads(done.stdout)
    return result


def _cli(url: str) -> float:
    """Return the memory of the command line at its highest, in MB."""
    program = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, "
        "stdout=subprocess.DEVNULL); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = [str(Path(sys.executable).with_name("job-processor")), "jobs", "--db", url]
    done = subprocess.run(
        [sys.executable, "-c", program, *command], capture_output=True, text=True, check=True
    )
    return int(done.stdout) / 1000


def _highest() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


async def _page(url: str, path: str) -> dict[str, float]:
    """Return what a page adds to a dashboard that has shown its empty pages, and its time."""
    health.FRESH = 0.0  # each probe asks
    async with JobProcessor(url) as processor:
        transport = httpx.ASGITransport(app=create_app(processor))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            for warming in ("/audit", "/jobs?name=none", "/healthz"):
                await client.get(warming)
            before, times = _highest(), []
            for _ in range(LOOKS):
                began = time.perf_counter()
                await client.get(path)
                times.append((time.perf_counter() - began) * 1000)
            return {"mb": _highest() - before, "ms": statistics.median(times)}


async def _worker(url: str, *, metrics: bool) -> dict[str, float]:
    """Return the memory of an idle worker at its highest, after some looks at the database."""
    from prometheus_client import CollectorRegistry  # both processes have it in memory

    from job_processor.integrations.prometheus import Prometheus

    integration = Prometheus(CollectorRegistry(), interval=0.1)
    jobs = {"nothing": JobDef(lambda: None)}
    integrations = [integration] if metrics else []
    async with JobProcessor(url, jobs=jobs, integrations=integrations) as processor:
        stop = AbortController()
        working = asyncio.create_task(processor.run_worker(stop.signal))
        await asyncio.sleep(0.1 * LOOKS)
        stop.abort("measured")
        await working
    return {"mb": _highest()}


_CHILDREN: Mapping[str, Callable[[str], Awaitable[dict[str, float]]]] = {
    "healthz": lambda url: _page(url, "/healthz"),
    "jobs": lambda url: _page(url, "/jobs"),
    "worker": lambda url: _worker(url, metrics=False),
    "prometheus": lambda url: _worker(url, metrics=True),
}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_CHILDREN[sys.argv[1]](sys.argv[2]))))  # type: ignore[arg-type]  # they are coroutines
