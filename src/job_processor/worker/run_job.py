"""`run_job`: one attempt of a job here and now, under the hand of its caller."""

from __future__ import annotations

import asyncio
import contextlib

from job_processor.errors import JobProcessorError
from job_processor.handlers.definitions import JobDef
from job_processor.handlers.rates import Rate
from job_processor.jobs.intake import as_simple, as_skipped, insert_or_skip
from job_processor.jobs.request import JobRequest, make_running_job
from job_processor.jobs.wait import Waiting
from job_processor.models import Job, SimpleJob
from job_processor.settings import LEAVE_TIMEOUT, graceful_stop_seconds
from job_processor.worker.engine import Engine
from job_processor.worker.rates import may_start
from job_processor.worker.runs import Run


async def run_job(engine: Engine, waiting: Waiting, request: JobRequest) -> SimpleJob:
    """Run a job, whatever its tag; return it settled.

    waiting: follows it where it is taken away, or paused by the end of its worker.
    """
    definition = engine.registry.runnable(request.name)
    async with engine.resources.kept(), engine:
        starting = asyncio.create_task(_start(engine, definition, request))
        try:
            started = await asyncio.shield(starting)
        except asyncio.CancelledError:
            await _interrupt(engine, starting)
            raise
        if not isinstance(started, Run):
            engine.events.tell_stored([started])
            return as_simple(started)
        written = await engine.finish(started)
        await engine.hooks.ended(
            lambda job: job.id == started.job.id, graceful_stop_seconds(engine.settings)
        )
    if written is None or not written.settled:
        written = await waiting.wait(started.job.id, None)
    return as_simple(written)


async def _start(engine: Engine, definition: JobDef, request: JobRequest) -> Job | Run:
    """Store a job as running and start it; return the job where it was skipped.

    Behind the gate, so that nobody looks in between for what runs under our id unknown to us.
    """
    if definition.rate_limit is not None:
        make_running_job(engine.parts, request, engine.worker_id)  # what is refused takes no start
        if not await may_start(
            engine, definition.rate_limit.group or request.name, definition.rate_limit
        ):
            return await _skip(engine, definition.rate_limit, request)
    await engine.lease.hold()
    async with engine.gate.shared():
        job = make_running_job(engine.parts, request, engine.worker_id)
        job = engine.store.intake.keep(engine.parts.stamps.on(job))
        (stored,) = await insert_or_skip(engine.store, [job], engine.clock)
        if stored.settled:
            return stored
        run = engine.executor.start(stored, definition, of_worker=False)
        run.done = asyncio.get_running_loop().create_future()
    return run


async def _skip(engine: Engine, rate: Rate, request: JobRequest) -> Job:
    """Store a job that its rate does not let start now."""
    job = make_running_job(engine.parts, request, engine.worker_id)
    told = f"the rate of {rate} was used up"
    skipped = as_skipped(job, None, engine.clock, told)
    (stored,) = await insert_or_skip(engine.store, [skipped], engine.clock)
    return stored


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
