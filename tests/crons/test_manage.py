"""Crons by hand: listed with their next times, and run now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from job_processor import Clock, CronDef, Job, JobProcessor, JobStatus, UnknownJobError
from tests.definitions import nothing
from tests.insides import store_of
from tests.processors import WAIT, Processors, eventually
from tests.samples import cron

START = datetime(2026, 3, 27, 12, 0, 30, tzinfo=UTC)


class SetClock(Clock):
    """A clock that stands."""

    def now(self) -> datetime:
        """Return the moment that was set."""
        return START


async def pending(processor: JobProcessor) -> tuple[Job, ...]:
    """Return what waits."""
    return (await processor.find_jobs(status="pending")).jobs


async def test_crons_are_listed(processors: Processors) -> None:
    """From any process, each with its zone, its owner and the next five times in UTC."""
    crons = {
        "nightly": CronDef("0 2 * * *", nothing, timezone="Europe/Paris"),
        "tick": CronDef("@hourly", nothing),
    }
    worker = await processors.make(crons=crons, service="shop", clock=SetClock())
    await worker.run_worker(burst=True)
    await worker.pause("tick")
    boss = await processors.make(clock=SetClock())
    nightly, tick = await boss.get_crons()
    assert (nightly.name, nightly.cron_string, nightly.timezone) == (
        "nightly",
        "0 2 * * *",
        "Europe/Paris",
    )
    assert (nightly.service, nightly.paused, tick.paused) == ("shop", False, True)
    # The clocks go forward on the 29th, when 2 o'clock is left out: it fires at 3.
    assert [f"{each:%d %H:%M}" for each in nightly.upcoming] == [
        "28 01:00",
        "29 01:00",
        "30 00:00",
        "31 00:00",
        "01 00:00",
    ]
    assert (
        tick.upcoming[0]
        == tick.scheduled_for
        == START.replace(minute=0, second=0) + timedelta(hours=1)
    )
    assert len(tick.upcoming) == 5


async def test_a_foreign_expression_has_no_times(processors: Processors) -> None:
    """One that only the Node package's parser takes is listed all the same."""
    processor = await processors.make(clock=SetClock())
    await store_of(processor).crons.create(cron("odd", at=START, cron_string="every 5 minutes"))
    (odd,) = await processor.get_crons()
    assert (odd.upcoming, odd.service, odd.timezone) == ((), None, "Europe/Paris")


async def test_a_cron_is_run_now(processors: Processors) -> None:
    """By a worker that defines it; its schedule stays, and so does the task after the next pass."""
    worker = await processors.make(crons={"yearly": CronDef("@yearly", nothing)})
    await worker.run_worker(burst=True)
    boss = await processors.make()
    task = await boss.run_cron("yearly")
    assert (task.status, task.type) == (JobStatus.PENDING, "cron_task")
    await worker.run_worker(burst=True)
    assert (await boss.wait_for_job(task.id)).status is JobStatus.FINISHED
    (cron,) = await boss.get_crons()
    tasks = (await boss.find_jobs(name="yearly")).jobs
    assert {each.scheduled_for for each in tasks} == {task.scheduled_for, cron.scheduled_for}


async def test_an_exclusive_cron_is_run_now(processors: Processors) -> None:
    """In place of the occurrence that waits for its time, which stands in the queue again after."""
    crons = {"alone": CronDef("@yearly", nothing, exclusive=True)}
    worker = await processors.make(crons=crons)
    await worker.run_worker(burst=True)
    boss = await processors.make()
    (cron,) = await boss.get_crons()
    for processor in (worker, boss):
        task = await processor.run_cron("alone")
        assert task.status is JobStatus.PENDING
        second = await processor.run_cron("alone")
        assert (second.status, second.exclusive) == (JobStatus.SKIPPED, True)
        running = await processors.worker(worker)
        await boss.wait_for_job(task.id, timeout=WAIT)
        planned = await eventually(partial(pending, boss))
        await running.stop()
        assert [each.scheduled_for for each in planned] == [cron.scheduled_for]


async def test_an_unknown_cron(processors: Processors) -> None:
    """The error names those that there are."""
    processor = await processors.make(crons={"yearly": CronDef("@yearly", nothing)})
    with pytest.raises(UnknownJobError, match=r"name: 'yearly'.*none yet"):
        await processor.run_cron("yearly")
    await processor.run_worker(burst=True)
    with pytest.raises(UnknownJobError, match=r"name: 'weekly'.*'yearly'"):
        await processor.run_cron("weekly")
