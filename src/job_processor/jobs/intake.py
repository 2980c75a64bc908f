"""What callers schedule: one job, or many in chunks, in a transaction of theirs if they want."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import count
from typing import Any

from bson import ObjectId

from job_processor.clock import Clock
from job_processor.errors import (
    BulkError,
    GroupClosedError,
    GroupNotFoundError,
    InvalidArgumentError,
    JobConflictError,
    StoreError,
    StoreRefusedError,
)
from job_processor.jobs.after import attach, look_again
from job_processor.jobs.chunks import Bulk, Chunk, OnProgress, Requests
from job_processor.jobs.request import JobRequest, make_job
from job_processor.models import SETTLED, Job, JobStatus, OnConflict, SimpleJob, SkipReason
from job_processor.parts import Parts
from job_processor.store import Store
from job_processor.store.requests import Settlement, skipped


async def schedule(parts: Parts, request: JobRequest, session: Any = None) -> SimpleJob:
    """Store one job; return it as stored, or the one that is there in its place.

    session: of the transaction that decides whether there is a job.
    """
    return await put(parts, new_job(parts, request), request.on_conflict, session)


async def put(
    parts: Parts, job: SimpleJob, on_conflict: OnConflict | None, session: Any = None
) -> SimpleJob:
    """Store a job that `new_job` has made, which may be a while ago, as `schedule` does."""
    if job.after:
        (job,) = await attach(parts, [job], session)
    if job.group is not None:
        await _check_groups(parts, [job], session)
    stored: Job = job
    if session is not None:
        await _insert_in(parts, session, [job], [on_conflict])
    else:
        if not await parts.store.intake.put(job):
            stored = await _insert_refused(parts, job, on_conflict)
        if job.after:
            await look_again(parts, [job])
    if parts.events.listeners.all and stored.id == job.id:
        parts.events.tell_stored([stored])
    if parts.onlooker is not None:
        await parts.onlooker.scheduled(parts, (job.name,))
    return as_simple(stored)


async def _insert_refused(parts: Parts, job: SimpleJob, on_conflict: OnConflict | None) -> Job:
    rules: Rules = {} if job.unique_key is None else {job.id: on_conflict or "return"}
    insertion = await insert_refused(parts.store, [job], [job], parts.clock, rules)
    for conflict in insertion.conflicts.values():
        raise conflict
    return insertion.stored[job.id]


async def schedule_all(
    parts: Parts,
    requests: Requests,
    session: Any,
    on_progress: OnProgress | None,
    *,
    return_jobs: bool,
) -> list[SimpleJob]:
    """Store many jobs, a chunk at a time."""
    make = partial(new_job, parts)
    write = partial(_store_and_look, parts, session)
    return await Bulk(make, write, on_progress, keep=return_jobs).run(requests)


def new_job(
    parts: Parts, request: JobRequest, flow: tuple[ObjectId, str] | None = None
) -> SimpleJob:
    """Return a job as this database takes it, with what integrations add.

    flow: id and name of the flow that it belongs to.
    """
    job = make_job(parts, request)
    if flow is not None:
        job = replace(job, flow=flow[0], flow_name=flow[1])
    if parts.stamps:
        job = parts.stamps.on(job)
    return parts.store.intake.keep(job)


async def _store_and_look(parts: Parts, session: Any, chunk: Chunk) -> list[SimpleJob]:
    if any(job.after for job in chunk.jobs):
        chunk = replace(chunk, jobs=await attach(parts, chunk.jobs, session))
    stored = await _store_chunk(parts, session, chunk)
    if session is None:
        await look_again(parts, chunk.jobs)
    if parts.onlooker is not None:
        await parts.onlooker.scheduled(parts, {job.name for job in chunk.jobs})
    return stored


async def _store_chunk(parts: Parts, session: Any, chunk: Chunk) -> list[SimpleJob]:
    jobs = chunk.jobs
    await _check_groups(parts, jobs, session)
    if session is not None:
        await _insert_in(parts, session, jobs, list(chunk.rules.values()))
        if parts.events.listeners.all:
            parts.events.tell_stored(jobs)
        return jobs
    try:
        return await _insert_chunk(parts, chunk)
    except BulkError:
        raise
    except StoreError as error:
        stored = await _partly_stored(parts.store, chunk)
        if chunk.start == 0 and stored.written == 0 and not stored.unknown:
            raise
        raise stored from error


async def _insert_chunk(parts: Parts, chunk: Chunk) -> list[SimpleJob]:
    store, events, jobs = parts.store, parts.events, chunk.jobs
    rules: Rules = {job_id: rule or "return" for job_id, rule in chunk.rules.items()}
    refused = await store.intake.insert(jobs)
    if not refused:
        if events.listeners.all:
            events.tell_stored(jobs)
        return jobs
    insertion = await insert_refused(store, jobs, refused, parts.clock, rules)
    if events.listeners.all:
        events.tell_stored(
            insertion.stored[job.id]
            for job in jobs
            if job.id not in insertion.conflicts and insertion.stored[job.id].id == job.id
        )
    if not insertion.conflicts:
        return [as_simple(insertion.stored[job.id]) for job in jobs]
    positions = zip(chunk.positions, jobs, strict=True)
    held = tuple(position for position, job in positions if job.id in insertion.conflicts)
    conflict = next(iter(insertion.conflicts.values()))
    raise BulkError(len(jobs) - len(held), held, ()) from conflict


async def _check_groups(parts: Parts, jobs: Sequence[SimpleJob], session: Any) -> None:
    """Raise GroupClosedError where members come too late, as the database has it last."""
    groups = {job.group for job in jobs if job.group is not None}
    if not groups:
        return
    if session is not None:
        allowed = "allowed is none for members: their group counts them as soon as they are stored"
        raise InvalidArgumentError("session", session, allowed)
    there = {each.id: each for each in await parts.store.groups.get_many(groups)}
    for group in groups:
        record = there.get(group)
        if record is None:
            raise GroupNotFoundError(group)
        if record.broken is not None or record.completed_at is not None:
            raise GroupClosedError(group, record.broken or "it has ended")


async def _insert_in(
    parts: Parts, session: Any, jobs: list[SimpleJob], rules: list[OnConflict | None]
) -> None:
    """Store jobs in a caller's transaction, where a conflict can only be an error."""
    for rule in rules:
        if rule not in (None, "error"):
            allowed = "allowed in a transaction is 'error': a conflict ends it"
            raise InvalidArgumentError("on_conflict", rule, allowed)
    await insert_in(parts, session, jobs)


async def insert_in(parts: Parts, session: Any, jobs: Sequence[SimpleJob]) -> None:
    """Store jobs in a caller's transaction; raises JobConflictError, which ends it."""
    for job in jobs:
        if job.unique_key is not None:
            await _release_what_is_over(parts, job.name, job.unique_key)
    await parts.store.intake.insert_in(session, jobs)


async def _release_what_is_over(parts: Parts, name: str, unique_key: str) -> None:
    holder = await parts.store.intake.find_holder(name, unique_key)
    if holder is not None and is_over(holder, parts.clock.now()):
        await parts.store.intake.release_key(holder)


async def _partly_stored(store: Store, chunk: Chunk) -> BulkError:
    """Return the error that tells which jobs of a chunk that failed are stored all the same."""
    try:
        there = {job.id for job in await store.history.get_many([job.id for job in chunk.jobs])}
    except StoreError:
        return BulkError(0, (), chunk.positions)
    positions = zip(chunk.positions, chunk.jobs, strict=True)
    missing = tuple(position for position, job in positions if job.id not in there)
    return BulkError(len(there), missing, ())


def as_simple(job: Job) -> SimpleJob:
    """Return a job of a caller as what it is."""
    assert isinstance(job, SimpleJob)  # noqa: S101  # made as one by the producer
    return job


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
    refused = await store.intake.insert(jobs)
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
        refused = await store.intake.insert(again)
    return result


async def _answer(store: Store, job: Job, clock: Clock, rules: Rules) -> Job:
    """Return the job as it is to be inserted, or the one that is there in its place."""
    if isinstance(job, SimpleJob) and job.unique_key is not None:
        holder = await store.intake.find_holder(job.name, job.unique_key)
        if holder is not None and holder.id != job.id:
            return await _meet(store, job, holder, clock, rules[job.id])
    conflict = await store.history.find_active(job.type, job.name) if job.exclusive else None
    if conflict is not None and conflict.id != job.id:
        return as_skipped(job, conflict, clock)
    return job


async def _meet(
    store: Store, job: SimpleJob, holder: SimpleJob, clock: Clock, rule: OnConflict
) -> Job:
    """Follow a job's rule; it is returned as it is when the key may be free by now."""
    if is_over(holder, clock.now()):
        await store.intake.release_key(holder)
        return job
    if rule == "error":
        raise JobConflictError.held(job.name, job.unique_key or "", holder.id)
    if rule == "skip":
        return as_skipped(job, holder, clock, told=f"unique_key {job.unique_key!r} is held")
    if rule == "return" or holder.status in SETTLED:
        if job.after and set(job.after) != set(holder.after):
            raise JobConflictError.held_by_another_order(job.unique_key or "", holder.id)
        return holder
    if holder.status is JobStatus.PENDING:
        return await store.intake.replace(holder, job) or job
    # It runs, or waits to be resumed, with the payload that it has: what is asked for now comes
    # after it. What only waits for its next attempt is replaced above, with all that it left.
    await store.intake.release_key(holder)
    return job


def is_over(holder: SimpleJob, now: datetime) -> bool:
    """True when the time for which a job was to hold its key has passed."""
    return holder.unique_until is not None and holder.unique_until <= now


def as_skipped(job: Job, conflict: Job | None, clock: Clock, told: str | None = None) -> Job:
    """Return a job that is not to run as it is stored."""
    if isinstance(job, SimpleJob):
        job = replace(job, unique_until=None)  # what does not run holds no key
    reason: SkipReason = "other" if told else "noConcurrent_conflict"
    outcome = skipped(reason, clock.now(), conflict, told)
    settled = Settlement(job, outcome, job.id).written()
    return replace(settled, worker_id=None, status=JobStatus.SKIPPED)
