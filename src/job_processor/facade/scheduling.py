"""Jobs that are made: for later, for now, many at once."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from job_processor.errors import JobProcessorError
from job_processor.facade.reading import Reading
from job_processor.handlers.definitions import JobDef
from job_processor.jobs.chunks import OnProgress, Requests
from job_processor.jobs.intake import Scheduling, as_simple, insert_or_skip
from job_processor.jobs.request import Payload, When
from job_processor.models import Job, OnConflict, SimpleJob
from job_processor.node.rules import without_trace
from job_processor.settings import LEAVE_TIMEOUT, graceful_stop_seconds
from job_processor.worker.engine import Engine
from job_processor.worker.runs import Run


class Producing(Reading):
    """Scheduling, and running here and now."""

    _scheduling: Scheduling

    async def schedule_job(
        self,
        name: str,
        payload: Payload = None,
        scheduled_for: When = None,
        priority: int = 0,
        expires_at: When = None,
        *,
        unique_key: str | None = None,
        on_conflict: OnConflict | None = None,
        unique_for: float | None = None,
        session: Any = None,
    ) -> SimpleJob:
        """Store a job to run at `scheduled_for` (aware datetime, timedelta from now, None: now).

        payload: a mapping or, where the handler says so, an instance of its payload's class; either
            is checked against that class.

        Of those that are due, workers take the ones with the highest priority first, 0 to 9. One
        that has not begun by `expires_at` (as `scheduled_for`) is skipped.

        unique_key: only one job of this name holds a key, while it is pending, running or paused.
        on_conflict: what follows when it is held. `return` (the default): the job that holds it is
            returned; `skip`: this one is stored as skipped; `replace`: this one takes the place of
            the one that holds it if that is pending, and if it runs or is paused this one is stored
            beside it; `error`: JobConflictError.
        unique_for: seconds from now during which the key is held, whatever becomes of the job.
        session: of a transaction, which then decides whether there is a job: an
            `AsyncClientSession` of the client that the database is of, or a `sqlite3` or
            `aiosqlite` connection to the same file. A conflict in it is an error.

        Returns it as stored: pending, or skipped when it is exclusive and one is active. Raises
        InvalidArgumentError for an unknown name, a payload that cannot be stored, a naive time,
        another priority, an expiry that comes too early, a key or session that cannot be one.
        """
        self._ready()
        return await self._scheduling.schedule(
            self._store,
            on_conflict,
            session,
            name=name,
            payload=payload,
            scheduled_for=scheduled_for,
            priority=priority,
            expires_at=expires_at,
            unique_key=unique_key,
            unique_for=unique_for,
        )

    async def schedule_jobs(
        self,
        jobs: Requests,
        *,
        session: Any = None,
        on_progress: OnProgress | None = None,
        return_jobs: bool = True,
    ) -> list[SimpleJob]:
        """Store many jobs, 1,000 in one bulk write.

        jobs: an iterable, plain or async, of names, `(name, payload)`, `(name, payload,
            scheduled_for)` and `JobRequest`, which has all that `schedule_job` takes.
        session: as in `schedule_job`.
        on_progress: called, or awaited, after each write with the number of jobs stored so far.
        return_jobs: False returns an empty list, so that memory is bounded however many there are.

        Returns them as stored, in order. Raises as `schedule_job` does when nothing was stored, and
        BulkError, which tells exactly what was not, when a part of them was.
        """
        self._ready()
        return await self._scheduling.schedule_all(
            self._store, jobs, session, on_progress, return_jobs
        )

    async def run_job(self, name: str, payload: Payload = None) -> SimpleJob:
        """Run a job here and now, whatever its tag; return it settled.

        It is one attempt: its failure is returned, not retried. This process is registered and
        sends heartbeats meanwhile, so that its crash is noticed.
        """
        engine = self._ready()
        definition = self.registry.runnable(name)
        async with engine:
            starting = asyncio.create_task(self._start_here(engine, name, definition, payload))
            try:
                started = await asyncio.shield(starting)
            except asyncio.CancelledError:
                await _interrupt(engine, starting)
                raise
            if not isinstance(started, Run):
                self._events.tell_stored([started])
                return as_simple(started)
            written = await engine.finish(started)
            await engine.hooks.ended(
                lambda job: job.id == started.job.id, graceful_stop_seconds(self.settings)
            )
        if written is None or not written.settled:  # taken away, or paused by its worker's end
            written = await self.wait_for_job(started.job.id)
        return as_simple(written)

    async def _start_here(
        self, engine: Engine, name: str, definition: JobDef, payload: Payload
    ) -> Job | Run:
        """Store a job as running and start it; return the job where it was skipped.

        Behind the gate, so that nobody looks in between for what runs under our id unknown to us.
        """
        await engine.lease.hold()
        async with engine.gate.shared():
            job = self._scheduling.producer.make_running(name, payload, engine.worker_id)
            job = without_trace(self._store, job)
            (stored,) = await insert_or_skip(self._store, [job], self._clock)
            if stored.settled:
                return stored
            run = engine.executor.start(stored, definition, of_worker=False)
            run.done = asyncio.get_running_loop().create_future()
        return run


async def _interrupt(engine: Engine, starting: asyncio.Task[Job | Run]) -> None:
    """End a run whose caller gave up while it was being stored: it may be stored already."""
    await asyncio.wait([starting], timeout=LEAVE_TIMEOUT)
    if not starting.done():  # what it stores after all is given back, or rescued
        starting.cancel()
        return
    with contextlib.suppress(JobProcessorError, asyncio.CancelledError):  # then nothing runs
        started = starting.result()
        if isinstance(started, Run):
            await engine.interrupt(started)
