"""What `benchmarks.paired` measures: one run of each, in a process of its own.

Each returns figures by their names: `processor` and `clock` are seconds a job, others have their
unit in their name. Our modules are imported by the measure itself, after what it compares with.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TASKS, THREADS = 100, 20
WARM = 50
"""Jobs before the first that counts: statements are compiled, connections opened."""
PAUSE = 0.05
"""Seconds between two pickups: the worker is idle by then, and so are the cores."""


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    db: str
    jobs: int | None
    concurrency: int

    def count(self, usual: int) -> int:
        """Return how many jobs."""
        return self.jobs or usual


class Watch:
    """Takes processor and clock from its making on."""

    def __init__(self) -> None:
        self._clock, self._processor = time.perf_counter(), time.process_time()

    def of(self, jobs: int) -> dict[str, float]:
        """Return both, a job."""
        used, took = time.process_time() - self._processor, time.perf_counter() - self._clock
        return {"processor": used / jobs, "clock": took / jobs}


async def _nothing() -> None: ...


def _processor(options: Options, handler: Any = _nothing) -> Any:
    from job_processor import JobDef, JobProcessor

    jobs = {"nothing": JobDef(handler)}
    return JobProcessor(options.db, jobs=jobs, concurrency=options.concurrency)


async def _drain(options: Options) -> dict[str, float]:
    jobs = options.count(20_000)
    async with _processor(options) as processor:
        await processor.run_worker(burst=True)  # loads what a worker needs, once in a process
        await processor.schedule_jobs(["nothing"] * jobs, return_jobs=False)
        watch = Watch()
        await processor.run_worker(burst=True)
        measured = watch.of(jobs)
        assert await processor.count_jobs(jobs + 1, status="finished") == jobs
    return measured


async def _schedule(processor: Any, count: int) -> None:
    for n in range(count):
        await processor.schedule_job("nothing", {"id": n})


async def _lone(options: Options) -> dict[str, float]:
    jobs = options.count(3000)
    async with _processor(options) as processor:
        await _schedule(processor, WARM)
        watch = Watch()
        await _schedule(processor, jobs)
        return watch.of(jobs)


async def _tasks(options: Options) -> dict[str, float]:
    each = options.count(10_000) // TASKS
    async with _processor(options) as processor:
        await _schedule(processor, WARM)
        watch = Watch()
        await asyncio.gather(*(_schedule(processor, each) for _ in range(TASKS)))
        return watch.of(each * TASKS)


def _threads(options: Options) -> dict[str, float]:
    from job_processor import JobDef
    from job_processor.sync import JobClient

    each = options.count(6000) // THREADS
    with JobClient(options.db, jobs={"nothing": JobDef(None)}) as client:

        def schedule(count: int) -> None:
            for n in range(count):
                client.schedule_job("nothing", {"id": n})

        schedule(WARM)
        threads = [threading.Thread(target=schedule, args=(each,)) for _ in range(THREADS)]
        watch = Watch()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return watch.of(each * THREADS)


async def _pickup(options: Options) -> dict[str, float]:
    """Schedule one job after the other in the process of an idle worker."""
    began, took, picked_up = 0.0, list[float](), asyncio.Event()

    async def handler() -> None:
        took.append(time.perf_counter() - began)
        picked_up.set()

    async with _processor(options, handler) as processor:
        worker = asyncio.create_task(processor.run_worker())
        await asyncio.sleep(1)
        for _ in range(options.count(60)):
            await asyncio.sleep(PAUSE)
            picked_up.clear()
            began = time.perf_counter()
            await processor.schedule_job("nothing")
            await picked_up.wait()
        worker.cancel()
        await asyncio.wait([worker])
    p50, p90 = statistics.median(took), statistics.quantiles(took, n=10)[-1]
    return {"p50 ms": p50 * 1000, "p90 ms": p90 * 1000}


def _memory(options: Options) -> dict[str, float]:
    """Look at a process that only schedules: what it takes beyond Python, and how many modules."""
    from job_processor import JobDef, JobProcessor

    async def schedule() -> None:
        async with JobProcessor(options.db, jobs={"nothing": JobDef(None)}) as processor:
            await _schedule(processor, 100)

    asyncio.run(schedule())
    ours = sum(name.partition(".")[0] == "job_processor" for name in sys.modules)
    return {"MB": _resident() - _bare(), "modules of ours": float(ours)}


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _bare() -> float:
    """Return what Python itself takes."""
    look = "print(open('/proc/self/statm').read().split()[1])"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, check=True)
    return int(done.stdout) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _run(
    measure: Callable[[Options], Coroutine[Any, Any, dict[str, float]]],
) -> Callable[[Options], dict[str, float]]:
    return lambda options: asyncio.run(measure(options))


MEASURES: dict[str, Callable[[Options], dict[str, float]]] = {
    "drain": _run(_drain),
    "lone": _run(_lone),
    "tasks": _run(_tasks),
    "threads": _threads,
    "pickup": _run(_pickup),
    "memory": _memory,
}
"""By name: a drain by one worker; `schedule_job` one after the other, from `TASKS` tasks at once,
from `THREADS` threads by a JobClient; a pickup in the same process; what scheduling takes."""
