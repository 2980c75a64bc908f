"""Handlers that sleep: they leave, hold neither a slot nor an attempt, and come back."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from typing import Any

import pytest

from job_processor import (
    Clock,
    Context,
    EventKind,
    InvalidArgumentError,
    Job,
    JobDef,
    JobProcessor,
    JobStatus,
    Retry,
)
from job_processor.clock import LAST_MOMENT
from tests.processors import QUICK, Processors
from tests.samples import NOW as START

HOUR = timedelta(hours=1)


class SteppingClock(Clock):
    """Tells what a test says, also an earlier time than before."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        """Return the moment at which it stands."""
        return self.time


async def made(processors: Processors, **jobs: Any) -> tuple[JobProcessor, SteppingClock]:
    """Return a processor whose clock a test moves."""
    clock = SteppingClock()
    definitions = {
        name: each if isinstance(each, JobDef) else JobDef(each) for name, each in jobs.items()
    }
    processor = JobProcessor(processors.db_url, jobs=definitions, **QUICK)
    processor.override(clock=clock)
    return await processors.open(processor), clock


async def after_a_run(processor: JobProcessor, job: Job) -> Job:
    """Run what is due, and return the job as it then stands."""
    await processor.run_worker(burst=True)
    found = await processor.get_job(job.id)
    assert found is not None
    return found


@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_a_handler_leaves_and_comes_back(processors: Processors, kind: str) -> None:
    """Until when is kept the first time; meanwhile its job waits as any other does."""
    runs: list[int] = []

    async def order(context: Context) -> str:
        runs.append(context.attempt)
        await context.step("charge", lambda: 5)
        await context.sleep("cool off", minutes=30, hours=0.5)
        return "shipped"

    def plain(context: Context) -> str:
        runs.append(context.attempt)
        context.step_sync("charge", lambda: 5)
        context.sleep_sync("cool off", minutes=30, hours=0.5)
        return "shipped"

    processor, clock = await made(processors, order=order if kind == "async" else plain)
    job = await after_a_run(processor, await processor.schedule_job("order"))
    assert (job.status, job.scheduled_for, job.sleeps_until) == (
        "pending",
        START + HOUR,
        START + HOUR,
    )
    assert (job.worker_id, job.attempt, job.attempts) == (None, 1, ())
    assert [(step.name, step.until) for step in job.steps] == [
        ("charge", None),
        ("cool off", START + HOUR),
    ]
    clock.time += HOUR - timedelta(milliseconds=1)
    assert (await after_a_run(processor, job)).status is JobStatus.PENDING
    clock.time += timedelta(milliseconds=1)
    job = await after_a_run(processor, job)
    assert (job.result(), job.sleeps_until) == ("shipped", None)
    assert runs == [1, 1]


async def test_sleeps_are_numbered_like_steps(processors: Processors) -> None:
    """Each is slept once, the second from the end of the first on."""
    runs = 0

    async def order(context: Context) -> int:
        nonlocal runs
        runs += 1
        for _ in range(3):
            await context.sleep(seconds=1)
        return runs

    processor, clock = await made(processors, order=order)
    job: Job = await processor.schedule_job("order")
    for _ in range(3):
        assert (await after_a_run(processor, job)).sleeps_until is not None
        clock.time += timedelta(seconds=1)
    job = await after_a_run(processor, job)
    assert job.result() == 4
    assert [(step.name, step.until) for step in job.steps] == [
        ("sleep", START + timedelta(seconds=1)),
        ("sleep:2", START + timedelta(seconds=2)),
        ("sleep:3", START + timedelta(seconds=3)),
    ]


async def test_a_sleep_that_is_over_is_none(processors: Processors) -> None:
    """Nobody leaves for it: not for no time at all, nor until what is past."""

    async def order(context: Context) -> str:
        await context.sleep(seconds=0)
        await context.sleep(until=START - HOUR)
        return "at once"

    processor, _ = await made(processors, order=order)
    assert (
        await after_a_run(processor, await processor.schedule_job("order"))
    ).result() == "at once"


async def test_until_a_moment_of_any_zone(processors: Processors) -> None:
    """And to the end of time, where it is longer than that."""

    async def order(context: Context, days: float) -> None:
        east = START.astimezone(datetime.fromisoformat("2026-01-01T00:00+05:00").tzinfo)
        await context.sleep("a", until=east + HOUR)
        await context.sleep("b", hours=24 * days)

    processor, clock = await made(processors, order=order)
    job = await after_a_run(processor, await processor.schedule_job("order", {"days": 1e9}))
    assert job.scheduled_for == START + HOUR
    clock.time += HOUR
    assert (await after_a_run(processor, job)).scheduled_for == LAST_MOMENT


async def test_a_clock_that_steps(processors: Processors) -> None:
    """What a claim has found over is over, also where the clock then steps back."""
    clock = SteppingClock()

    async def order(context: Context) -> str:
        if context.job.steps:
            clock.time -= 2 * HOUR
        await context.sleep(hours=1)
        return "over"

    processor = JobProcessor(processors.db_url, jobs={"order": JobDef(order)}, **QUICK)
    processor.override(clock=clock)
    await processors.open(processor)
    job = await after_a_run(processor, await processor.schedule_job("order"))
    clock.time += HOUR
    assert (await after_a_run(processor, job)).result() == "over"


async def test_a_slot_is_free_while_handlers_sleep(processors: Processors) -> None:
    """One slot serves a hundred of them."""

    async def order(context: Context) -> None:
        await context.sleep(hours=1)

    clock = SteppingClock()
    processor = JobProcessor(
        processors.db_url, jobs={"order": JobDef(order)}, **{**QUICK, "concurrency": 1}
    )
    processor.override(clock=clock)
    await processors.open(processor)
    await processor.schedule_jobs([("order", None)] * 100)
    await processor.run_worker(burst=True)
    assert await processor.count_jobs(status="pending") == 100
    clock.time += HOUR
    await processor.run_worker(burst=True)
    assert await processor.count_jobs(status="finished") == 100


async def test_a_sleep_survives_its_worker(processors: Processors) -> None:
    """Another process goes on after it, long after the first has gone."""

    async def order(context: Context) -> list[str]:
        await context.sleep("first", hours=1)
        return [step.name for step in context.job.steps]

    first, _ = await made(processors, order=order)
    job = await after_a_run(first, await first.schedule_job("order"))
    await first.close()
    second, clock = await made(processors, order=order)
    clock.time += 5 * HOUR
    assert (await after_a_run(second, job)).result() == ["first"]


async def test_who_sleeps_is_killed_at_once(processors: Processors) -> None:
    """As any job that waits; retried, it sleeps until when it was to."""

    async def order(context: Context) -> None:
        await context.sleep(hours=1)

    processor, clock = await made(processors, order=order)
    job = await after_a_run(processor, await processor.schedule_job("order"))
    assert (await processor.kill_job(job.id)).status is JobStatus.KILLED
    clock.time += HOUR / 2
    await processor.retry_job(job.id)
    assert (await after_a_run(processor, job)).sleeps_until == START + HOUR


async def test_steps_beside_a_sleep_are_waited_for(processors: Processors) -> None:
    """The handler leaves once they are kept, and none of them is done twice."""
    calls: list[str] = []

    async def order(context: Context) -> Any:
        async def charge(name: str) -> str:
            for _ in range(20):
                await asyncio.sleep(0)
            calls.append(name)
            return name

        return await asyncio.gather(
            context.step("a", charge, "a"),
            context.sleep("short", hours=1),
            context.sleep("long", hours=2),
            context.step("b", charge, "b"),
        )

    processor, clock = await made(processors, order=order)
    job = await after_a_run(processor, await processor.schedule_job("order"))
    assert sorted(step.name for step in job.steps) == ["a", "b", "long", "short"]
    assert job.scheduled_for in (START + HOUR, START + 2 * HOUR)
    for _ in range(2):
        clock.time += HOUR
        job = await after_a_run(processor, job)
    assert job.result() == ["a", None, None, "b"]
    assert calls == ["a", "b"]


async def test_sleeps_in_a_task_group(processors: Processors) -> None:
    """The first that is over wakes the handler, which then sleeps for the rest of the other."""

    async def order(context: Context) -> str:
        async with asyncio.TaskGroup() as group:
            group.create_task(context.sleep("long", hours=2))
            group.create_task(context.sleep("short", hours=1))
        return "both"

    processor, clock = await made(processors, order=order)
    job: Job = await processor.schedule_job("order")
    for hours in (1, 2):
        job = await after_a_run(processor, job)
        assert job.sleeps_until is not None
        clock.time = START + hours * HOUR
    assert (await after_a_run(processor, job)).result() == "both"


@pytest.mark.parametrize("goes_on", [True, False])
async def test_who_swallows_a_sleep_is_reported(
    processors: Processors, caplog: pytest.LogCaptureFixture, goes_on: bool
) -> None:
    """He sleeps all the same: no step is done before the end, and what he returned is dropped."""
    calls: list[str] = []

    async def order(context: Context) -> str:
        try:
            await context.sleep(hours=1)
        except BaseException:  # noqa: BLE001  # what nobody should do
            if goes_on:
                await context.step("ship", calls.append, "shipped")
            return "too early"
        await context.step("ship", calls.append, "shipped")
        return "in time"

    processor, clock = await made(processors, order=order)
    with caplog.at_level(logging.WARNING, "job_processor"):
        job = await after_a_run(processor, await processor.schedule_job("order"))
    assert (job.sleeps_until, calls) == (START + HOUR, [])
    assert ("went on after context.sleep()" in caplog.text) is not goes_on
    clock.time += HOUR
    job = await after_a_run(processor, job)
    assert (job.result(), calls) == ("in time", ["shipped"])


async def test_who_fails_instead_of_sleeping_has_failed(processors: Processors) -> None:
    """As what he raises says; the retry that follows sleeps for the rest."""

    async def order(context: Context) -> str:
        try:
            await context.sleep(hours=1)
        finally:
            if context.attempt == 1:
                raise ValueError("cleaning up failed")
        return "over"

    processor, clock = await made(processors, order=JobDef(order, retry=Retry(2, delay=0)))
    job = await after_a_run(processor, await processor.schedule_job("order"))
    assert (job.attempt, job.sleeps_until) == (2, START + HOUR)
    assert "cleaning up failed" in (job.attempts[0].error or "")
    clock.time += HOUR
    assert (await after_a_run(processor, job)).result() == "over"


async def test_an_exception_handler_lets_a_sleep_pass(processors: Processors) -> None:
    """What leaves is no Exception; listeners hear of a job that waits, and of no error."""

    async def order(context: Context) -> str:
        try:
            await context.sleep(hours=1)
        except Exception:  # noqa: BLE001  # what many do
            return "caught"
        return "slept"

    processor, clock = await made(processors, order=order)
    heard: list[Any] = []
    processor.listen(lambda event: heard.append((event.kind, event.error)))
    job = await after_a_run(processor, await processor.schedule_job("order"))
    assert (EventKind.RETRIED, None) in heard
    clock.time += HOUR
    assert (await after_a_run(processor, job)).result() == "slept"


async def test_run_job_waits_where_it_is(processors: Processors) -> None:
    """Its caller does, too, and there is no worker that would come back to it."""

    async def order(context: Context) -> str:
        await context.sleep(seconds=0.05)
        return "slept"

    def plain(context: Context) -> str:
        context.sleep_sync(seconds=0.05)
        return "slept"

    processor = await processors.make(jobs={"order": JobDef(order), "plain": JobDef(plain)})
    for name in ("order", "plain"):
        job = await processor.run_job(name)
        assert job.result() == "slept"
        assert [step.name for step in job.steps] == ["sleep"]
        assert job.updated_at - job.created_at >= timedelta(seconds=0.05)


@pytest.mark.parametrize(
    ("arguments", "keywords", "told"),
    [
        ((), {}, "hours=1"),
        ((60,), {}, r"context\.sleep\(seconds=…\)"),
        ((HOUR,), {}, r"context\.sleep\(seconds=…\)"),
        (("",), {"hours": 1}, "1 to 200 characters"),
        ((), {"seconds": -1}, "number of seconds of at least 0"),
        ((), {"minutes": "1"}, "number of minutes"),
        ((), {"hours": float("nan")}, "number of hours"),
        ((), {"until": START.replace(tzinfo=None)}, "aware datetime"),
        ((), {"until": 5}, "aware datetime"),
        ((), {"until": START, "hours": 1}, "one of the two"),
    ],
)
async def test_bad_sleeps(processors: Processors, arguments: Any, keywords: Any, told: str) -> None:
    """Are errors to the handler, which say what is allowed."""

    async def order(context: Context) -> str:
        with pytest.raises(InvalidArgumentError, match=told):
            await context.sleep(*arguments, **keywords)
        with pytest.raises(InvalidArgumentError, match=told):
            context.sleep_sync(*arguments, **keywords)
        return "caught"

    processor = await processors.make(jobs={"order": JobDef(order)})
    job = await processor.run_job("order")
    assert (job.result(), job.steps) == ("caught", ())
