"""Puts new jobs into the store; an exclusive one that meets an active one is stored as skipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from job_processor.clock import Clock
from job_processor.models import Job, JobStatus, Settlement
from job_processor.store import Store
from job_processor.worker.outcomes import skipped


async def insert_or_skip(store: Store, jobs: Sequence[Job], clock: Clock) -> list[Job]:
    """Insert jobs; return them as they were stored, in the same order.

    The unique index decides who is refused. When the conflict has gone by the time we look, the job
    is inserted again.
    """
    refused = await store.insert(jobs)
    if not refused:
        return list(jobs)
    stored = {job.id: job for job in jobs}
    while refused:
        pending: list[Job] = []
        for job in refused:
            conflict = await store.find_active(job.type, job.name)
            if conflict is not None and conflict.id != job.id:
                stored[job.id] = _skip(job, conflict, clock)
                pending.append(stored[job.id])
            elif conflict is None:
                pending.append(job)
        refused = await store.insert(pending)
    return [stored[job.id] for job in jobs]


def _skip(job: Job, conflict: Job, clock: Clock) -> Job:
    outcome = skipped("noConcurrent_conflict", clock.now(), conflict)
    settled = Settlement(job, outcome, job.id).written()
    return replace(settled, worker_id=None, status=JobStatus.SKIPPED)
