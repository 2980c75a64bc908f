"""Settles or requeues what dead workers left `running`. Dead is a worker, never a run."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Collection, Sequence

from bson import ObjectId

from job_processor.events import Event, EventKind
from job_processor.models import Job, Registrations
from job_processor.settings import ORPHAN_NAME_SECONDS, RESCUE_BATCH
from job_processor.settlements import Settlement
from job_processor.worker.engine import Engine
from job_processor.worker.outcomes import rescue
from job_processor.worker.persistence import Trouble
from job_processor.worker.settling import settle_all


class Rescuer:
    """Looks for dead workers on its own jittered timer, and takes care of their runs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._orphaned_since: dict[ObjectId, float] = {}

    async def run(self) -> None:
        """Rescue until cancelled."""
        pause = self._engine.settings.worker_timeout / 4
        trouble = Trouble(self._engine.logger, "rescue")
        while True:
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            await trouble.attempt(self.rescue)

    async def rescue(self) -> int:
        """Make one whole pass; return how many runs were settled or requeued by us.

        Does nothing before one unbroken `worker_timeout` of our own confirmed heartbeats: after an
        outage of the database nobody's heartbeat is fresh, and nobody is dead for it.
        """
        engine = self._engine
        if engine.lease.unbroken_for() < self._needed_confidence():
            return 0
        holders = await engine.store.running_worker_ids()
        registrations = await engine.store.registrations()
        gone = await self._remove_dead(registrations)
        own = {engine.worker_id, *engine.lease.former}
        registered = {worker.id for worker in registrations.workers}
        rescued = 0
        for worker_id in (holders - registered - own) | (holders & gone):
            rescued += await self._rescue_runs_of(worker_id, registrations)
        return rescued

    def _needed_confidence(self) -> float:
        settings = self._engine.settings
        return settings.worker_timeout if self._engine.store.needs_heartbeat else 0.0

    async def _remove_dead(self, registrations: Registrations) -> set[ObjectId]:
        """Remove dead registrations; return those that we removed, the others moved on."""
        removed = set()
        for worker in registrations.workers:
            if worker.id == self._engine.worker_id or not worker.is_dead(registrations.now):
                continue
            if await self._engine.store.remove_dead(worker):
                self._engine.logger.warning(
                    "worker %s on %s is dead: last seen %s",
                    worker.id,
                    worker.hostname,
                    worker.last_seen.isoformat(),
                )
                removed.add(worker.id)
                if self._engine.events.has_listeners:
                    self._engine.events.emit(Event(EventKind.WORKER_LOST, worker.id))
        return removed

    async def _rescue_runs_of(self, worker_id: ObjectId, registrations: Registrations) -> int:
        engine, rescued = self._engine, 0
        left: set[ObjectId] = set()
        while True:
            jobs = await engine.store.runs_of(worker_id, RESCUE_BATCH, left)
            ours = [job for job in jobs if self._is_ours_to_settle(job, registrations)]
            left |= {job.id for job in jobs}
            if ours:
                rescued += await self._settle(ours)
            if len(jobs) < RESCUE_BATCH:
                return rescued

    def _is_ours_to_settle(self, job: Job, registrations: Registrations) -> bool:
        """True for our names; for a name that no living worker defines, after a while."""
        if self._engine.registry.get(job.name) is not None:
            return True
        if _somebody_defines(job.name, registrations):
            self._orphaned_since.pop(job.id, None)
            return False
        since = self._orphaned_since.setdefault(job.id, time.monotonic())
        return time.monotonic() - since >= ORPHAN_NAME_SECONDS

    async def _settle(self, jobs: Sequence[Job]) -> int:
        engine = self._engine
        killed = await engine.store.kill_requests([job.id for job in jobs])
        settlements = [self._settlement(job, killed) for job in jobs]
        written = await settle_all(engine.store, settlements, engine.logger, "rescue")
        for job in written:
            self._orphaned_since.pop(job.id, None)
            engine.logger.warning("rescued job %r (%s): %s", job.name, job.id, job.status)
            if engine.events.has_listeners:
                engine.events.emit(Event(EventKind.RESCUED, engine.worker_id, job))
        await engine.reporter.report(
            [(engine.registry.get(job.name), job, None) for job in written], engine.worker_id
        )
        return len(written)

    def _settlement(self, job: Job, killed: Collection[ObjectId]) -> Settlement:
        outcome = rescue(
            job,
            self._engine.registry.get(job.name),
            killed=job.id in killed,
            at=self._engine.clock.now(),
        )
        return Settlement(job, outcome, self._engine.worker_id)


def _somebody_defines(name: str, registrations: Registrations) -> bool:
    return any(
        worker.timeout_s is None or name in worker.names  # a Node worker does not tell its names
        for worker in registrations.workers
        if not worker.is_dead(registrations.now)
    )
