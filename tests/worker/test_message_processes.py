"""Handlers in processes of their own that wait for messages: their worker waits for them."""

from __future__ import annotations

import logging
import os
from datetime import timedelta
from typing import Any

import pytest

from job_processor import Job, JobDef, JobProcessor, JobStatus
from job_processor.testing import MovableClock
from tests.processors import QUICK, Processors
from tests.worker import process_messages as handlers

ORDERS = [handlers.order, handlers.order_async]


async def made(processors: Processors, handler: Any) -> tuple[JobProcessor, MovableClock]:
    """Return a processor whose clock a test moves; that of a handler's process is the system's."""
    jobs = {"order": JobDef(handler, executor="process")}
    processor = JobProcessor(processors.db_url, jobs=jobs, **QUICK)
    clock = MovableClock()
    processor.override(clock=clock)
    return await processors.open(processor), clock


async def after_a_run(processor: JobProcessor, job: Job) -> Job:
    """Run what is due, and return the job as it then stands."""
    await processor.run_worker(burst=True)
    found = await processor.get_job(job.id)
    assert found is not None
    return found


@pytest.mark.parametrize("handler", ORDERS)
async def test_it_leaves_its_process_and_goes_on_with_the_message(
    processors: Processors, handler: Any
) -> None:
    """As in a thread: no attempt is counted, its steps are kept, and the message is its result."""
    processor, _ = await made(processors, handler)
    job = await after_a_run(processor, await processor.schedule_job("order"))
    assert job.status is JobStatus.PENDING
    assert job.waits_for is not None
    assert job.waits_for.startswith("the message paid:42 until ")
    assert (job.worker_id, job.attempt, job.attempts) == (None, 1, ())
    assert [step.name for step in job.steps] == ["charge", "paid:42"]
    assert await processor.send("paid:42", {"by": "card"})
    job = await after_a_run(processor, job)
    charged, ran, paid = job.result()
    assert paid == {"by": "card"}
    assert charged == job.steps[0].result
    assert os.getpid() not in (charged, ran)


@pytest.mark.parametrize("handler", ORDERS)
async def test_what_was_sent_before_is_there_at_once(processors: Processors, handler: Any) -> None:
    """Nobody leaves for it."""
    processor, _ = await made(processors, handler)
    assert await processor.send("paid:42")
    job = await after_a_run(processor, await processor.schedule_job("order"))
    assert job.result()[-1] is True


@pytest.mark.parametrize("handler", ORDERS)
async def test_too_late_is_none(processors: Processors, handler: Any) -> None:
    """The time is counted from the first run on."""
    processor, clock = await made(processors, handler)
    job = await after_a_run(processor, await processor.schedule_job("order"))
    clock.move(minutes=30)
    assert (await after_a_run(processor, job)).waits_for is not None
    clock.move(minutes=31)
    job = await after_a_run(processor, job)
    assert (job.status, job.result()[-1]) == (JobStatus.FINISHED, None)


async def test_messages_are_numbered_there(processors: Processors) -> None:
    """A message is kept until its time is over, so whoever asks again gets it again."""
    processor, _ = await made(processors, handlers.two)
    job = await after_a_run(processor, await processor.schedule_job("order"))
    await processor.send("a:1", 1)
    job = await after_a_run(processor, job)
    assert job.result() == [1, 1, None]
    assert [step.name for step in job.steps] == ["a:1", "a:1:2", "none"]


async def test_who_swallows_it_there_waits_all_the_same(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """And it is reported."""
    processor, clock = await made(processors, handlers.swallow)
    with caplog.at_level(logging.WARNING, "job_processor"):
        job = await after_a_run(processor, await processor.schedule_job("order"))
    assert job.status is JobStatus.PENDING
    assert job.waits_for is not None
    assert job.scheduled_for - clock.now() > timedelta(minutes=59)
    assert "went on after context.receive()" in caplog.text


async def test_what_nobody_can_wait_for_is_told_there(processors: Processors) -> None:
    """In the process, by the very error that a thread gets."""
    processor, _ = await made(processors, handlers.misuse)
    job = await after_a_run(processor, await processor.schedule_job("order"))
    empty, number, negative = job.result()
    assert empty.startswith("topic: ''")
    assert number.startswith("topic: 7")
    assert negative.startswith("timeout: -1")
