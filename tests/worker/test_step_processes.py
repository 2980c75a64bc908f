"""Steps of handlers in processes of their own: their worker writes what they do."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from job_processor import Job, JobDef, JobProcessor, Retry
from job_processor.testing import MovableClock
from tests.processors import QUICK, Processors
from tests.worker import process_handlers as handlers


async def made(processors: Processors, handler: Any) -> tuple[JobProcessor, MovableClock]:
    """Return a processor whose clock a test moves; that of a handler's process is the system's."""
    definition = JobDef(handler, executor="process", retry=Retry(2, delay=0))
    processor = JobProcessor(processors.db_url, jobs={"order": definition}, **QUICK)
    clock = MovableClock()
    processor.override(clock=clock)
    return await processors.open(processor), clock


async def after_a_run(processor: JobProcessor, job: Job) -> Job:
    """Run what is due, and return the job as it then stands."""
    await processor.run_worker(burst=True)
    found = await processor.get_job(job.id)
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["order_in_steps", "order_in_steps_async"])
async def test_steps_and_sleeps_in_a_process(
    processors: Processors, tmp_path: Path, name: str
) -> None:
    """Each is done once, through a retry and a sleep, and has its key there."""
    processor, clock = await made(processors, getattr(handlers, name))
    file = tmp_path / "lines"
    job = await processor.schedule_job("order", {"file": str(file)})
    asleep = await after_a_run(processor, job)
    assert asleep.sleeps_until is not None
    assert asleep.attempt == 2
    assert file.read_text() == "charged charge\n"
    clock.move(hours=1, minutes=1)
    done = await after_a_run(processor, job)
    assert done.result() == ["charged", "shipped", "shipped"]
    assert sorted(file.read_text().splitlines()) == [
        "charged charge",
        "shipped ship",
        "shipped ship:2",
    ]
    assert [step.name for step in done.steps[:2]] == ["charge", "cool off"]
    assert {step.name for step in done.steps[2:]} == {"ship", "ship:2"}


async def test_who_swallows_a_sleep_there_sleeps_all_the_same(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """And it is reported."""
    processor, clock = await made(processors, handlers.swallow_a_sleep)
    with caplog.at_level(logging.WARNING, "job_processor"):
        job = await after_a_run(processor, await processor.schedule_job("order"))
    assert job.sleeps_until is not None
    assert job.sleeps_until - clock.now() > timedelta(minutes=59)
    assert "went on after context.sleep()" in caplog.text


async def test_what_cannot_be_kept_is_told_there(processors: Processors) -> None:
    """In the process, by the very error that a thread gets."""
    processor, _ = await made(processors, handlers.misuse_steps)
    job = await after_a_run(processor, await processor.schedule_job("order"))
    bad, many = job.result()
    assert "result of the step 'much'" in bad
    assert "1,000,000 bytes of all steps" in many
    assert [step.name for step in job.steps] == ["much:2"]
