"""The application of the acceptance tests: handlers that write down when they start and end.

Configured by the environment: ACCEPTANCE_DB, ACCEPTANCE_LOG (a file that all processes append to)
and ACCEPTANCE_OPTIONS: JSON, options of JobProcessor and these:

- crons: expressions by name; they run every occurrence, missed ones too
- names: the jobs that this version of the application defines; all without it
- clock_skew: seconds by which the clock of this machine is wrong
- die: [verb of the store, "before" or "after", n]: die by SIGKILL at its n-th call
- broken: the part of the worker that fails at its first step
"""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import json
import os
import signal
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from job_processor import (
    AbortSignal,
    Clock,
    CronDef,
    CronTask,
    Job,
    JobDef,
    JobProcessor,
    Limit,
    Rate,
    Retry,
    SimpleJob,
)
from job_processor.crons.scheduler import Scheduler
from job_processor.worker import loop_watch
from tests.desks import at
from tests.insides import store_of

RATE = Rate(10, per=1, burst=2)
KEYED = Rate(10, per=1, burst=2, key=True)
LOG = os.environ.get("ACCEPTANCE_LOG", os.devnull)
OPTIONS: dict[str, Any] = {
    "poll_interval": 0.2,
    "heartbeat_interval": 0.2,
    "worker_timeout": 1.5,
    "shutdown_grace": 2.0,
    "kill_grace": 0.5,
    **json.loads(os.environ.get("ACCEPTANCE_OPTIONS", "{}")),
}


_AGAIN = Retry(max_attempts=50, delay=0.05)


def note(what: str, job: Job, **more: object) -> None:
    """Append one line; a write of this size is atomic."""
    _append([{"what": what, "job": str(job.id), "name": job.name, **more}])


def _append(lines: list[dict[str, object]]) -> None:
    common = {"pid": os.getpid(), "at": time.time()}
    with open(LOG, "a", encoding="utf-8") as log:  # noqa: PTH123  # append is what is meant
        log.write("".join(json.dumps({**line, **common}) + "\n" for line in lines))


def ended(job: SimpleJob) -> Callable[[], bool]:
    """Return what tells when to end: once there is the file `until`, else `seconds` from now on."""
    payload = job.payload or {}
    if "until" in payload:
        return Path(payload["until"]).exists
    end = time.monotonic() + float(payload.get("seconds", 0.01))
    return lambda: time.monotonic() >= end


async def work(job: SimpleJob, signal: AbortSignal) -> str:
    """Work until `ended`, stopping at once when asked to; fail at last where it `fails`."""
    note("start", job)
    is_over = ended(job)
    try:
        while not is_over():
            signal.raise_if_aborted()
            await asyncio.sleep(0.01)
    finally:
        note("end", job)
    if (job.payload or {}).get("fails"):
        raise ValueError("as it was asked to")
    return "worked"


async def batch(payloads: list[dict[str, Any]]) -> None:
    """Run as long as the first payload says; jobs are told by their numbers, nobody asks for them.

    In one write for all, and short lines, so that it is atomic.
    """
    _append([{"what": "start", "job": str(each["n"])} for each in payloads])
    until = Path(payloads[0]["until"])
    while not until.exists():  # noqa: ASYNC110  # another process makes it
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.02)
    _append([{"what": "end", "job": str(each["n"])} for each in payloads])


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
    """Occupy a thread until `ended`, deaf to everything."""
    note("start", job)
    is_over = ended(job)
    while not is_over():
        time.sleep(0.01)
    note("end", job)
    return "slept"


def locks(job: SimpleJob) -> str:
    """Hold Python's lock in one call, until a byte is in the pipe `held`; not in a second run."""
    note("start", job)
    if not job.crashes:
        loop_watch._WORKED = 0.0  # it computes nothing: that it waits tells nobody from a stop
        pipe = os.open((job.payload or {})["held"], os.O_RDWR)
        ctypes.PyDLL(None).read(pipe, ctypes.create_string_buffer(1), 1)
        os.close(pipe)
    note("end", job)
    return "computed"


def poison(job: SimpleJob) -> None:
    """Take the worker down."""
    note("start", job)
    os._exit(9)


async def nothing() -> None:
    """Do nothing, and write nothing down."""


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
    death, broken = options.pop("die", None), options.pop("broken", None)
    crons = {
        name: CronDef(expression, tick, on_job_exited=exited, misfire="all")
        for name, expression in options.pop("crons", {}).items()
    }
    names = options.pop("names", None)
    jobs = {
        "plain": JobDef(work, on_job_exited=exited),
        "resumable": JobDef(work, resumable=True, on_job_exited=exited),
        "deaf": JobDef(deaf, on_job_exited=exited),
        "deaf_resumable": JobDef(deaf, resumable=True, on_job_exited=exited),
        "retried": JobDef(work, retry=Retry(max_attempts=50, delay=0.05), on_job_exited=exited),
        "rated": JobDef(work, retry=Retry(max_attempts=50, delay=0.05), rate=RATE),
        "keyed": JobDef(work, retry=Retry(max_attempts=50, delay=0.05), rate=KEYED),
        "blocker": JobDef(blocker, resumable=True, on_job_exited=exited),
        "thread": JobDef(thread, on_job_exited=exited),
        "thread_resumable": JobDef(thread, resumable=True, on_job_exited=exited),
        "nothing": JobDef(nothing),
        "batch": JobDef(batch, batch=20),
        "batch_resumable": JobDef(batch, batch=20, resumable=True),
        "batch_retried": JobDef(batch, batch=20, retry=_AGAIN),
        "locks": JobDef(locks, resumable=True, on_job_exited=exited),
        "poison": JobDef(poison, resumable=True, on_job_exited=exited),
        "then": JobDef(work, retry=_AGAIN, on_job_exited=exited),
        "catch": JobDef(work, retry=_AGAIN, on_job_exited=exited),
        "exclusive": JobDef(work, exclusive=True, on_job_exited=exited),
        "limited": JobDef(work, limit=Limit(2, key="key"), retry=_AGAIN),
        "in_order": JobDef(work, limit=Limit(1, key="key", ordered=True), retry=_AGAIN),
    }
    processor = JobProcessor(
        db=os.environ.get("ACCEPTANCE_DB", "sqlite://"),
        jobs={name: job for name, job in jobs.items() if names is None or name in names},
        crons=crons,
        clock=SkewedClock(skew),
        **options,
    )
    if death is not None:
        die_at(processor, *death)
    if broken == "scheduler":
        Scheduler.run = fail  # type: ignore[method-assign,assignment]  # sabotage
    return processor


async def fail(*_: object) -> None:
    """Fail as only a bug of ours could."""
    raise RuntimeError("a bug")


def die_at(processor: JobProcessor, verb: str, when: str, count: int) -> None:
    """Die by SIGKILL at the `count`-th call of a verb of the store, before or after its write."""
    store = store_of(processor)  # sabotage
    desk, name = at(store, verb)
    call, calls = getattr(desk, name), itertools.count(1)

    async def deadly(*arguments: object, **keywords: object) -> object:
        number = next(calls)
        if number >= count and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = await call(*arguments, **keywords)
        if number >= count:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(desk, name, deadly)
