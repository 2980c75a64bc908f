"""A job that has done a step goes on after it: after a shutdown, a crash, a retry by hand."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest

from job_processor import (
    Context,
    CronDef,
    InvalidArgumentError,
    Job,
    JobDef,
    JobProcessor,
    JobStatus,
    Retry,
)
from job_processor.store.requests import Settlement
from job_processor.worker.outcomes import rescue
from tests.insides import engine_of
from tests.processors import QUICK, Processors, eventually
from tests.worker.test_step_sleeps import SteppingClock


class Order:
    """A handler whose second step waits, the first time, and may fail."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.begun = asyncio.Event()
        self.held = True
        self.fails = False

    async def __call__(self, context: Context) -> list[str]:
        """Charge and ship."""
        await context.step("charge", self.calls.append, "charged")
        await context.step("ship", self.ship)
        return self.calls

    async def ship(self) -> None:
        """Ship, or wait for ever, or fail."""
        self.begun.set()
        if self.held:
            await asyncio.Event().wait()
        if self.fails:
            raise ValueError("no stock")
        self.calls.append("shipped")


async def run_due(processor: JobProcessor, job: Job) -> Job:
    """Run what is due, and return the job at its end."""
    await processor.run_worker(burst=True)
    return await processor.wait_for_job(job.id)


async def test_after_a_shutdown(processors: Processors) -> None:
    """It is paused, though it is not `resumable`; without a step it would have failed."""
    order = Order()
    processor, worker = await processors.start(jobs={"order": JobDef(order)})
    job = await processor.schedule_job("order")
    await order.begun.wait()
    await worker.stop()
    paused = await processor.get_job(job.id)
    assert paused is not None
    assert (paused.status, [step.name for step in paused.steps]) == ("paused", ["charge"])
    order.held = False
    other = await processors.make(jobs={"order": JobDef(order)})
    done = await run_due(other, job)
    assert (done.result(), done.attempt) == (["charged", "shipped"], 1)


@pytest.mark.parametrize("done", [True, False])
async def test_after_a_crash(processors: Processors, done: bool) -> None:
    """With a step done it goes on; one that had begun its first was a job without steps."""
    order = Order()

    async def handler(context: Context) -> None:
        if done:
            await order(context)
        else:
            await context.step("ship", order.ship)

    processor, _ = await processors.start(jobs={"order": JobDef(handler)})
    await processor.schedule_job("order")
    await order.begun.wait()
    engine = engine_of(processor)  # as a rescuer does after the worker has died
    (running,) = await engine.store.runs.of_worker(engine.worker_id, 10)
    outcome = rescue(running, JobDef(handler), killed=False, at=engine.clock.now())
    assert outcome.status is (JobStatus.PAUSED if done else JobStatus.ERRORED)
    await engine.store.runs.settle([Settlement(running, outcome, engine.worker_id)])
    order.held = False
    other = await processors.make(jobs={"order": JobDef(handler)})
    await other.run_worker(burst=True)
    assert order.calls == (["charged", "shipped"] if done else [])


async def test_a_step_in_a_thread_is_waited_for(processors: Processors) -> None:
    """A shutdown cannot stop it: what it did is kept, and is not done again."""
    begun, go_on = asyncio.Event(), threading.Event()
    calls: list[str] = []

    async def order(context: Context) -> str:
        loop = asyncio.get_running_loop()

        def charge() -> None:
            calls.append("charged")
            loop.call_soon_threadsafe(begun.set)
            go_on.wait()

        await context.step("charge", charge)
        await asyncio.sleep(0)
        return "shipped"

    processor, worker = await processors.start(jobs={"order": JobDef(order, resumable=True)})
    job = await processor.schedule_job("order")
    await begun.wait()
    engine = engine_of(processor)
    (run,) = engine.runs
    stopping = asyncio.create_task(worker.stop())

    async def is_cancelled() -> bool:
        return run.task is not None and run.task.cancelling() > 0

    await eventually(is_cancelled)
    go_on.set()
    await stopping
    stored = await processor.get_job(job.id)
    assert stored is not None
    assert (stored.status, [step.name for step in stored.steps]) == ("paused", ["charge"])
    other = await processors.make(jobs={"order": JobDef(order, resumable=True)})
    assert (await run_due(other, job)).result() == "shipped"
    assert calls == ["charged"]


async def test_a_pause_of_a_step_ends_with_its_run(processors: Processors) -> None:
    """Who is asked to stop between two tries of a step stops with the error of the last."""
    order, failed = Order(), asyncio.Event()

    async def handler(context: Context) -> None:
        await context.step("charge", order.calls.append, "charged")

        def fail() -> None:
            loop.call_soon_threadsafe(failed.set)
            raise ValueError("no stock")

        loop = asyncio.get_running_loop()
        await context.step("ship", fail, retry=Retry(2, delay=3600))

    processor, worker = await processors.start(jobs={"order": JobDef(handler)})
    job = await processor.schedule_job("order")
    await failed.wait()
    await worker.stop()
    stored = await processor.get_job(job.id)
    assert stored is not None
    assert stored.status is JobStatus.PAUSED


async def test_a_retry_by_hand_goes_on(processors: Processors) -> None:
    """After the steps that are done; `from_beginning` it does them again."""
    order = Order()
    order.held, order.fails = False, True
    processor = await processors.make(jobs={"order": JobDef(order)})
    job = await run_due(processor, await processor.schedule_job("order"))
    assert (job.status, order.calls) == ("errored", ["charged"])
    again = await processor.retry_job(job.id)
    assert [step.name for step in again.steps] == ["charge"]
    await run_due(processor, job)
    assert order.calls == ["charged"]
    fresh = await processor.retry_job(job.id, from_beginning=True)
    assert fresh.steps == ()
    await run_due(processor, job)
    assert order.calls == ["charged", "charged"]


async def test_a_job_that_finished_begins_anew(processors: Processors) -> None:
    """All of its steps are done: going on after them would do nothing."""
    order = Order()
    order.held = False
    processor = await processors.make(jobs={"order": JobDef(order)})
    job = await run_due(processor, await processor.schedule_job("order"))
    assert (await processor.retry_job(job.id)).steps == ()
    await run_due(processor, job)
    assert order.calls == ["charged", "shipped"] * 2


@pytest.mark.parametrize("from_beginning", [True, False])
async def test_many_are_retried_either_way(processors: Processors, from_beginning: bool) -> None:
    """Those of a selection, and those of ids; no other action can be."""
    order = Order()
    order.held, order.fails = False, True
    processor = await processors.make(jobs={"order": JobDef(order)})
    jobs = await processor.schedule_jobs([("order", None)] * 3)
    for selection in ({"job_ids": [job.id for job in jobs]}, {"status": "errored"}):
        await processor.run_worker(burst=True)
        acted = await processor.act_on_jobs("retry", from_beginning=from_beginning, **selection)
        assert acted.done == 3
        page = await processor.find_jobs(status="pending")
        assert {len(job.steps) for job in page.jobs} == {0 if from_beginning else 1}
    with pytest.raises(InvalidArgumentError, match="'retry' alone"):
        await processor.act_on_jobs("kill", [jobs[0].id], from_beginning=True)


async def test_an_occurrence_of_a_cron_sleeps(processors: Processors) -> None:
    """Its cron plans on, leaves it in the queue, and it goes on as the same occurrence."""

    async def tick(context: Context) -> None:
        await context.sleep(minutes=90)

    clock = SteppingClock()
    crons = {"tick": CronDef("0 * * * *", tick, misfire="skip")}
    processor = JobProcessor(processors.db_url, crons=crons, **QUICK)
    processor.override(clock=clock)
    await processors.open(processor)
    await processor.run_worker(burst=True)  # it plans the first
    (first,) = (await processor.find_jobs(type="cron_task")).jobs
    clock.time = first.scheduled_for
    for _ in range(2):
        await processor.run_worker(burst=True)
        asleep = await processor.get_job(first.id)
        assert asleep is not None
        assert asleep.sleeps_until == first.scheduled_for + timedelta(minutes=90)
        clock.time += timedelta(minutes=45)
    await processor.run_worker(burst=True)
    assert (await processor.wait_for_job(first.id)).status is JobStatus.FINISHED


async def test_a_retry_by_hand_from_a_step(processors: Processors) -> None:
    """It does that one and those after it again; where there is none, the error names those."""
    done: list[str] = []

    async def order(context: Context, password: str) -> None:
        for name in ("charge", "pack", "ship"):
            await context.step(name, done.append, name)
        await context.step(f"tell {password}", done.append, "told")

    processor = await processors.make(jobs={"order": JobDef(order)})
    job = await run_due(processor, await processor.schedule_job("order", {"password": "hunter2"}))
    again = await processor.retry_job(job.id, from_step="pack")
    assert [step.name for step in again.steps] == ["charge"]
    await run_due(processor, job)
    assert done == ["charge", "pack", "ship", "told", "pack", "ship", "told"]
    allowed = r"from_step: 'pay' is not allowed; allowed are the steps .*: 'charge', 'pack', 'ship'"
    with pytest.raises(InvalidArgumentError, match=allowed) as raised:
        await processor.retry_job(job.id, from_step="pay")
    assert "hunter2" not in str(raised.value)
    with pytest.raises(InvalidArgumentError, match="one of the two"):
        await processor.retry_job(job.id, from_step="pack", from_beginning=True)
    acted = await processor.act_on_jobs("retry", [job.id], from_step="pay")
    assert (acted.done, acted.left) == (0, 1)
    assert (await processor.act_on_jobs("retry", [job.id], from_step="ship")).done == 1
    with pytest.raises(InvalidArgumentError, match="'retry' alone"):
        await processor.act_on_jobs("kill", [job.id], from_step="ship")


async def test_a_job_without_steps_has_none_to_go_on_from(processors: Processors) -> None:
    """The error says so."""
    processor = await processors.make(jobs={"order": JobDef(lambda context: None)})
    job = await run_due(processor, await processor.schedule_job("order"))
    with pytest.raises(InvalidArgumentError, match="has done no step; leave it out"):
        await processor.retry_job(job.id, from_step="pay")
