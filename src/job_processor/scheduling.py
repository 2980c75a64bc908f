"""What callers schedule: one job, or many in chunks, in a transaction of theirs if they want."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from job_processor.bulk import Bulk, Chunk, OnProgress, Request, Requests
from job_processor.clock import Clock
from job_processor.definitions import Registry
from job_processor.errors import (
    BulkError,
    InvalidArgumentError,
    StoreError,
)
from job_processor.events import EventBus
from job_processor.models import Job, OnConflict, SimpleJob
from job_processor.producer import Producer
from job_processor.sharing import check_job, without_trace
from job_processor.stamps import Stamps
from job_processor.store import Store
from job_processor.worker.insertion import Rules, insert_or_skip, insert_refused, is_over


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
