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
    """A processor that is set up in memory; `in_memory` makes it."""

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
        """Run all that is due by the clock, and what comes due by that; return what ended.

        Retries and jobs for later wait until the clock is moved. A job that fails is returned as
        such: `job.result()` raises its error.

        skip_sleeps: when nothing is due any more, move the clock to the end of the next
            `context.sleep`, and go on, until no handler sleeps. Which handlers then wait for a
            message is logged.

        Raises JobTimeoutError after `timeout` seconds.
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
        """Send a message, as `JobProcessor.send` does: the next `drain` goes on with it."""
        return await self.processor.send(topic, payload)

    async def waiting(self) -> list[Job]:
        """Return the jobs whose handlers wait for a message; `waits_for` says for which."""
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
        """Return the jobs that were scheduled so far, as they then were; of one name, or all."""
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
        """Return the last job of this name that was scheduled with these values.

        name: or the job's handle. payload: exactly this one, a mapping or an instance of the class
        that the handler names. fields: those of the payload that matter, `to="ada"`; part: the same
        as a mapping; of a mapping in it, too, only what is given matters. scheduled_for: a moment,
        or a delay from when it was scheduled. count: how many there must be; None: at least one.

        Raises AssertionError that lists what was scheduled, InvalidPayloadError for what no job of
        this name can have.
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
        """Raise AssertionError when a job of this name or handle (None: any) was scheduled."""
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
    """Let a processor work on an empty database in memory, with a clock of the test's.

    processor: the application's own, whose jobs and crons are tested; afterwards it has its
        database and its clock back. None: a new one. start: where the clock stands; None: now.
    resources: what handlers get as such, in place of what the processor's lifespan yields, which is
        not entered then.

    Rates do not apply: no test waits for a start.

    Raises WorkerStateError when it is set up already: its own database is in use; LifespanError
    where the lifespan fails as it is entered.
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
