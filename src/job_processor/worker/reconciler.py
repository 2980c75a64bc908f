"""Finds what runs under this worker's own id without its knowing, and takes it up."""

from __future__ import annotations

import asyncio

from job_processor.errors import StoreError
from job_processor.models import Job
from job_processor.settings import RECONCILE_INTERVAL, RESCUE_BATCH
from job_processor.settlements import Settlement
from job_processor.worker.engine import Engine
from job_processor.worker.outcomes import give_back


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
        while True:
            try:
                async with asyncio.timeout(RECONCILE_INTERVAL):
                    await self._trouble.wait()
            except TimeoutError:
                pass
            try:
                self._trouble.clear()
                await self.reconcile(adopt=True)
            except StoreError:
                await asyncio.sleep(self._engine.settings.poll_interval)
                self._trouble.set()

    async def reconcile(self, *, adopt: bool) -> None:
        """Adopt or give back, once; raises StoreError."""
        engine = self._engine
        async with engine.gate.exclusive():  # no claim is on its way to us meanwhile
            jobs = await engine.store.runs_of(engine.worker_id, RESCUE_BATCH, unconfirmed=not adopt)
            unknown = [
                job for job in jobs if job.id not in engine.runs and job.id not in engine.runs.held
            ]
            for job in unknown:
                definition = engine.registry.get(job.name)
                free = engine.runs.free_slots(engine.settings.concurrency)
                if adopt and definition is not None and free > 0:
                    engine.logger.warning("adopting job %r (%s)", job.name, job.id)
                    engine.executor.start(job, definition)
                else:
                    await self._give_back(job)

    async def _give_back(self, job: Job) -> None:
        engine = self._engine
        engine.logger.warning("giving back job %r (%s)", job.name, job.id)
        outcome = give_back(job, engine.clock.now())
        await engine.store.settle([Settlement(job, outcome, engine.worker_id)])
