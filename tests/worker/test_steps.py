"""Durable steps: each is done once, and what it returned is there for the runs that follow."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from job_processor import (
    AbortedError,
    AbortReason,
    Context,
    CronDef,
    Job,
    JobDef,
    JobProcessor,
    Retry,
    RetryLater,
)
from job_processor.store.requests import Settlement
from job_processor.worker.outcomes import rescue
from tests.insides import engine_of, store_of
from tests.processors import Processors, eventually

TWICE = Retry(2, delay=0)
"""Of a job whose first attempt fails."""


async def settled(processor: JobProcessor, name: str, payload: Any = None) -> Job:
    """Run a job of this name to its end, and return it."""
    job = await processor.schedule_job(name, payload)
    await processor.run_worker(burst=True)
    return await processor.wait_for_job(job.id)


def names(job: Job) -> list[str]:
    """Return the names of the steps that a job has done."""
    return [step.name for step in job.steps]


async def test_a_step_runs_once(processors: Processors) -> None:
    """The attempt that follows gets what it returned, as a result is stored: a list of a tuple."""
    calls: list[str] = []

    async def order(context: Context, amount: int) -> Any:
        async def charge(amount: int, *, currency: str) -> tuple[int, str]:
            calls.append("charge")
            return amount, currency

        charged: Any = await context.step("charge", charge, amount, currency="EUR")
        charged.append(context.attempt)  # its own copy
        assert [step.result for step in context.job.steps] in ([], [[5, "EUR"]])
        if context.attempt == 1:
            raise ValueError("no stock")
        await context.step("thank", calls.append, "thank")
        return charged

    processor = await processors.make(jobs={"order": JobDef(order, retry=TWICE)})
    job = await settled(processor, "order", {"amount": 5})
    assert job.result() == [5, "EUR", 2]
    assert calls == ["charge", "thank"]
    assert [(step.name, step.result) for step in job.steps] == [
        ("charge", [5, "EUR"]),
        ("thank", None),
    ]
    assert all(step.ended_at and step.started_at <= step.ended_at for step in job.steps)
    assert await processor.get_job(job.id) == job


async def test_steps_of_one_name_are_numbered(processors: Processors) -> None:
    """In the order of the calls, and past a name that somebody gave himself."""
    calls: list[int] = []

    async def order(context: Context) -> list[int]:
        def ship(n: int) -> int:
            calls.append(n)
            return n

        await context.step("ship:2", ship, -1)
        shipped = [await context.step("ship", ship, n) for n in range(3)]
        if context.attempt == 1:
            raise ValueError("once more")
        return shipped

    processor = await processors.make(jobs={"order": JobDef(order, retry=TWICE)})
    job = await settled(processor, "order")
    assert job.result() == [0, 1, 2]
    assert names(job) == ["ship:2", "ship", "ship:3", "ship:4"]
    assert calls == [-1, 0, 1, 2]


async def test_steps_at_once(processors: Processors) -> None:
    """Those of `gather` run beside one another and are numbered as they were called."""
    together = asyncio.Barrier(3)

    async def order(context: Context) -> Any:
        async def load(n: int) -> int:
            await together.wait()
            return n

        steps = [context.step("load", load, n) for n in range(3)]
        loaded = await asyncio.gather(*steps)
        if context.attempt == 1:
            raise ValueError("once more")
        return loaded

    processor = await processors.make(jobs={"order": JobDef(order, retry=TWICE)})
    job = await settled(processor, "order")
    assert job.result() == [0, 1, 2]
    assert {step.name: step.result for step in job.steps} == {"load": 0, "load:2": 1, "load:3": 2}


async def test_a_plain_function_keeps_nobody_waiting(processors: Processors) -> None:
    """It runs in a thread, beside the event loop, and so may what it returns."""
    go_on = asyncio.Event()

    async def order(context: Context) -> Any:
        loop = asyncio.get_running_loop()

        def block() -> bool:
            asyncio.run_coroutine_threadsafe(set_event(), loop).result()
            return threading.current_thread() is threading.main_thread()

        async def set_event() -> None:
            go_on.set()

        blocked = await context.step("block", block)
        return [blocked, await context.step("awaited", lambda: asyncio.sleep(0, "later"))]

    processor = await processors.make(jobs={"order": JobDef(order)})
    assert (await settled(processor, "order")).result() == [False, "later"]
    assert go_on.is_set()


async def test_plain_handlers_do_steps(processors: Processors) -> None:
    """In their threads, and in threads of their own."""
    calls: list[str] = []

    def order(context: Context) -> Any:
        def charge(amount: int) -> int:
            calls.append(context.step_key)
            return amount

        charged = context.step_sync("charge", charge, 5)
        others = [
            threading.Thread(target=context.step_sync, args=(f"ship {n}", calls.append, "shipped"))
            for n in range(3)
        ]
        for thread in others:
            thread.start()
        for thread in others:
            thread.join()
        if context.attempt == 1:
            raise ValueError("once more")
        return charged

    processor = await processors.make(jobs={"order": JobDef(order, retry=TWICE)})
    job = await settled(processor, "order")
    assert job.result() == 5, job.output
    assert calls == [f"{job.id}:charge", "shipped", "shipped", "shipped"]
    assert sorted(names(job)) == ["charge", "ship 0", "ship 1", "ship 2"]


async def test_the_key_of_a_step_is_the_same_in_each_run(processors: Processors) -> None:
    """And another one in another step, and in another job."""
    keys: list[str] = []

    async def order(context: Context) -> None:
        async def charge() -> None:
            keys.append(context.step_key)
            if context.attempt == 1:
                raise ValueError("the reply was lost")

        await asyncio.gather(context.step("charge", charge), context.step("charge", charge))

    processor = await processors.make(jobs={"order": JobDef(order, retry=TWICE)})
    jobs = [await settled(processor, "order") for _ in range(2)]
    expected = [f"{job.id}:{name}" for job in jobs for name in ("charge", "charge:2") * 2]
    assert sorted(keys) == sorted(expected)


async def test_a_step_is_tried_again_in_place(processors: Processors) -> None:
    """After its own pauses, without an attempt of the job; its log tells of it."""
    fails = iter([ValueError("one"), OSError("two")])

    def flaky() -> str:
        for error in fails:
            raise error
        return "done"

    async def order(context: Context) -> str:
        return await context.step("flaky", flaky, retry=Retry(3, delay=0.01))

    def plain(context: Context) -> str:
        return context.step_sync("flaky", flaky, retry=Retry(3, delay=0.01))

    for handler in (order, plain):
        fails = iter([ValueError("one"), OSError("two")])
        processor = await processors.make(jobs={"order": JobDef(handler)})
        job = await settled(processor, "order")
        assert (job.result(), job.attempt) == ("done", 1)
        assert [line.text.partition(",")[0] for line in job.log] == [
            "step flaky: attempt 1 failed",
            "step flaky: attempt 2 failed",
        ]


@pytest.mark.parametrize(
    ("retry", "raised", "calls"),
    [
        (None, ValueError("no"), 1),
        (2, ValueError("no"), 2),
        (Retry(5, delay=0, give_up_on=(ValueError,)), ValueError("no"), 1),
        (Retry(5, delay=0), RetryLater("busy", delay=0), 1),
    ],
)
async def test_what_a_step_raises_is_raised_in_the_handler(
    processors: Processors, retry: Any, raised: Exception, calls: int
) -> None:
    """Once no try is left, or where it is about the job: it is recorded nowhere."""
    called = 0

    async def order(context: Context) -> str:
        def fail() -> None:
            nonlocal called
            called += 1
            raise raised

        with pytest.raises(type(raised), match=str(raised)):
            await context.step("fail", fail, retry=retry)
        return "caught"

    processor = await processors.make(jobs={"order": JobDef(order)})
    job = await settled(processor, "order")
    assert (job.result(), called, job.steps) == ("caught", calls, ())


async def test_results_are_values_of_any_kind(processors: Processors) -> None:
    """What a payload may hold, a later run gets as it was, under a name that is any text."""
    value = {"at": datetime(2026, 1, 2, tzinfo=UTC), "$set": {"a.b": [b"\0", None, 1.5]}}

    async def order(context: Context) -> Any:
        kept = await context.step("$a.b", lambda: value)
        if context.attempt == 1:
            raise ValueError("once more")
        return kept

    processor = await processors.make(jobs={"order": JobDef(order, retry=TWICE)})
    job = await settled(processor, "order")
    assert job.result() == value
    assert names(job) == ["$a.b"]


async def test_a_run_that_was_taken_away_keeps_no_step(processors: Processors) -> None:
    """Before its result counts it is told so: the run that has the job does the step."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    raised: list[BaseException] = []

    async def hold(context: Context) -> None:
        async def wait() -> str:
            begun.set()
            await go_on.wait()
            return "late"

        try:
            await context.step("wait", wait)
        except AbortedError as error:
            raised.append(error)

    processor, _ = await processors.start(jobs={"hold": JobDef(hold)})
    job = await processor.schedule_job("hold")
    await begun.wait()
    engine = engine_of(processor)
    (running,) = await engine.store.runs.of_worker(engine.worker_id, 10)
    outcome = rescue(running, None, killed=False, at=engine.clock.now())
    await engine.store.runs.settle([Settlement(running, outcome, engine.worker_id)])
    go_on.set()

    async def is_told() -> bool:
        return bool(raised)

    await eventually(is_told)
    assert isinstance(raised[0], AbortedError)
    assert raised[0].reason is AbortReason.LOST
    stored = await processor.get_job(job.id)
    assert stored is not None
    assert stored.steps == ()


async def test_a_step_costs_one_write_and_a_job_without_steps_none(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a read more either: the steps come with the job that is claimed."""
    asked: list[str] = []

    async def steps(context: Context) -> None:
        for n in range(5):
            await context.step("ship", lambda n=n: n)
        if context.attempt == 1:
            raise ValueError("once more")

    async def none(context: Context) -> None:
        assert context.attempt

    jobs = {"steps": JobDef(steps, retry=TWICE), "none": JobDef(none)}
    processor = await processors.make(jobs=jobs)
    runs = store_of(processor).runs
    for verb in ("save_step", "save_state", "state", "save_notes"):
        call = getattr(runs, verb)

        async def counted(*arguments: Any, call: Any = call, verb: str = verb) -> Any:
            asked.append(verb)
            return await call(*arguments)

        monkeypatch.setattr(runs, verb, counted)
    await settled(processor, "none")
    assert asked == []
    await settled(processor, "steps")
    assert asked == ["save_step"] * 5 + ["state"]  # that of any job that ran before


async def test_crons_and_run_job_do_steps(processors: Processors) -> None:
    """As a job does; what they return has them."""

    async def tick(context: Context) -> Mapping[str, int]:
        return {"kept": await context.step("one", lambda: 1)}

    processor = await processors.make(
        jobs={"tick": JobDef(tick)}, crons={"cron": CronDef("0 0 1 1 *", tick)}
    )
    job = await processor.run_job("tick")
    assert (job.result(), names(job)) == ({"kept": 1}, ["one"])
    await processor.run_worker(burst=True)  # it brings the cron into the database
    task = await processor.run_cron("cron")
    await processor.run_worker(burst=True)
    assert names(await processor.wait_for_job(task.id)) == ["one"]


async def test_the_hook_gets_the_steps_of_the_run(processors: Processors) -> None:
    """The job as it was last written has them."""
    seen: list[Job] = []

    async def order(context: Context) -> None:
        await context.step("charge", lambda: 5)

    processor = await processors.make(jobs={"order": JobDef(order, on_job_exited=seen.append)})
    job = await settled(processor, "order")
    assert seen == [job]
    assert names(seen[0]) == ["charge"]
