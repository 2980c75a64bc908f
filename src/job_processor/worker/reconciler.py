"""Finds what runs under this worker's own id without its knowing, and takes it up."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from bson import ObjectId

from job_processor.handlers.definitions import CronDef, Definition
from job_processor.jobs.actions import obey_kills
from job_processor.models import CronTask, Job
from job_processor.settings import RECONCILE_INTERVAL, RESCUE_BATCH
from job_processor.store.requests import Settlement
from job_processor.tasks import Trouble, set_within
from job_processor.worker.engine import Engine
from job_processor.worker.outcomes import give_back, killed_unbegun
from job_processor.worker.settling import degraded, settle_once


class Reconciler:
    """A claim whose reply was lost leaves runs that nobody executes; this adopts them.

    What cannot be adopted (no definition, no slot, the worker is stopping) is given back; and what
    a claim might have skipped or put off, for the next one to judge.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._trouble = asyncio.Event()
        self.is_due = False
        """True from a claim of unknown fate until a whole look that began later."""

    def look_soon(self) -> None:
        """Look at once: a claim failed or was cancelled, its fate is unknown."""
        self.is_due = True
        self._trouble.set()

    async def run(self) -> None:
        """Look regularly, until cancelled."""
        failure = Trouble(self._engine.logger, "looking for runs that nobody executes")
        while True:
            await set_within(self._trouble, RECONCILE_INTERVAL)
            self._trouble.clear()
            if not await failure.attempt(self._look):
                self._trouble.set()

    async def _look(self) -> None:
        await self._engine.lease.hold()  # what runs under a former id is ours no more
        await self.reconcile(adopt=True)

    async def reconcile(self, *, adopt: bool) -> None:
        """Adopt or give back, once; raises StoreError."""
        engine = self._engine
        async with engine.gate.exclusive():  # no claim is on its way to us meanwhile
            known = {*engine.runs.ids(), *engine.runs.held}
            unknown = await engine.store.runs.of_worker(
                engine.worker_id, RESCUE_BATCH, known, unconfirmed=not adopt
            )
            asked = await engine.store.kills.requested([job.id for job in unknown])
            surplus = [job for job in unknown if not self._take_up(job, asked, adopt=adopt)]
            await self.give_back(surplus)
            if len(unknown) == RESCUE_BATCH:
                self._trouble.set()  # there may be more
            elif not self._trouble.is_set():
                self.is_due = False

    async def give_back(self, jobs: Sequence[Job]) -> None:
        """Let runs of ours wait again that were never begun here; raises StoreError."""
        if not jobs:
            return
        engine, now = self._engine, self._engine.clock.now()
        for job in jobs:
            engine.logger.warning("giving back job %r (%s)", job.name, job.id)
        ends = [Settlement(job, give_back(job, now), engine.worker_id) for job in jobs]
        while ends:
            verdict = await settle_once(engine.store, ends)
            ends = degraded(ends, verdict.refused, engine.logger)
        await obey_kills(engine.parts, [job.id for job in jobs])

    def _take_up(self, job: Job, asked: Collection[ObjectId], *, adopt: bool) -> bool:
        """Kill what somebody asked to kill, adopt what can be; False for what is neither."""
        engine = self._engine
        definition = engine.registry.get(job.name)
        if job.id in asked and definition is not None:
            engine.executor.settle_unbegun(job, definition, killed_unbegun(engine.clock.now()))
            return True
        free = engine.runs.free_slots(engine.settings.concurrency)
        apart = job.crashes > 0 and engine.runs.has_suspect
        judged = definition is not None and _is_judged_when_claimed(job, definition)
        if adopt and definition is not None and free > 0 and not apart and not judged:
            engine.logger.warning("adopting job %r (%s)", job.name, job.id)
            engine.executor.start(job, definition)
            return True
        return False


def _is_judged_when_claimed(job: Job, definition: Definition) -> bool:
    """True for what is claimed though it may be too late for it to begin, or too early."""
    rate = definition.rate_limit
    return (
        (rate is not None and rate.on_full == "skip")
        or (isinstance(definition, CronDef) and definition.misfire == "skip")
        or (not isinstance(job, CronTask) and job.expires_at is not None)
    )
