"""What callers schedule: one job, or many in chunks, in a transaction of theirs if they want."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from typing import Any

from bson import ObjectId

from job_processor.clock import Clock
from job_processor.errors import (
    BulkError,
    InvalidArgumentError,
    JobConflictError,
    StoreError,
    StoreRefusedError,
)
from job_processor.events import EventBus
from job_processor.handlers.definitions import Registry
from job_processor.hooks import Stamps
from job_processor.jobs.chunks import Bulk, Chunk, OnProgress, Request, Requests
from job_processor.jobs.request import Producer
from job_processor.models import SETTLED, Job, JobStatus, OnConflict, SimpleJob, SkipReason
from job_processor.node.rules import check_job, without_trace
from job_processor.store import Store
from job_processor.store.requests import Settlement, skipped


class Scheduling:
    """Puts the jobs of callers into a store."""

    def __init__(
        self,
        registry: Registry,
        clock: Clock,
        events: EventBus,
        stamps: Stamps,
        history: Callable[[], float],
    ) -> None:
        self.producer = Producer(registry, clock, stamps, history)
        self._clock = clock
        self._events = events

    async def schedule(
        self, store: Store, on_conflict: OnConflict | None, session: Any, **request: Any
    ) -> SimpleJob:
        """Store one job; return it as stored, or the one that is there in its place."""
        job = self.producer.make(on_conflict=on_conflict, **request)
        check_job(store, job)
        job = without_trace(store, job)
        if session is not None:
            await self._schedule_in(session, store, [job], [on_conflict])
            if self._events.has_listeners:
                self._events.tell_stored([job])
            return job
        rules = {} if job.unique_key is None else {job.id: on_conflict or "return"}
        (stored,) = await insert_or_skip(store, [job], self._clock, rules)
        if self._events.has_listeners and stored.id == job.id:
            self._events.tell_stored([stored])
        return as_simple(stored)

    async def schedule_all(
        self,
        store: Store,
        requests: Requests,
        session: Any,
        on_progress: OnProgress | None,
        return_jobs: bool,
    ) -> list[SimpleJob]:
        """Store many jobs, a chunk at a time."""

        def make(request: Request, position: int) -> SimpleJob:
            job = self.producer.make_of(request, position)
            check_job(store, job)
            return without_trace(store, job)

        async def write(chunk: Chunk) -> list[SimpleJob]:
            return await self._store_chunk(store, chunk, session)

        return await Bulk(make, write, on_progress, keep=return_jobs).run(requests)

    async def _store_chunk(self, store: Store, chunk: Chunk, session: Any) -> list[SimpleJob]:
        jobs = chunk.jobs
        if session is not None:
            await self._schedule_in(session, store, jobs, list(chunk.rules.values()))
            if self._events.has_listeners:
                self._events.tell_stored(jobs)
            return jobs
        try:
            return await self._insert_chunk(store, chunk)
        except BulkError:
            raise
        except StoreError as error:
            partial = await _partial(store, chunk)
            if chunk.start == 0 and partial.written == 0 and not partial.unknown:
                raise
            raise partial from error

    async def _insert_chunk(self, store: Store, chunk: Chunk) -> list[SimpleJob]:
        jobs = chunk.jobs
        rules: Rules = {job_id: rule or "return" for job_id, rule in chunk.rules.items()}
        refused = await store.insert(jobs)
        if not refused:
            if self._events.has_listeners:
                self._events.tell_stored(jobs)
            return jobs
        insertion = await insert_refused(store, jobs, refused, self._clock, rules)
        if self._events.has_listeners:
            self._events.tell_stored(
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

    async def _schedule_in(
        self, session: Any, store: Store, jobs: list[SimpleJob], rules: list[OnConflict | None]
    ) -> None:
        """Store jobs in a caller's transaction, where a conflict can only be an error."""
        for rule in rules:
            if rule not in (None, "error"):
                allowed = "allowed in a transaction is 'error': a conflict ends it"
                raise InvalidArgumentError("on_conflict", rule, allowed)
        for job in jobs:
            if job.unique_key is not None:
                await self._release_what_is_over(store, job.name, job.unique_key)
        await store.insert_in(session, jobs)

    async def _release_what_is_over(self, store: Store, name: str, unique_key: str) -> None:
        holder = await store.find_holder(name, unique_key)
        if holder is not None and is_over(holder, self._clock.now()):
            await store.release_key(holder)


async def _partial(store: Store, chunk: Chunk) -> BulkError:
    """Return the error that tells which jobs of a chunk that failed are stored all the same."""
    try:
        there = {job.id for job in await store.get_many([job.id for job in chunk.jobs])}
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
