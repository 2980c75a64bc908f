"""A kill arrives, wherever its job stands and however it moves; on both stores."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from bson import ObjectId

from job_processor import (
    Acted,
    EventKind,
    JobDef,
    JobNotFoundError,
    JobProcessor,
    JobStatus,
)
from job_processor.jobs.request import JobRequest, make_running_job
from job_processor.models import Job
from job_processor.parts import parts_of
from job_processor.worker.reconciler import Reconciler
from tests.insides import clock_of, engine_of, store_of
from tests.processors import WAIT, Processors
from tests.worker.deaths import claim_as
from tests.worker.probe import ended

DEAD = ObjectId()
"""A worker that has died since."""


class Counting:
    """A handler that counts its runs."""

    def __init__(self) -> None:
        self.ran = 0

    async def __call__(self) -> str:
        """Run."""
        self.ran += 1
        return "ran"

    def jobs(self, **options: Any) -> dict[str, JobDef]:
        """Return a definition of it."""

        async def handler() -> str:
            return await self()

        return {"a": JobDef(handler, **options)}


async def claimed(processor: JobProcessor, worker_id: ObjectId = DEAD) -> Job:
    """Let a worker that has died since claim a new job; return the job."""
    await processor.schedule_job("a")
    (job,) = await claim_as(processor, worker_id, "a")
    return job


async def test_a_run_that_is_given_back_is_asked_about(processors: Processors) -> None:
    """A claim whose reply was lost, killed, given back: it ends killed, and never begins."""
    counting = Counting()
    processor = await processors.make(jobs=counting.jobs())
    engine = engine_of(processor)
    async with engine:
        job = await claimed(processor, engine.worker_id)
        assert (await processor.kill_job(job.id)).status is JobStatus.RUNNING
        await Reconciler(engine).reconcile(adopt=False)
        await engine.settler.drained()
        assert (await ended(processor, job)).status is JobStatus.KILLED
    await processor.run_worker(burst=True)
    assert counting.ran == 0
    assert await store_of(processor).kills.requested([job.id]) == set()


async def test_a_kill_that_comes_while_a_run_is_given_back(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever lets a run wait looks for a request after that write, not only before."""
    counting = Counting()
    processor = await processors.make(jobs=counting.jobs())
    engine = engine_of(processor)
    settle = engine.store.runs.settle

    async def request_and_settle(settlements: Any) -> Any:
        await engine.store.kills.request(job.id, engine.worker_id, clock_of(processor).now())
        return await settle(settlements)

    async with engine:
        job = await claimed(processor, engine.worker_id)
        monkeypatch.setattr(engine.store.runs, "settle", request_and_settle)
        await Reconciler(engine).reconcile(adopt=False)
    found = await processor.get_job(job.id)
    assert found is not None
    assert found.status is JobStatus.KILLED


async def test_a_claim_of_what_was_given_back_asks_before_it_begins(
    processors: Processors,
) -> None:
    """The worker that gave it back died before it looked: the next one does, before it begins."""
    counting = Counting()
    processor = await processors.make(jobs=counting.jobs(), poll_interval=3600)
    engine = engine_of(processor)
    async with engine:
        job = await claimed(processor, engine.worker_id)
        await Reconciler(engine).reconcile(adopt=False)
    await store_of(processor).kills.request(job.id, DEAD, clock_of(processor).now())
    await processor.run_worker(burst=True)
    assert (await ended(processor, job)).status is JobStatus.KILLED
    assert counting.ran == 0


async def test_a_kill_of_a_dead_worker_outlives_a_retry_by_hand_of_many(
    processors: Processors,
) -> None:
    """A retry of many does nothing to what still runs; the kill holds, and the job never runs."""
    counting = Counting()
    processor = await processors.make(jobs=counting.jobs(resumable=True))
    job = await claimed(processor)
    await processor.kill_job(job.id)
    assert await processor.act_on_jobs("retry", [job.id]) == Acted(0, 1)
    await processors.worker(processor)
    assert (await ended(processor, job)).status is JobStatus.KILLED
    assert counting.ran == 0


async def test_a_retry_tells_of_itself_alone_and_in_a_crowd(processors: Processors) -> None:
    """One job or many: the same steps, the same event."""
    processor = await processors.make(jobs=Counting().jobs())
    told: list[EventKind] = []
    jobs = await processor.schedule_jobs(["a", "a"])
    await processor.run_worker(burst=True)
    processor.listen(lambda event: told.append(event.kind))
    assert (await processor.retry_job(jobs[0].id)).status is JobStatus.PENDING
    assert told == [EventKind.SCHEDULED]
    assert await processor.act_on_jobs("retry", [jobs[1].id]) == Acted(1, 0)
    assert told == [EventKind.SCHEDULED] * 2


async def test_a_kill_that_comes_in_between_wins_over_a_retry(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request left for the run that ended just now, by one who saw it run: the retry is killed.

    Whoever left it may have died before it could look again.
    """
    counting = Counting()
    processor = await processors.make(jobs=counting.jobs())
    job = await processor.schedule_job("a")
    await processor.run_worker(burst=True)
    store = store_of(processor)
    requeue = store.history.requeue

    async def request_and_requeue(*arguments: Any, **options: Any) -> Job | None:
        await store.kills.request(job.id, DEAD, clock_of(processor).now())
        return await requeue(*arguments, **options)

    monkeypatch.setattr(store.history, "requeue", request_and_requeue)
    assert (await processor.retry_job(job.id)).status is JobStatus.KILLED
    await processor.run_worker(burst=True)
    assert counting.ran == 1


async def test_a_retry_forgets_the_kill_of_the_run_before(processors: Processors) -> None:
    """It was meant for the run that has ended; the job runs again."""
    counting = Counting()
    processor = await processors.make(jobs=counting.jobs())
    job = await processor.schedule_job("a")
    await processor.run_worker(burst=True)
    await store_of(processor).kills.request(job.id, DEAD, clock_of(processor).now())
    await processor.retry_job(job.id)
    await processor.run_worker(burst=True)
    assert (await ended(processor, job)).status is JobStatus.FINISHED
    assert counting.ran == 2


async def test_the_state_decides_how_a_job_is_killed(processors: Processors) -> None:
    """What runs under nobody and what waits with a worker's id: both are killed at once."""
    processor = await processors.make(jobs=Counting().jobs())
    waiting = await processor.schedule_job("a")
    store = store_of(processor)
    now = clock_of(processor).now()
    orphan = make_running_job(parts_of(processor), JobRequest("a"), DEAD)
    orphan = type(orphan)(**{**orphan.__dict__, "worker_id": None})
    odd = type(waiting)(**{**waiting.__dict__, "id": ObjectId(), "worker_id": DEAD})
    await store.intake.insert([orphan, odd])
    async with asyncio.timeout(WAIT):
        for job in (orphan, odd, waiting):
            killed = await processor.kill_job(job.id)
            assert killed.status is JobStatus.KILLED
            assert await store.kills.kill_waiting(job.id, now) is None


async def test_a_job_that_goes_on_moving_is_left_to_its_request(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill ends, also where each look finds the job moved on; its request stands."""
    processor = await processors.make(jobs=Counting().jobs())
    job = await processor.schedule_job("a")
    store = store_of(processor)

    async def moved_on(*_: object) -> None:
        return None

    monkeypatch.setattr(store.kills, "kill_waiting", moved_on)
    monkeypatch.setattr("job_processor.jobs.actions._PAUSE", 0)
    async with asyncio.timeout(WAIT):
        assert (await processor.kill_job(job.id)).status is JobStatus.PENDING
    assert await store.kills.requested([job.id]) == {job.id}


async def test_a_deleted_job_leaves_no_request(processors: Processors) -> None:
    """What was asked of a job goes with it, deleted alone or with many."""
    processor = await processors.make(jobs=Counting().jobs())
    jobs = await processor.schedule_jobs(["a", "a"])
    store = store_of(processor)
    for job in jobs:
        await store.kills.request(job.id, DEAD, clock_of(processor).now())
    await processor.delete_job(jobs[0].id)
    assert await processor.act_on_jobs("delete", [jobs[1].id]) == Acted(1, 0)
    assert await store.kills.requested([job.id for job in jobs]) == set()
    with pytest.raises(JobNotFoundError):
        await processor.kill_job(jobs[0].id)


async def test_a_kill_of_a_dead_worker_holds_however_long_nobody_works(
    processors: Processors,
) -> None:
    """All workers were down for longer than a signal is kept: the first that begins kills it."""
    counting = Counting()
    processor = await processors.make(jobs=counting.jobs(resumable=True))
    job = await claimed(processor)
    await processor.kill_job(job.id)
    store: Any = store_of(processor)
    if hasattr(store, "_handles"):
        await store._handles.signals.delete_many({})  # as the server does after an hour
    elif hasattr(store, "_connections"):
        await store._connections.writer.call(
            lambda c: c.execute("UPDATE job_processor_signals SET created_at=created_at-3660000")
        )
    await store.history.prune(clock_of(processor).now(), 100)
    await processors.worker(processor)
    assert (await ended(processor, job)).status is JobStatus.KILLED
    assert counting.ran == 0
