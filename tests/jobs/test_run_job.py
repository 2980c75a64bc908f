"""`run_job`: a job here and now, on both stores."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from job_processor import JobStatus
from tests.definitions import JOBS
from tests.insides import store_of
from tests.processors import WAIT, Processors, eventually


async def test_run_job_runs_here_and_now(processors: Processors) -> None:
    """run_job returns the job settled, with its failure when it fails, and is marked `sync`."""
    processor = await processors.make(jobs=JOBS)
    done = await processor.run_job("double", {"value": 4})
    assert (done.status, done.sync) == (JobStatus.FINISHED, True)
    assert await processor.get_job(done.id) == done
    failed = await processor.run_job("fail")
    assert failed.status is JobStatus.ERRORED
    assert (await processor.get_healthcheck())["workers"] == []


async def test_run_job_is_registered_and_obeys_a_kill(processors: Processors) -> None:
    """While run_job runs something it is seen as a worker, and a kill from elsewhere stops it."""
    processor = await processors.make(jobs=JOBS)
    other = await processors.make(jobs=JOBS)
    call = asyncio.create_task(processor.run_job("endless"))

    async def seen() -> Any:
        workers = (await other.get_healthcheck())["workers"]
        return workers and workers[0]["task"]

    task = await eventually(seen, "a worker with a task")
    await other.kill_job(task["_id"])
    done = await asyncio.wait_for(call, WAIT)
    assert done.status is JobStatus.KILLED


async def test_run_job_into_a_conflict_is_skipped(processors: Processors) -> None:
    """An exclusive job that is active elsewhere makes run_job return a skipped one."""
    processor = await processors.make(jobs=JOBS)
    waiting = await processor.schedule_job("only")
    skipped = await processor.run_job("only")
    assert skipped.status is JobStatus.SKIPPED
    assert skipped.output is not None
    assert skipped.output.skip_metadata is not None
    assert skipped.output.skip_metadata.conflicting_job_id == waiting.id


async def test_cancelling_run_job_interrupts_it(processors: Processors) -> None:
    """A caller that gives up leaves an errored job, not one that runs on unseen."""
    processor = await processors.make(jobs=JOBS)
    call = asyncio.create_task(processor.run_job("endless"))

    async def running() -> Any:
        return (await processor.find_jobs(status="running")).jobs

    (job,) = await eventually(running)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    done = await processor.get_job(job.id)
    assert done is not None
    assert done.settled


async def test_cancelling_run_job_while_it_is_stored_interrupts_it(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be in the database as running before its caller knows."""
    processor = await processors.make(jobs=JOBS)
    store, stored, told = store_of(processor), asyncio.Event(), asyncio.Event()
    insert = store.intake.insert

    async def insert_and_tell_late(jobs: Any) -> Any:
        refused = await insert(jobs)
        stored.set()
        await told.wait()
        return refused

    monkeypatch.setattr(store.intake, "insert", insert_and_tell_late)
    call = asyncio.create_task(processor.run_job("endless"))
    await stored.wait()
    call.cancel()
    await asyncio.sleep(0)
    told.set()
    with pytest.raises(asyncio.CancelledError):
        await call
    (job,) = (await processor.find_jobs()).jobs
    assert job.settled
