"""A processor in memory, with what a test of its handlers asks of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from types import EllipsisType
from typing import Any, TypeAlias

from job_processor.errors import JobTimeoutError
from job_processor.events import Event, EventKind
from job_processor.models import Job, JobStatus, SimpleJob
from job_processor.processor import JobProcessor
from job_processor.settings import IN_MEMORY
from job_processor.testing.clock import MovableClock
from job_processor.values import normalize_payload

DRAIN_TIMEOUT = 30.0
"""Seconds after which what is due should have been run, unless a test says otherwise."""

AnyPayload: TypeAlias = Mapping[str, Any] | EllipsisType | None


class JobTester:
    """A processor that is set up in memory; `in_memory` makes it."""

    def __init__(self, processor: JobProcessor, clock: MovableClock) -> None:
        self.processor = processor
        self.clock = clock
        self.events: list[Event] = []
        """What has happened so far."""

    async def drain(self, timeout: float = DRAIN_TIMEOUT) -> list[Job]:
        """Run all that is due by the clock, and what comes due by that; return what ended.

        Retries and jobs for later wait until the clock is moved. A job that fails is returned as
        such: `job.result()` raises its error. Raises JobTimeoutError after `timeout` seconds.
        """
        before = len(self.events)
        worker = asyncio.create_task(self.processor.run_worker(burst=True))
        try:
            await asyncio.wait([worker], timeout=timeout)
            if not worker.done():
                told = f"not all that is due was run within {timeout:g} s: {self._running()}"
                raise JobTimeoutError(told)
        finally:
            worker.cancel()
            await asyncio.wait([worker])
        worker.result()
        ended = (event.job for event in self.events[before:])
        return [job for job in ended if job is not None and job.settled]

    def scheduled(self, name: str | None = None) -> list[Job]:
        """Return the jobs that were scheduled so far, as they then were; of one name, or all."""
        told = (event.job for event in self.events if event.kind is EventKind.SCHEDULED)
        return [job for job in told if job is not None and name in (None, job.name)]

    def assert_scheduled(
        self,
        name: str,
        payload: AnyPayload = ...,
        scheduled_for: datetime | timedelta | EllipsisType = ...,
        *,
        count: int | None = None,
    ) -> Job:
        """Return the last job of this name that was scheduled with these values.

        payload: exactly this one, after what is stored of it. scheduled_for: a moment, or a delay
        from when it was scheduled. count: how many there must be; None: at least one. Raises
        AssertionError that lists what was scheduled.
        """
        found = [
            job
            for job in self.scheduled(name)
            if _has_payload(job, payload) and _is_for(job, scheduled_for)
        ]
        if not found or count not in (None, len(found)):
            wanted = _describe(name, payload, scheduled_for)
            number = "at least one" if count is None else str(count)
            raise AssertionError(
                f"{len(found)} jobs were scheduled as {wanted}, {number} expected; {self._told()}"
            )
        return found[-1]

    def assert_not_scheduled(self, name: str | None = None) -> None:
        """Raise AssertionError when a job of this name (None: any job) was scheduled."""
        if self.scheduled(name):
            what = "no job" if name is None else f"no job {name!r}"
            raise AssertionError(f"{what} was to be scheduled; {self._told()}")

    def _told(self) -> str:
        lines = [_describe(job.name, _payload(job), job.scheduled_for) for job in self.scheduled()]
        return "scheduled were:\n  " + "\n  ".join(lines) if lines else "nothing was scheduled"

    def _running(self) -> str:
        running: dict[Any, str] = {}
        for event in self.events:
            if event.job is not None and event.kind is EventKind.STARTED:
                running[event.job.id] = event.job.name
            elif event.job is not None and event.job.status is not JobStatus.RUNNING:
                running.pop(event.job.id, None)
        names = ", ".join(sorted({repr(name) for name in running.values()}))
        return f"{names} did not end" if names else "there is ever more"


@asynccontextmanager
async def in_memory(
    processor: JobProcessor | None = None, start: datetime | None = None
) -> AsyncIterator[JobTester]:
    """Let a processor work on an empty database in memory, with a clock of the test's.

    processor: the application's own, whose jobs and crons are tested; afterwards it has its
        database and its clock back. None: a new one. start: where the clock stands; None: now.

    Raises WorkerStateError when it is set up already: its own database is in use.
    """
    clock = MovableClock(start)
    tested = JobProcessor(IN_MEMORY) if processor is None else processor
    undo = tested.override(db=IN_MEMORY, clock=clock)
    try:
        tester = JobTester(tested, clock)
        forget = tested.listen(tester.events.append)
        try:
            async with tested:
                if tested.registry.crons:
                    await tester.drain()  # the first occurrence of each stands in the queue
                tester.events.clear()
                yield tester
        finally:
            forget()
    finally:
        undo()


def _payload(job: Job) -> Mapping[str, Any] | None:
    return job.payload if isinstance(job, SimpleJob) else None


def _has_payload(job: Job, payload: AnyPayload) -> bool:
    return isinstance(payload, EllipsisType) or _payload(job) == normalize_payload(payload)


def _is_for(job: Job, moment: datetime | timedelta | EllipsisType) -> bool:
    if isinstance(moment, timedelta):
        return job.scheduled_for - job.created_at == moment
    return isinstance(moment, EllipsisType) or job.scheduled_for == moment


def _describe(name: str, payload: AnyPayload, moment: object) -> str:
    parts = [repr(name)]
    if not isinstance(payload, EllipsisType):
        parts.append(f"payload {payload!r}")
    if isinstance(moment, datetime):
        parts.append(f"for {moment.isoformat()}")
    elif isinstance(moment, timedelta):
        parts.append(f"{moment} later")
    return ", ".join(parts)
