"""The application of the acceptance tests: handlers that write down when they start and end.

Configured by the environment: ACCEPTANCE_DB, ACCEPTANCE_LOG (a file that all processes append to)
and ACCEPTANCE_OPTIONS (JSON, options of JobProcessor).
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from datetime import datetime, timedelta
from typing import Any

from job_processor import (
    AbortSignal,
    Clock,
    CronDef,
    CronTask,
    Job,
    JobDef,
    JobProcessor,
    Retry,
    SimpleJob,
)

LOG = os.environ.get("ACCEPTANCE_LOG", os.devnull)
OPTIONS: dict[str, Any] = {
    "poll_interval": 0.2,
    "heartbeat_interval": 0.2,
    "worker_timeout": 1.5,
    "shutdown_grace": 2.0,
    "kill_grace": 0.5,
    **json.loads(os.environ.get("ACCEPTANCE_OPTIONS", "{}")),
}


def note(what: str, job: Job, **more: object) -> None:
    """Append one line; a write of this size is atomic."""
    line = {
        "what": what,
        "job": str(job.id),
        "name": job.name,
        "pid": os.getpid(),
        "at": time.time(),
        **more,
    }
    with open(LOG, "a", encoding="utf-8") as log:  # noqa: PTH123  # append is what is meant
        log.write(json.dumps(line) + "\n")


async def work(job: SimpleJob, signal: AbortSignal) -> str:
    """Work for `seconds`, stopping at once when asked to."""
    note("start", job)
    seconds = float((job.payload or {}).get("seconds", 0.01))
    end = time.monotonic() + seconds
    try:
        while (left := end - time.monotonic()) > 0:
            signal.raise_if_aborted()
            await asyncio.sleep(min(left, 0.05))
    finally:
        note("end", job)
    return "worked"


async def deaf(job: SimpleJob) -> str:
    """Work for `seconds` without looking at the signal."""
    note("start", job)
    try:
        await asyncio.sleep(float((job.payload or {}).get("seconds", 0.01)))
    finally:
        note("end", job)
    return "worked"


def block_the_loop(seconds: float) -> None:
    """Block for a while."""
    time.sleep(seconds)


async def blocker(job: SimpleJob) -> str:
    """Block the event loop for `seconds`."""
    note("start", job)
    block_the_loop(float((job.payload or {})["seconds"]))
    note("end", job)
    return "blocked"


def thread(job: SimpleJob) -> str:
    """Occupy a thread for `seconds`, deaf to everything."""
    note("start", job)
    time.sleep(float((job.payload or {})["seconds"]))
    note("end", job)
    return "slept"


def poison(job: SimpleJob) -> None:
    """Take the worker down."""
    note("start", job)
    os._exit(9)


async def tick(signal: AbortSignal, job: CronTask) -> None:
    """Note an occurrence."""
    note("start", job, planned=job.scheduled_for.timestamp())
    note("end", job)


async def exited(job: Job) -> None:
    """Note the end of a job."""
    note("exited", job, status=job.status.value)


class SkewedClock(Clock):
    """A machine's clock that is wrong by some seconds."""

    def __init__(self, seconds: float) -> None:
        self._skew = timedelta(seconds=seconds)

    def now(self) -> datetime:
        """Return the wrong time."""
        return super().now() + self._skew


def make() -> JobProcessor:
    """Return the processor that the environment asks for."""
    options = dict(OPTIONS)
    skew = options.pop("clock_skew", 0.0)
    crons = {
        name: CronDef(expression, tick, on_job_exited=exited)
        for name, expression in options.pop("crons", {}).items()
    }
    names = options.pop("names", None)
    jobs = {
        "plain": JobDef(work, on_job_exited=exited),
        "resumable": JobDef(work, resumable=True, on_job_exited=exited),
        "deaf": JobDef(deaf, on_job_exited=exited),
        "deaf_resumable": JobDef(deaf, resumable=True, on_job_exited=exited),
        "retried": JobDef(work, retry=Retry(max_attempts=50, delay=0.05), on_job_exited=exited),
        "blocker": JobDef(blocker, resumable=True, on_job_exited=exited),
        "thread": JobDef(thread, on_job_exited=exited),
        "thread_resumable": JobDef(thread, resumable=True, on_job_exited=exited),
        "poison": JobDef(poison, resumable=True, on_job_exited=exited),
        "exclusive": JobDef(work, exclusive=True, on_job_exited=exited),
    }
    return JobProcessor(
        db=os.environ.get("ACCEPTANCE_DB", "sqlite://"),
        jobs={name: job for name, job in jobs.items() if names is None or name in names},
        crons=crons,
        clock=SkewedClock(skew),
        **options,
    )
