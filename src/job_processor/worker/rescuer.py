"""Settles or requeues what dead workers left `running`. Dead is a worker, never a run."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from bson import ObjectId

from job_processor.events import Event, EventKind
from job_processor.jobs.services import listings
from job_processor.models import Crash, Job, Registrations, WorkerInfo
from job_processor.settings import CLOCK_TOLERANCE, ORPHAN_NAME_SECONDS, RESCUE_BATCH
from job_processor.store.requests import Outcome, Settlement
from job_processor.tasks import Trouble
from job_processor.worker.engine import Engine
from job_processor.worker.job_log import Reported, crash_told
from job_processor.worker.losses import Losses
from job_processor.worker.outcomes import is_suspect, rescue
from job_processor.worker.settling import settle_all
from job_processor.worker.sightings import Sightings


@dataclass(frozen=True, slots=True)
class Look:
    """What the database told at one look."""

    asked: float
    """When the look began, by the monotonic clock."""
    registrations: Registrations
    holders: set[ObjectId]
    """The worker ids of running runs, ours aside."""
    missing: set[ObjectId]
    """Those of them that are not registered."""

    @property
    def seem_dead(self) -> set[ObjectId]:
        """Who seems dead by the database's clock: good for a suspicion, no more."""
        now = self.registrations.now
        return {each.id for each in self.registrations.workers if each.is_dead(now)} | self.missing


class Rescuer:
    """Looks for dead workers on its own jittered timer, and takes care of their runs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sightings = Sightings(engine.settings.worker_timeout)
        self._losses = Losses(engine.parts)
        self._orphaned_since: dict[ObjectId, float] = {}
        self._wrong_clocks: set[ObjectId] = set()
        self._places: dict[ObjectId, str] = {}
        """Where those run that were registered at the last look, or hold runs since an earlier."""

    async def run(self) -> None:
        """Rescue until cancelled."""
        pause = self._engine.settings.worker_timeout / 4
        trouble = Trouble(self._engine.logger, "rescue")
        while True:
            await trouble.attempt(self.rescue)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))

    async def rescue(self) -> int:
        """Make one whole pass; return how many runs were settled or requeued by us.

        Dead is who has shown the same heartbeat, or has been missing with runs under its id, for
        its timeout of our own time, while our own heartbeats were confirmed without a break.
        """
        look = await self.look()
        return await self.bury(look, self.silent(look))

    async def look(self) -> Look:
        """Read who is registered and who holds runs, and take in what has changed."""
        engine, asked = self._engine, time.monotonic()
        holders = await engine.store.runs.workers()
        before = engine.clock.now()
        registrations = await engine.store.workers.registrations()
        own = {engine.worker_id, *engine.lease.former}
        registered = {worker.id for worker in registrations.workers}
        missing = holders - registered - own
        self._remember(registrations, missing)
        self._sightings.look(
            [worker for worker in registrations.workers if worker.id not in own], missing
        )
        if engine.store.abilities.needs_heartbeat:
            engine.clock_watch.compare(before, registrations.now)
            self._name_wrong_clocks(registrations)
        return Look(asked, registrations, holders - own, missing)

    def _remember(self, registrations: Registrations, missing: Collection[ObjectId]) -> None:
        """Keep where workers run: who is missing may have been registered when we looked before."""
        gone = {each: self._places[each] for each in missing if each in self._places}
        self._places = {each.id: each.place for each in registrations.workers} | gone

    def silent(self, look: Look, patience: float | None = None) -> set[ObjectId]:
        """Return who is dead by that look; after `patience` seconds, whatever its own timeout."""
        unbroken_since = self._engine.lease.unbroken_since()
        return self._sightings.silent(look.asked, unbroken_since, patience)

    async def bury(self, look: Look, dead: Collection[ObjectId]) -> int:
        """Remove the dead that have not moved since that look, and take care of their runs."""
        gone = await self._remove([each for each in look.registrations.workers if each.id in dead])
        living = [each for each in look.registrations.workers if each.id not in gone]
        rescued = 0
        for worker_id in (look.missing & set(dead)) | (look.holders & gone):
            count = await self._rescue_runs_of(worker_id, living)
            await self._losses.add(worker_id, count)
            rescued += count
        return rescued

    async def _remove(self, workers: Sequence[WorkerInfo]) -> set[ObjectId]:
        """Remove registrations; return those that we removed, the others moved on."""
        removed = set()
        for worker in workers:
            if await self._engine.store.workers.remove_dead(worker):
                self._engine.logger.warning(
                    "worker %s on %s is dead: last seen %s",
                    worker.id,
                    worker.place,
                    worker.last_seen.isoformat(),
                )
                removed.add(worker.id)
                await self._losses.note(worker, self._engine.clock.now())
                if self._engine.events.listeners.all:
                    self._engine.events.emit(Event(EventKind.WORKER_LOST, worker.id))
        return removed

    def _name_wrong_clocks(self, registrations: Registrations) -> None:
        """Warn once of a worker that was seen later than now: where each has its own clock."""
        ahead = {
            worker.id: worker
            for worker in registrations.workers
            if worker.seen_ahead(registrations.now) > CLOCK_TOLERANCE
        }
        for worker in ahead.values():
            if worker.id not in self._wrong_clocks:
                self._engine.logger.warning(
                    "worker %s (process %s on %s) was last seen %.1f s in the future: its clock is "
                    "ahead, or this one's was set back; nobody is declared dead for it",
                    worker.id,
                    worker.pid,
                    worker.hostname,
                    worker.seen_ahead(registrations.now),
                )
        self._wrong_clocks = set(ahead)

    async def _rescue_runs_of(self, worker_id: ObjectId, living: Sequence[WorkerInfo]) -> int:
        engine, rescued = self._engine, 0
        left: set[ObjectId] = set()
        while True:
            jobs = await engine.store.runs.of_worker(worker_id, RESCUE_BATCH, left)
            ours = [job for job in jobs if await self._is_ours_to_settle(job, living)]
            left |= {job.id for job in jobs}
            if ours:
                alone = sum(map(is_suspect, jobs)) == 1
                rescued += await self._settle(ours, alone=alone)
            if len(jobs) < RESCUE_BATCH:
                return rescued

    async def _is_ours_to_settle(self, job: Job, living: Sequence[WorkerInfo]) -> bool:
        """True for our names; for one that no running worker defines, after a while.

        Unless a service has listed it that may come back.
        """
        engine = self._engine
        if engine.registry.get(job.name) is not None:
            return True
        if _somebody_defines(job.name, living):
            self._orphaned_since.pop(job.id, None)
            return False
        since = self._orphaned_since.setdefault(job.id, time.monotonic())
        if time.monotonic() - since < ORPHAN_NAME_SECONDS:
            return False
        kept = timedelta(days=engine.settings.history_days)
        listed = await listings(engine.store, await engine.store.ping(), kept)
        return job.name not in listed

    async def _settle(self, jobs: Sequence[Job], *, alone: bool) -> int:
        engine = self._engine
        killed = await engine.store.kills.requested([job.id for job in jobs])
        settlements = [self._settlement(job, killed, alone=alone) for job in jobs]
        written = await settle_all(engine.store, settlements, engine.logger, "rescue")
        for job in written:
            self._orphaned_since.pop(job.id, None)
            engine.logger.warning(
                "rescued job %r (%s) of the crashed worker %s: %s",
                job.name,
                job.id,
                crash_told(job.crash),
                job.status,
            )
            if engine.events.listeners.all:
                engine.events.emit(Event(EventKind.RESCUED, engine.worker_id, job))
        before = {job.id: job for job in jobs}
        await engine.reporter.report(
            [Reported(engine.registry.get(job.name), before[job.id], job, None) for job in written],
            engine.worker_id,
        )
        return len(written)

    def _settlement(self, job: Job, killed: Collection[ObjectId], *, alone: bool) -> Settlement:
        outcome = rescue(
            job,
            self._engine.registry.get(job.name),
            killed=job.id in killed,
            alone=alone,
            at=self._engine.clock.now(),
        )
        return Settlement(job, self._naming(job, outcome), self._engine.worker_id)

    def _naming(self, job: Job, outcome: Outcome) -> Outcome:
        """Return the outcome with whose death it is of, and who took care of it."""
        rescuer, worker_id = self._engine.worker_id, job.worker_id
        worker = None if worker_id is None else self._places.get(worker_id)
        outcome.crash = Crash(worker_id, worker, rescuer, self._engine.place, outcome.at)
        if outcome.failed is not None:
            outcome.failed = replace(outcome.failed, worker=worker)
        return outcome


def _somebody_defines(name: str, living: Sequence[WorkerInfo]) -> bool:
    # A Node worker does not tell its names.
    return any(worker.timeout_s is None or name in worker.names for worker in living)
