"""Makes jobs of the moments of schedules that were put at run time, as they come due.

Any worker that defines the job may, none is leader. The id of a job is derived from its schedule
and its moment, so two workers make the same one; jobs are stored before the schedule is moved on,
so that a crash in between loses and doubles nothing; it is moved on only from where it was read.

What is due is asked of the database, whose index is the heap of all of them: a worker keeps none
of them in memory, and asks no more than once in `SCHEDULER_INTERVAL` while nothing is due.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from bson import ObjectId

from job_processor.crons.moments import Plan, expiry, missed, plan, repair
from job_processor.crons.process import Process
from job_processor.errors import InvalidArgumentError, JobProcessorError, StoreRefusedError
from job_processor.handlers.definitions import Definition
from job_processor.jobs.intake import insert_or_skip
from job_processor.jobs.request import planned_job
from job_processor.models import Job, OnConflict, SimpleJob
from job_processor.settings import (
    CLOCK_TOLERANCE,
    DISPATCH_BATCH,
    SCHEDULE_BATCH,
    SCHEDULER_INTERVAL,
    SETTINGS_INTERVAL,
)
from job_processor.store.hints import Hint
from job_processor.store.schedules import Schedule, planned_id
from job_processor.tasks import Trouble, is_of_input, set_within

_JITTER = 0.1  # seconds, by which workers are apart: the first makes what is due, for all

_LEFT = timedelta(seconds=1)
"""After which one that is left to a worker whose clock is right is looked at again."""

_PATIENCE = timedelta(seconds=2)
"""For how long after its time a moment may stand until somebody makes its job."""

_TOLERANCE = timedelta(seconds=CLOCK_TOLERANCE)


class Paused(Protocol):
    """Knows which names and tags are paused."""

    def is_paused(self, name: str, definition: Definition) -> bool:
        """True when nothing of this name may begin."""

    def on_changed(self, listener: Callable[[], object]) -> Callable[[], None]:
        """Call `listener` whenever something was paused or resumed."""


class Dispatcher:
    """Makes a pass when the first schedule is due, one was put, or time passed."""

    def __init__(self, process: Process, pauses: Paused) -> None:
        self._process = process
        self._parts = process.parts
        self._pauses = pauses
        self._wake = asyncio.Event()
        self._looked_at: datetime | None = None
        """When it was last seen whether a clock was ahead."""
        pauses.on_changed(self._wake.set)

    async def run(self) -> None:
        """Make jobs until cancelled."""
        forget = self._parts.store.subscribe(self._on_hint, ends=False)
        trouble = Trouble(self._parts.logger, "schedules")
        try:
            while True:
                began, at = self._parts.clock.now(), time.monotonic()
                due: list[datetime | None] = []
                while not await trouble.attempt(lambda: self._pass(due)):  # noqa: B023  # awaited
                    pass
                ahead = math.inf if due[-1] is None else (due[-1] - began).total_seconds()
                await self._pause(ahead - (time.monotonic() - at), at)
        finally:
            forget()

    async def _pass(self, due: list[datetime | None]) -> None:
        due.append(await self.dispatch())

    async def dispatch(self) -> datetime | None:
        """Make the jobs of all that is due; return when the next one is."""
        jobs = self._open_jobs()
        if not jobs:
            return None
        await self._look_for_wrong_clocks()
        desk = self._parts.store.schedules
        while True:
            first = await desk.next_due(jobs)
            now = self._parts.clock.now()
            if first is None or first > now:
                return first
            ours = await self._without_left(jobs, first)
            found = await desk.due(ours, now, DISPATCH_BATCH)
            if not found:
                return now + _LEFT
            await self._make(found, now)

    async def _make(self, found: Sequence[Schedule], now: datetime) -> None:
        """Store the jobs of what is due, then move it on; what fails of one is told, and passed."""
        moves: list[tuple[Schedule, Schedule]] = []
        made: dict[str, list[SimpleJob]] = {}
        for schedule in found:
            after, jobs = self._planned(schedule, now)
            moves.append((schedule, after))
            made[schedule.name] = jobs
            await asyncio.sleep(0)  # each is some work: whatever else runs here goes on
        refused = await self._store([job for jobs in made.values() for job in jobs])
        if refused:
            moves = [(before, _with_problem(after, made, refused)) for before, after in moves]
        won = await self._parts.store.schedules.advance(moves)
        for before, after in moves:
            if before.name in won and not after.paused:
                self._process.tally.add_missed(before.job, missed(before, now), now)
        if len(won) < len(moves):  # somebody else is at it: from here on, one of us is enough
            await asyncio.sleep(random.uniform(0, _JITTER))
        if self._parts.events.listeners.all:
            self._parts.events.tell_stored(
                job for name in won for job in made[name] if job.id not in refused
            )

    def _planned(self, schedule: Schedule, now: datetime) -> tuple[Schedule, list[SimpleJob]]:
        """Return how a schedule stands without what is due, and the jobs of that."""
        try:
            planned = plan(schedule, now)
        except InvalidArgumentError as error:  # not to be computed here, and so not to be moved on
            self._complain(schedule, f"{error}; it is paused")
            return replace(schedule, paused=True, problem=str(error), moved_at=now), []
        try:
            return self._jobs(schedule, planned, now)
        except JobProcessorError as error:
            if not is_of_input(error):
                raise
            self._complain(schedule, str(error))
            return replace(planned.after, problem=str(error), made=schedule.made), []

    def _jobs(
        self, schedule: Schedule, planned: Plan, now: datetime
    ) -> tuple[Schedule, list[SimpleJob]]:
        parts, jobs = self._parts, list[SimpleJob]()
        for moment in planned.moments:
            job = planned_job(
                parts,
                schedule.job,
                schedule.payload,
                id=planned_id(schedule.name, moment),
                scheduled_for=moment,
                created_at=now,
                priority=schedule.priority,
                expires_at=expiry(schedule, moment),
                unique_key=schedule.unique_key,
                limit_key=schedule.limit_key,
                labels=schedule.labels,
            )
            jobs.append(parts.store.intake.keep(parts.stamps.on(job)))
        last = jobs[-1].id if jobs else schedule.last_job
        return replace(planned.after, last_job=last), jobs

    async def _store(self, jobs: Sequence[SimpleJob]) -> dict[ObjectId, str]:
        """Store jobs; return those that no database takes, and why."""
        refused: dict[ObjectId, str] = {}
        for start in range(0, len(jobs), SCHEDULE_BATCH):
            batch = jobs[start : start + SCHEDULE_BATCH]
            try:
                await self._insert(batch)
            except StoreRefusedError:
                for job in batch:
                    try:
                        await self._insert([job])
                    except StoreRefusedError as error:
                        refused[job.id] = str(error)
                        self._parts.logger.error("job %r (%s): %s", job.name, job.id, error)  # noqa: TRY400  # its words say all
        return refused

    async def _insert(self, jobs: Sequence[Job]) -> None:
        rules: dict[ObjectId, OnConflict] = {
            job.id: "skip" for job in jobs if isinstance(job, SimpleJob) and job.unique_key
        }
        await insert_or_skip(self._parts.store, jobs, self._parts.clock, rules)

    # --- whose it is to do ----------------------------------------------------------------------

    def _open_jobs(self) -> tuple[str, ...]:
        """Return the jobs that are defined here, but for what is paused: that is judged later."""
        jobs = self._parts.registry.jobs.items()
        return tuple(name for name, its in jobs if not self._pauses.is_paused(name, its))

    async def _without_left(self, jobs: tuple[str, ...], first: datetime) -> tuple[str, ...]:
        """Return those jobs that are not left to a worker whose clock is right, where ours is not.

        Right is the database's clock, as long as there is such a worker, and the first moment that
        is due here is not long due there: else it is the database's clock that is wrong.
        """
        parts, watch = self._parts, self._process.clock_watch
        if not parts.store.abilities.needs_heartbeat:
            return jobs
        before = parts.clock.now()
        watch.compare(before, await parts.store.ping())
        if watch.ahead is None:
            return jobs
        there = await parts.store.workers.registrations()
        if first <= there.now - _PATIENCE:
            return jobs
        left = {
            name
            for worker in there.workers
            if worker.clock_ahead is None
            and worker.timeout_s is not None
            and worker.id != self._process.worker_id
            and not worker.is_dead(there.now)
            for name in worker.names
        }
        return tuple(name for name in jobs if name not in left)

    async def _look_for_wrong_clocks(self) -> None:
        """Compute anew what a clock that was ahead has moved on; now and then, and after a step."""
        now, before = self._parts.clock.now(), self._looked_at
        interval = timedelta(seconds=SCHEDULER_INTERVAL)
        if before is not None and before <= now < before + interval:
            return
        desk = self._parts.store.schedules
        while found := await desk.moved_after(now + _TOLERANCE, DISPATCH_BATCH):
            moves = [(each, self._repaired(each, now)) for each in found]
            if not await desk.advance(moves):
                break  # somebody else does it
        self._looked_at = now

    def _repaired(self, schedule: Schedule, now: datetime) -> Schedule:
        try:
            mended = repair(schedule, now)
        except InvalidArgumentError as error:
            return replace(schedule, paused=True, problem=str(error), moved_at=now)
        if mended.next != schedule.next:
            self._parts.logger.warning(
                "schedule %r was to continue at %s: a clock was ahead, or one is behind; "
                "it continues at %s",
                schedule.name,
                schedule.next,
                mended.next,
            )
        return mended

    def _complain(self, schedule: Schedule, why: str) -> None:
        self._parts.logger.error("schedule %r: %s", schedule.name, why)

    # --- when -----------------------------------------------------------------------------------

    def _on_hint(self, hint: Hint) -> None:
        if hint & Hint.SCHEDULES:
            self._wake.set()

    async def _pause(self, ahead: float, looked: float) -> None:
        """Return when a schedule is due that lies so many seconds ahead, or something calls.

        looked: when the last pass began, by the monotonic clock.
        """
        left = min(SCHEDULER_INTERVAL, max(ahead, 0.0) + random.uniform(0, _JITTER))
        await set_within(self._wake, left)
        if self._wake.is_set():  # hints come in crowds: one look is enough
            left -= time.monotonic() - looked
            rest = SETTINGS_INTERVAL - (time.monotonic() - looked)
            await asyncio.sleep(max(min(left, rest), 0.0))
        self._wake.clear()


def _with_problem(
    schedule: Schedule, made: Mapping[str, Sequence[SimpleJob]], refused: Mapping[ObjectId, str]
) -> Schedule:
    """Return a schedule with why a job of it was refused, where one was."""
    why = next((refused[job.id] for job in made[schedule.name] if job.id in refused), None)
    return schedule if why is None else replace(schedule, problem=why)
