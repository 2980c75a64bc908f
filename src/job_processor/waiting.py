"""Waiting for a job to be settled: woken by hints, with a slow look behind them."""

from __future__ import annotations

import asyncio

from bson import ObjectId

from job_processor.errors import JobNotFoundError, JobTimeoutError, StoreUnavailableError
from job_processor.models import Job
from job_processor.store import Store
from job_processor.store.base import Hint


async def wait_for_job(
    store: Store, job_id: ObjectId, timeout: float | None, poll_interval: float
) -> Job:
    """Return the job once it is settled.

    Raises JobNotFoundError, and JobTimeoutError after `timeout` seconds (None: never).
    """
    wake = asyncio.Event()
    seen = None

    def on_hint(hint: Hint) -> None:
        if hint & Hint.SETTLED:
            wake.set()

    forget = store.subscribe(on_hint)
    try:
        async with asyncio.timeout(timeout):
            while True:
                wake.clear()
                job = await _get(store, job_id)
                if job is not None and job.settled:
                    return job
                seen = job or seen
                await _pause(wake, poll_interval)
    except TimeoutError as error:
        state = f"; it is {seen.status}, attempt {seen.attempt}" if seen is not None else ""
        text = f"job {job_id} was not settled within {timeout:g} s{state}"
        raise JobTimeoutError(text) from error
    finally:
        forget()


async def _get(store: Store, job_id: ObjectId) -> Job | None:
    """Return the job, None while the database is away; raises JobNotFoundError."""
    try:
        job = await store.get(job_id)
    except StoreUnavailableError:
        return None
    if job is None:
        raise JobNotFoundError(job_id)
    return job


async def _pause(wake: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        pass
