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
from job_processor.handlers.binding import BoundHandler
from job_processor.handlers.fields import plain_of
from job_processor.handlers.payloads import TypedPayload
from job_processor.handlers.resources import GivenResources
from job_processor.jobs.handle import JobHandle
from job_processor.models import Job, JobStatus, SimpleJob
from job_processor.processor import JobProcessor
from job_processor.settings import IN_MEMORY
from job_processor.testing.clock import MovableClock
from job_processor.values import normalize_payload

DRAIN_TIMEOUT = 30.0
"""Seconds after which what is due should have been run, unless a test says otherwise."""

AnyPayload: TypeAlias = Mapping[str, Any] | TypedPayload | EllipsisType | None


class JobTester:
    """A processor on an empty database in memory, for tests; `in_memory` creates it."""

    def __init__(self, processor: JobProcessor, clock: MovableClock) -> None:
        self.processor = processor
        self.clock = clock
        self.events: list[Event] = []
        """What has happened so far."""
        self.resources: Any = None
        """What handlers get as such, to the end of the test."""

    async def drain(
        self, timeout: float = DRAIN_TIMEOUT, *, skip_sleeps: bool = False
    ) -> list[Job]:
        """Run all jobs that are due by the test's clock, and the due jobs that these store.

        timeout: real seconds.
        skip_sleeps: when nothing is due any more, move the clock to the end of the next
            `context.sleep` and continue, until no handler sleeps. Handlers that then wait for a
            message are logged.

        Returns the jobs that ended. Jobs for later and retries with a delay wait until the clock is
        moved. A failed job is returned, too: `job.result()` raises its error.

        Raises JobTimeoutError after `timeout`.
        """
        before = len(self.events)
        worker = asyncio.create_task(self._work(skip_sleeps=skip_sleeps))
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

    async def _work(self, *, skip_sleeps: bool) -> None:
        await self.processor.run_worker(burst=True)
        while skip_sleeps and (until := await self._next_end_of_a_sleep()) is not None:
            self.clock.move_to(until)
            await self.processor.run_worker(burst=True)
        for job in await self.waiting() if skip_sleeps else ():
            self.processor.logger.warning(
                "job %r (%s) still waits for %s; send it, or move the clock",
                job.name,
                job.id,
                job.waits_for,
            )

    async def send(self, topic: str, payload: Any = True) -> bool:
        """Send a message, as `JobProcessor.send` does; the next `drain` runs the waiting jobs."""
        return await self.processor.send(topic, payload)

    async def waiting(self) -> list[Job]:
        """Return the jobs whose handlers wait for a message; their `waits_for` names it."""
        return [job for job in await self._pending() if job.topics]

    async def _next_end_of_a_sleep(self) -> datetime | None:
        """Return when the first handler that sleeps is to go on; None: none sleeps."""
        ends = [job.sleeps_until for job in await self._pending()]
        now = self.clock.now()
        return min((end for end in ends if end is not None and end > now), default=None)

    async def _pending(self) -> list[Job]:
        page = await self.processor.find_jobs(status=JobStatus.PENDING)
        jobs = list(page.jobs)
        while page.next is not None:
            page = await self.processor.find_jobs(status=JobStatus.PENDING, after=page.next)
            jobs += page.jobs
        return jobs

    def scheduled(self, name: str | None = None) -> list[Job]:
        """Return the jobs stored so far, as they were at that time.

        name: only jobs with this name; None: all.
        """
        told = (event.job for event in self.events if event.kind is EventKind.SCHEDULED)
        return [job for job in told if job is not None and name in (None, job.name)]

    def assert_scheduled(
        self,
        name: str | JobHandle[..., Any],
        payload: AnyPayload = ...,
        scheduled_for: datetime | timedelta | EllipsisType = ...,
        *,
        count: int | None = None,
        part: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Job:
        """Assert that a job with these values was stored; return the last one.

        name: the name of the job, or its handle.
        payload: the whole payload: a mapping, or an instance of the payload class of the handler.
        scheduled_for: the time, or the delay from when it was stored.
        count: how many such jobs there must be; None: at least one.
        part: some fields of the payload; in nested mappings, too, only the given fields are
            compared.
        fields: the same as keyword arguments: `to="ada"`.

        ```python
        tester.assert_scheduled("send", to="ada", count=1)
        ```

        Raises AssertionError with the jobs that were stored, and InvalidPayloadError for a payload
        that this job cannot have.
        """
        called = name.name if isinstance(name, JobHandle) else name
        bound = self._bound(called)
        wanted_part = _part(bound, {**(part or {}), **fields})
        exact = payload if isinstance(payload, EllipsisType) else _stored(bound, payload)
        found = [
            job
            for job in self.scheduled(called)
            if _has_payload(job, exact)
            and _has_part(_payload(job), wanted_part)
            and _is_for(job, scheduled_for)
        ]
        if not found or count not in (None, len(found)):
            wanted = _describe(called, exact, scheduled_for, wanted_part)
            number = "at least one" if count is None else str(count)
            raise AssertionError(
                f"{len(found)} jobs were scheduled as {wanted}, {number} expected; {self._told()}"
            )
        return found[-1]

    def assert_not_scheduled(self, name: str | JobHandle[..., Any] | None = None) -> None:
        """Raise AssertionError if a job with this name or handle (None: any) was stored."""
        called = name.name if isinstance(name, JobHandle) else name
        if self.scheduled(called):
            what = "no job" if called is None else f"no job {called!r}"
            raise AssertionError(f"{what} was to be scheduled; {self._told()}")

    def _bound(self, name: str) -> BoundHandler | None:
        """Return the handler of a job; None where it has none here."""
        definition = self.processor.registry.jobs.get(name)
        return None if definition is None else definition.bound

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
    processor: JobProcessor | None = None,
    start: datetime | None = None,
    *,
    resources: Any = ...,
) -> AsyncIterator[JobTester]:
    """Let a processor work on an empty database in memory with a test clock, for a block.

    processor: the application's own, whose jobs and crons are tested; after the block it has its
        own database and clock again. None: a new processor.
    start: an aware datetime, the time of the clock; None: now.
    resources: what handlers get as `resources` instead of the value of the processor's lifespan,
        which is then not entered.

    ```python
    async with in_memory(processor) as tester:
        await processor.schedule_job("send", {"to": "ada"})
        [job] = await tester.drain()
        assert job.result() is None
    ```

    Rate limits do not apply, so that no test waits for them.

    Raises WorkerStateError if the processor is set up already, because its own database is in use,
    and LifespanError if the lifespan fails.
    """
    clock = MovableClock(start)
    tested = JobProcessor(IN_MEMORY) if processor is None else processor
    given = None if resources is ... else GivenResources(resources)
    undo = tested.override(db=IN_MEMORY, clock=clock, lifespan=given)
    applied, tested.registry.rates_apply = tested.registry.rates_apply, False
    try:
        tester = JobTester(tested, clock)
        forget = tested.listen(tester.events.append)
        try:
            async with tested, tested.resources() as tester.resources:
                if tested.registry.crons:
                    await tester.drain()  # the first occurrence of each stands in the queue
                tester.events.clear()
                yield tester
        finally:
            forget()
    finally:
        tested.registry.rates_apply = applied
        undo()


def _payload(job: Job) -> Mapping[str, Any] | None:
    return job.payload if isinstance(job, SimpleJob) else None


def _stored(bound: BoundHandler | None, payload: object) -> dict[str, Any] | None:
    return normalize_payload(payload) if bound is None else bound.stored(payload)


def _part(bound: BoundHandler | None, part: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is stored of a part of a payload."""
    if bound is not None and bound.fields is not None:
        part = bound.fields.part(part)
    return normalize_payload({name: plain_of(value) for name, value in part.items()}) or {}


def _has_payload(job: Job, payload: object) -> bool:
    return payload is ... or _payload(job) == payload


def _has_part(whole: object, part: object) -> bool:
    """Tell whether a stored value is this one, or a mapping that has all that this one has."""
    if not isinstance(whole, Mapping) or not isinstance(part, Mapping):
        return whole == part or (whole is None and part == {})
    return all(name in whole and _has_part(whole[name], each) for name, each in part.items())


def _is_for(job: Job, moment: datetime | timedelta | EllipsisType) -> bool:
    if isinstance(moment, timedelta):
        return job.scheduled_for - job.created_at == moment
    return isinstance(moment, EllipsisType) or job.scheduled_for == moment


def _describe(
    name: str, payload: object, moment: object, part: Mapping[str, Any] | None = None
) -> str:
    parts = [repr(name)]
    if payload is not ...:
        parts.append(f"payload {payload!r}")
    if part:
        parts.append(f"with {dict(part)!r} in its payload")
    if isinstance(moment, datetime):
        parts.append(f"for {moment.isoformat()}")
    elif isinstance(moment, timedelta):
        parts.append(f"{moment} later")
    return ", ".join(parts)
