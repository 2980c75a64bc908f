"""Finds what runs under this worker's own id without its knowing, and takes it up."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from bson import ObjectId

from job_processor.errors import NotSetUpError
from job_processor.killing import obey_kills
from job_processor.models import Job
from job_processor.settings import RECONCILE_INTERVAL, RESCUE_BATCH
from job_processor.settlements import Settlement
from job_processor.worker.engine import Engine
from job_processor.worker.outcomes import give_back, killed_unbegun
from job_processor.worker.persistence import Trouble
from job_processor.worker.settling import degraded, settle_once


class Reconciler:
    """A claim whose reply was lost leaves runs that nobody executes; this adopts them.

    What cannot be adopted (no definition, no slot, the worker is stopping) is given back.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._trouble = asyncio.Event()

    def look_soon(self) -> None:
        """Look at once: a claim failed or was cancelled, its fate is unknown."""
        self._trouble.set()

    async def run(self) -> None:
        """Look regularly, until cancelled."""
        failure = Trouble(self._engine.logger, "looking for runs that nobody executes")
        while True:
            try:
                async with asyncio.timeout(RECONCILE_INTERVAL):
                    await self._trouble.wait()
            except TimeoutError:
                pass
            self._trouble.clear()
            try:
                await self.reconcile(adopt=True)
            except NotSetUpError:
                raise
            except Exception as error:  # noqa: BLE001  # it is logged
                await asyncio.sleep(failure.meet(error))
                self._trouble.set()
            else:
                failure.end()

    async def reconcile(self, *, adopt: bool) -> None:
        """Adopt or give back, once; raises StoreError."""
        engine = self._engine
        async with engine.gate.exclusive():  # no claim is on its way to us meanwhile
            jobs = await engine.store.runs_of(engine.worker_id, RESCUE_BATCH, unconfirmed=not adopt)
            unknown = [
                job for job in jobs if job.id not in engine.runs and job.id not in engine.runs.held
            ]
            asked = await engine.store.kill_requests([job.id for job in unknown])
            given_back = [
                job.id for job in unknown if not await self._take_up(job, asked, adopt=adopt)
            ]
        await obey_kills(engine.store, given_back, engine.clock, engine.events)

    async def _take_up(self, job: Job, asked: Collection[ObjectId], *, adopt: bool) -> bool:
        """Kill what somebody asked to kill, adopt what can be; False when it was given back."""
        engine = self._engine
        definition = engine.registry.get(job.name)
        now = engine.clock.now()
        if job.id in asked and definition is not None:
            engine.executor.settle_unbegun(job, definition, killed_unbegun(now))
            return True
        free = engine.runs.free_slots(engine.settings.concurrency)
        if adopt and definition is not None and free > 0:
            engine.logger.warning("adopting job %r (%s)", job.name, job.id)
            engine.executor.start(job, definition)
            return True
        engine.logger.warning("giving back job %r (%s)", job.name, job.id)
        settlements = [Settlement(job, give_back(job, now), engine.worker_id)]
        while settlements:
            verdict = await settle_once(engine.store, settlements)
            settlements = degraded(settlements, verdict.refused, engine.logger)
        return False
