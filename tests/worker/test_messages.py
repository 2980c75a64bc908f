"""Handlers that wait for a message: they leave, hold no slot, and go on with what came."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from job_processor import (
    Context,
    Job,
    JobDef,
    JobProcessor,
    JobStatus,
    Limit,
    PayloadError,
    Retry,
)
from job_processor.testing import MovableClock
from tests.processors import QUICK, Processors
from tests.samples import NOW as START

HOUR = timedelta(hours=1)


async def made(processors: Processors, **jobs: Any) -> tuple[JobProcessor, MovableClock]:
    """Return a processor whose clock a test moves."""
    clock = MovableClock(START)
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


async def order(context: Context, id: int = 42) -> Any:
    """Charge once, and wait for the payment."""
    charged = await context.step("charge", lambda: 5)
    return [charged, await context.receive(f"paid:{id}", timeout=3600)]


def order_in_a_thread(context: Context, id: int = 42) -> Any:
    """Do the same."""
    charged = context.step_sync("charge", lambda: 5)
    return [charged, context.receive_sync(f"paid:{id}", timeout=HOUR)]


@pytest.mark.parametrize("handler", [order, order_in_a_thread])
async def test_a_handler_leaves_and_goes_on_with_the_message(
    processors: Processors, handler: Any
) -> None:
    """It counts as no attempt, and says for what it waits and until when; the result is kept."""
    processor, _ = await made(processors, order=handler)
    job = await after_a_run(processor, await processor.schedule_job("order"))
    assert (job.status, job.scheduled_for) == ("pending", START + HOUR)
    assert job.waits_for == f"the message paid:42 until {START + HOUR:%Y-%m-%d %H:%M:%S} UTC"
    assert (job.worker_id, job.attempt, job.attempts, job.sleeps_until) == (None, 1, (), None)
    assert [(step.name, step.ended_at, step.topic) for step in job.steps[1:]] == [
        ("paid:42", None, "paid:42")
    ]
    assert await processor.send("paid:42", {"by": "card"})
    job = await after_a_run(processor, job)
    assert (job.result(), job.waits_for) == ([5, {"by": "card"}], None)
    (step,) = job.steps[1:]
    assert (step.name, step.result, step.ended_at) == ("paid:42", {"by": "card"}, START)


@pytest.mark.parametrize("handler", [order, order_in_a_thread])
async def test_what_was_sent_before_is_there_at_once(processors: Processors, handler: Any) -> None:
    """Nobody leaves for it; without a payload it is True."""
    processor, _ = await made(processors, order=handler)
    assert await processor.send("paid:42")
    job = await after_a_run(processor, await processor.schedule_job("order"))
    assert job.result() == [5, True]
    assert len(job.steps) == 2


@pytest.mark.parametrize("handler", [order, order_in_a_thread])
async def test_too_late_is_none(processors: Processors, handler: Any) -> None:
    """The time is counted from the first run on, whatever comes in between."""
    processor, clock = await made(processors, order=handler)
    job = await after_a_run(processor, await processor.schedule_job("order"))
    clock.move(minutes=59)
    await processor.send("paid:43")
    assert (await after_a_run(processor, job)).waits_for is not None
    clock.move(minutes=1)
    job = await after_a_run(processor, job)
    assert job.result() == [5, None]
    assert (job.steps[1].result, job.steps[1].until) == (None, START + HOUR)


async def test_no_time_at_all_is_a_look(processors: Processors) -> None:
    """Nobody leaves: what is there, or None."""

    async def look(context: Context) -> Any:
        return [await context.receive(topic, timeout=0) for topic in ("a", "b", "a")]

    processor, _ = await made(processors, look=look)
    await processor.send("b", 1)
    job = await after_a_run(processor, await processor.schedule_job("look"))
    assert job.result() == [None, 1, None]
    assert [step.name for step in job.steps] == ["a", "b", "a:2"]


async def test_all_who_wait_get_it_and_who_asks_later(processors: Processors) -> None:
    """The first of a name wins while it is kept, and the second is told so."""
    processor, clock = await made(processors, order=order)
    jobs = [await processor.schedule_job("order") for _ in range(3)]
    await processor.run_worker(burst=True)
    assert await processor.send("paid:42", "first", ttl=HOUR)
    assert not await processor.send("paid:42", "second")
    late = await processor.schedule_job("order")
    for each in (*jobs, late):
        assert (await after_a_run(processor, each)).result() == [5, "first"]
    clock.move(hours=1)
    assert await processor.send("paid:42", "third")
    last = await after_a_run(processor, await processor.schedule_job("order"))
    assert last.result() == [5, "third"]


async def test_messages_are_numbered_like_steps(processors: Processors) -> None:
    """Each wait of a name has its own place, and finds the same message."""

    async def order(context: Context) -> Any:
        return [await context.receive("more", timeout=60) for _ in range(3)]

    processor, _ = await made(processors, order=order)
    job = await after_a_run(processor, await processor.schedule_job("order"))
    await processor.send("more", 1)
    job = await after_a_run(processor, job)
    assert job.result() == [1, 1, 1]
    assert [step.name for step in job.steps] == ["more", "more:2", "more:3"]


async def test_what_came_is_kept_longer_than_the_message(processors: Processors) -> None:
    """A later run finds it among the steps, when the message itself is no more."""

    async def order(context: Context) -> Any:
        paid = await context.receive("paid", timeout=60)
        if context.attempt == 1:
            raise ValueError("no stock")
        return paid

    processor, clock = await made(processors, order=JobDef(order, retry=Retry(2, delay=7200)))
    await processor.send("paid", {"by": "card"}, ttl=60)
    job = await after_a_run(processor, await processor.schedule_job("order"))
    assert job.attempt == 2
    clock.move(hours=3)
    assert (await after_a_run(processor, job)).result() == {"by": "card"}


async def test_several_at_once_wait_together(processors: Processors) -> None:
    """Whichever comes wakes the handler, and is kept; it goes on once all are there."""
    runs = 0

    async def order(context: Context) -> Any:
        nonlocal runs
        runs += 1
        waits = (context.receive(topic, timeout=3600) for topic in ("a", "b", "c"))
        return await asyncio.gather(*waits)

    processor, _ = await made(processors, order=order)
    job = await after_a_run(processor, await processor.schedule_job("order"))
    assert job.topics == ("a", "b", "c")
    assert "the messages a, b, c until" in str(job.waits_for)
    await processor.send("b", 2)
    job = await after_a_run(processor, job)
    assert job.topics == ("a", "c")
    assert [step.result for step in job.steps if step.ended_at] == [2]
    await processor.send("a", 1)
    await processor.send("c", 3)
    assert (await after_a_run(processor, job)).result() == [1, 2, 3]
    assert runs == 3


async def test_a_wait_lets_a_step_beside_it_end(processors: Processors) -> None:
    """It leaves once no step is under way, and the step is not done again."""
    done: list[str] = []
    begun, ends = asyncio.Event(), asyncio.Event()

    async def ship() -> str:
        begun.set()
        await ends.wait()
        done.append("shipped")
        return "shipped"

    async def order(context: Context) -> Any:
        return await asyncio.gather(context.receive("paid", timeout=60), context.step("ship", ship))

    processor, _ = await made(processors, order=order)
    job: Job = await processor.schedule_job("order")
    burst = asyncio.create_task(processor.run_worker(burst=True))
    await begun.wait()
    ends.set()
    await burst
    await processor.send("paid", 1)
    assert (await after_a_run(processor, job)).result() == [1, "shipped"]
    assert done == ["shipped"]


async def test_a_sleep_beside_it_wakes_it_too(processors: Processors) -> None:
    """Whatever comes first: the end of the sleep, or the message."""

    async def order(context: Context) -> Any:
        _, paid = await asyncio.gather(
            context.sleep(minutes=10), context.receive("paid", timeout=3600)
        )
        return paid

    processor, clock = await made(processors, order=order)
    job = await after_a_run(processor, await processor.schedule_job("order"))
    assert (job.scheduled_for, job.topics) == (START + timedelta(minutes=10), ("paid",))
    clock.move(minutes=10)
    job = await after_a_run(processor, job)
    assert (job.scheduled_for, job.topics) == (START + HOUR, ("paid",))
    await processor.send("paid", 1)
    assert (await after_a_run(processor, job)).result() == 1


@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_who_swallows_it_waits_all_the_same(
    processors: Processors, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """And it is reported."""

    async def swallow(context: Context) -> str:
        with suppress(BaseException):
            await context.receive("paid")
        return "too early"

    def plain(context: Context) -> str:
        with suppress(BaseException):
            context.receive_sync("paid")
        return "too early"

    processor, _ = await made(processors, order=swallow if kind == "async" else plain)
    with caplog.at_level(logging.WARNING, "job_processor"):
        job = await after_a_run(processor, await processor.schedule_job("order"))
    assert job.waits_for == "the message paid"
    assert "went on after context.receive() had left it" in caplog.text


async def test_it_passes_whoever_catches_exceptions(processors: Processors) -> None:
    """What leaves the handler is none."""

    async def order(context: Context) -> Any:
        try:
            return await context.receive("paid")
        except Exception:  # noqa: BLE001  # the rule
            return "caught"

    processor, _ = await made(processors, order=order)
    job: Job = await processor.schedule_job("order")
    assert (await after_a_run(processor, job)).waits_for == "the message paid"


async def test_a_lane_is_free_while_one_waits(processors: Processors) -> None:
    """Its slot is the next one's; with the message it stands in line again."""
    began: list[int] = []

    async def sync(tenant: str, n: int, context: Context) -> Any:
        began.append(n)
        return await context.receive("go", timeout=3600) if n == 1 else n

    definition = JobDef(sync, limit=Limit(1, key="tenant"))
    processor, _ = await made(processors, sync=definition)
    first, second = [await processor.schedule_job("sync", {"tenant": "a", "n": n}) for n in (1, 2)]
    job = await after_a_run(processor, first)
    assert (job.waits_for, job.slot) == (f"the message go until {START + HOUR:%F %T} UTC", None)
    assert (await after_a_run(processor, second)).result() == 2
    await processor.send("go", "gone")
    assert (await after_a_run(processor, first)).result() == "gone"
    assert began == [1, 2, 1]


async def test_a_job_that_waits_is_killed_and_sent_round_again(processors: Processors) -> None:
    """It goes on after its steps, with the time that it had from the first on."""
    processor, clock = await made(processors, order=order)
    job = await after_a_run(processor, await processor.schedule_job("order"))
    assert (await processor.kill_job(job.id)).status is JobStatus.KILLED
    await processor.send("paid:42", "late")
    assert (await after_a_run(processor, job)).status is JobStatus.KILLED
    clock.move(hours=2)
    await processor.retry_job(job.id)
    assert (await after_a_run(processor, job)).result() == [5, "late"]


async def test_a_message_that_has_no_room_among_the_steps(processors: Processors) -> None:
    """It is told as that of a step: the job fails, and the message stays."""

    async def order(context: Context) -> Any:
        await context.step("much", lambda: "x" * 200_000)
        return await context.receive("paid")

    processor, _ = await made(processors, order=order)
    await processor.send("paid", "x" * 890_000)
    job = await after_a_run(processor, await processor.schedule_job("order"))
    assert job.output is not None
    assert "PayloadError: the message 'paid'" in str(job.output.error)
    with pytest.raises(PayloadError, match="at most 900,000 bytes"):
        await processor.send("more", "x" * 900_001)


async def test_an_occurrence_of_a_cron_waits(processors: Processors) -> None:
    """As a job does; the next one is planned all the same."""

    async def nightly(context: Context) -> Any:
        return await context.receive("go", timeout=3600)

    processor, clock = await made(processors)
    processor.cron("0 0 * * *")(nightly)
    await processor.run_worker(burst=True)
    task = await processor.run_cron("nightly")
    assert (await after_a_run(processor, task)).waits_for is not None
    await processor.send("go", 1)
    assert (await after_a_run(processor, task)).result() == 1
    assert clock.now() == START
