"""`run_job`: one attempt of a job here and now, under the hand of its caller."""

from __future__ import annotations

import asyncio
import contextlib

from job_processor.errors import JobProcessorError
from job_processor.handlers.definitions import JobDef
from job_processor.jobs.intake import as_simple, as_skipped, insert_or_skip
from job_processor.jobs.request import JobRequest, make_running_job
from job_processor.jobs.wait import Waiting
from job_processor.models import Job, SimpleJob
from job_processor.settings import LEAVE_TIMEOUT, graceful_stop_seconds
from job_processor.worker.engine import Engine
from job_processor.worker.runs import Run
from job_processor.worker.starts import may_start, may_start_in, used_up


async def run_job(engine: Engine, waiting: Waiting, request: JobRequest) -> SimpleJob:
    """Run a job, whatever its tag; return it settled.

    waiting: follows it where it is taken away, or paused by the end of its worker.
    """
    definition = engine.registry.runnable(request.name)
    if not await _may_start(engine, definition, request):
        return await _skip(engine, definition, request)
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
    await engine.lease.hold()
    async with engine.gate.shared():
        job = _made(engine, request)
        (stored,) = await insert_or_skip(engine.store, [job], engine.clock)
        if stored.settled:
            return stored
        run = engine.executor.start(stored, definition, of_worker=False)
        run.done = asyncio.get_running_loop().create_future()
    return run


def _made(engine: Engine, request: JobRequest) -> SimpleJob:
    job = make_running_job(engine.parts, request, engine.worker_id)
    return engine.store.intake.keep(engine.parts.stamps.on(job))


async def _may_start(engine: Engine, definition: JobDef, request: JobRequest) -> bool:
    """Wait until its rate lets it start; False where it is to be skipped instead."""
    rate = definition.rate_limit
    if rate is None or not engine.registry.rates_apply:
        return True
    job = _made(engine, request)  # what is refused takes no start
    group = rate.group or request.name
    if rate.key is None:
        return await may_start(engine, group, rate)
    lane = rate.lane_of(request.name, job.payload)
    return lane is None or await may_start_in(engine, lane, group, rate)


async def _skip(engine: Engine, definition: JobDef, request: JobRequest) -> SimpleJob:
    """Store a job that its rate does not let start now."""
    told = used_up(definition.rate_limit)
    skipped = as_skipped(_made(engine, request), None, engine.clock, told)
    (stored,) = await insert_or_skip(engine.store, [skipped], engine.clock)
    engine.events.tell_stored([stored])
    return as_simple(stored)


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
