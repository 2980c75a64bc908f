"""Puts new jobs into the store, and decides what follows where a unique index refuses one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count

from bson import ObjectId

from job_processor.clock import Clock
from job_processor.errors import JobConflictError, StoreRefusedError
from job_processor.models import SETTLED, Job, JobStatus, OnConflict, SimpleJob, SkipReason
from job_processor.settlements import Settlement
from job_processor.store import Store
from job_processor.worker.outcomes import skipped

Rules = Mapping[ObjectId, OnConflict]
"""What follows when the unique key of a job is held, by the job's id."""

_NO_RULES: Rules = {}
_TRIES = 50
"""Conflicts that may be gone by the time we look, one after the other, for one job."""

_PAUSE = 0.01  # seconds


async def insert_or_skip(
    store: Store, jobs: Sequence[Job], clock: Clock, rules: Rules = _NO_RULES
) -> list[Job]:
    """Insert jobs; return them as they are stored, in the same order.

    An exclusive one that meets an active one of its name is stored as skipped. One whose unique key
    is held follows its rule. Raises JobConflictError where that is `error`, after the others are
    stored.
    """
    refused = await store.insert(jobs)
    if not refused:
        return list(jobs)
    insertion = await insert_refused(store, jobs, refused, clock, rules)
    for conflict in insertion.conflicts.values():
        raise conflict
    return [insertion.stored[job.id] for job in jobs]


@dataclass(slots=True)
class Insertion:
    """What became of jobs, by their ids."""

    stored: dict[ObjectId, Job]
    conflicts: dict[ObjectId, JobConflictError] = field(default_factory=dict)


async def insert_refused(
    store: Store, jobs: Sequence[Job], refused: Sequence[Job], clock: Clock, rules: Rules
) -> Insertion:
    """Find out what refused each of the refused jobs, and act on it until none is left.

    When a conflict has gone by the time we look, the job is inserted again.
    """
    result = Insertion({job.id: job for job in jobs})
    for attempt in count(1):
        if not refused:
            break
        if attempt > _TRIES:
            job = refused[0]
            raise StoreRefusedError(
                f"job {job.name!r} ({job.id}): a unique index refuses it again and again, though "
                "no active job of its name and no holder of its unique key is in its way; drop "
                "what unique indexes there are besides those of this package"
            )
        await asyncio.sleep(_PAUSE if attempt > 1 else 0)
        again: list[Job] = []
        for job in refused:
            try:
                answer = await _answer(store, result.stored[job.id], clock, rules)
            except JobConflictError as conflict:
                result.conflicts[job.id] = conflict
                continue
            if answer.id == job.id:
                again.append(answer)
            result.stored[job.id] = answer
        refused = await store.insert(again)
    return result


async def _answer(store: Store, job: Job, clock: Clock, rules: Rules) -> Job:
    """Return the job as it is to be inserted, or the one that is there in its place."""
    if isinstance(job, SimpleJob) and job.unique_key is not None:
        holder = await store.find_holder(job.name, job.unique_key)
        if holder is not None and holder.id != job.id:
            return await _meet(store, job, holder, clock, rules[job.id])
    conflict = await store.find_active(job.type, job.name) if job.exclusive else None
    if conflict is not None and conflict.id != job.id:
        return _skip(job, conflict, clock)
    return job


async def _meet(
    store: Store, job: SimpleJob, holder: SimpleJob, clock: Clock, rule: OnConflict
) -> Job:
    """Follow a job's rule; it is returned as it is when the key may be free by now."""
    if is_over(holder, clock.now()):
        await store.release_key(holder)
        return job
    if rule == "error":
        raise JobConflictError.held(job.name, job.unique_key or "", holder.id)
    if rule == "skip":
        return _skip(job, holder, clock, told=f"unique_key {job.unique_key!r} is held")
    if rule == "return" or holder.status in SETTLED:
        return holder
    if holder.status is JobStatus.PENDING:
        return await store.replace(holder, job) or job
    # It runs, or waits to be resumed, with the payload that it has: what is asked for now comes
    # after it. What only waits for its next attempt is replaced above, with all that it left.
    await store.release_key(holder)
    return job


def is_over(holder: SimpleJob, now: datetime) -> bool:
    """True when the time for which a job was to hold its key has passed."""
    return holder.unique_until is not None and holder.unique_until <= now


def _skip(job: Job, conflict: Job, clock: Clock, told: str | None = None) -> Job:
    if isinstance(job, SimpleJob):
        job = replace(job, unique_until=None)  # what does not run holds no key
    reason: SkipReason = "other" if told else "noConcurrent_conflict"
    outcome = skipped(reason, clock.now(), conflict, told)
    settled = Settlement(job, outcome, job.id).written()
    return replace(settled, worker_id=None, status=JobStatus.SKIPPED)
