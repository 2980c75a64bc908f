"""Crons become cron tasks: on time, once, by whoever schedules; changed, missed and removed."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from job_processor import CronDef, CronTask, JobProcessor, JobStatus
from job_processor.crons.ownership import Ownership
from job_processor.models import occurrence_id
from tests.crons.clocks import SetClock, at, scheduler_of, started_engine, tasks
from tests.definitions import nothing
from tests.insides import engine_of
from tests.processors import WAIT, Processors, eventually


async def test_the_next_occurrence_stands_in_the_queue(processors: Processors) -> None:
    """Ahead of its time, pending, with an id derived from name and time; the pointer at it."""
    clock = SetClock()
    engine = await started_engine(processors, clock, crons={"tick": CronDef("* * * * *", nothing)})
    scheduler = scheduler_of(engine)
    assert await scheduler.schedule() == at(1)[0]
    (task,) = await tasks(engine)
    assert (task.scheduled_for, task.status) == (at(1)[0], "pending")
    assert task.id == occurrence_id("tick", task.scheduled_for)
    (cron,) = await engine.store.crons.all()
    assert (cron.scheduled_for, cron.cron_string) == (at(1)[0], "* * * * *")
    assert await scheduler.schedule() == at(1)[0]
    clock.forward(minutes=1)
    assert await scheduler.schedule() == at(2)[0]
    assert [task.scheduled_for for task in await tasks(engine)] == at(1, 2)


@pytest.mark.slow
async def test_ten_racing_schedulers_make_each_occurrence_once(processors: Processors) -> None:
    """Any worker may schedule; together they make no more and no fewer."""
    clock = SetClock()
    crons = {"tick": CronDef("* * * * *", nothing), "tock": CronDef("*/2 * * * *", nothing)}
    engines = [await started_engine(processors, clock, crons=crons) for _ in range(10)]
    schedulers = [scheduler_of(each) for each in engines]
    engine = engines[0]
    for _ in range(4):
        await asyncio.gather(*(each.schedule() for each in schedulers))
        clock.forward(minutes=1)
    made = [(task.name, task.scheduled_for) for task in await tasks(engine)]
    expected = [("tick", each) for each in at(1, 2, 3, 4)] + [("tock", each) for each in at(2, 4)]
    assert sorted(made) == sorted(expected)
    assert len(await engine.store.crons.all()) == 2


async def test_a_crash_between_insert_and_advance_loses_and_doubles_nothing(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The occurrence is inserted before the pointer moves; the next pass finds it there."""
    clock = SetClock()
    engine = await started_engine(processors, clock, crons={"tick": CronDef("* * * * *", nothing)})
    scheduler = scheduler_of(engine)
    await scheduler.schedule()
    clock.forward(minutes=1)

    async def crash(*_: object) -> bool:
        raise SystemExit("killed here")

    with monkeypatch.context() as patch:
        patch.setattr(engine.store.crons, "update", crash)
        with pytest.raises(SystemExit):
            await scheduler.schedule()
    await scheduler_of(engine).schedule()
    assert [task.scheduled_for for task in await tasks(engine)] == at(1, 2)


async def test_a_crash_before_a_new_cron_is_complete_loses_nothing(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pointer is made, its definition not yet noted: the next pass goes on from the pointer."""
    clock = SetClock()
    crons = {"tick": CronDef("* * * * *", nothing, misfire="all")}
    engine = await started_engine(processors, clock, crons=crons)

    async def crash(*_: object) -> None:
        raise SystemExit("killed here")

    with monkeypatch.context() as patch:
        patch.setattr(Ownership, "mark_applied", crash)
        with pytest.raises(SystemExit):
            await scheduler_of(engine).schedule()
    clock.forward(minutes=3)
    await scheduler_of(engine).schedule()
    assert [task.scheduled_for for task in await tasks(engine)] == at(1, 2, 3, 4)


@pytest.mark.parametrize(
    ("misfire", "expected"),
    [
        ("once", [1, 1441]),
        ("skip", [1, 1441]),
        ("all", [1, *range(1341, 1442)]),
    ],
)
async def test_what_an_outage_of_a_day_leaves_to_do(
    processors: Processors, misfire: Any, expected: list[int]
) -> None:
    """Once and skip add none to the standing one, all adds the latest hundred."""
    clock = SetClock()
    crons = {"tick": CronDef("* * * * *", nothing, misfire=misfire)}
    engine = await started_engine(processors, clock, crons=crons)
    await scheduler_of(engine).schedule()
    clock.forward(days=1)
    await scheduler_of(engine).schedule()
    assert [task.scheduled_for for task in await tasks(engine)] == at(*expected)


@pytest.mark.parametrize(("misfire", "status"), [("skip", "skipped"), ("once", "finished")])
async def test_a_missed_occurrence_is_skipped_or_run(
    processors: Processors, misfire: Any, status: str
) -> None:
    """Claimed after the next one is due: `skip` settles it skipped, `once` runs it.

    It counts as missed, as do those that came due after it and that nobody planned.
    """
    clock = SetClock()
    crons = {"tick": CronDef("* * * * *", nothing, misfire=misfire)}
    processor = await processors.make(clock=clock, crons=crons)
    await processor.run_worker(burst=True)
    clock.forward(minutes=10)
    await processor.run_worker(burst=True)
    page = await processor.find_jobs(type="cron_task", status=status)
    assert [job.scheduled_for for job in page.jobs] == at(1)
    if status == "skipped":
        assert page.jobs[0].output is not None
        assert page.jobs[0].output.skip_metadata is not None
        assert page.jobs[0].output.skip_metadata.reason == "other"
    (counted,) = await processor.get_rollup_totals(60, clock.now())
    assert counted.missed == 10


async def test_a_changed_cron_drops_its_old_occurrence(processors: Processors) -> None:
    """A new expression moves the pointer and removes the pending occurrence of the old one."""
    clock = SetClock()
    old = await started_engine(processors, clock, crons={"tick": CronDef("0 13 * * *", nothing)})
    await scheduler_of(old).schedule()
    assert [task.scheduled_for for task in await tasks(old)] == at(60)
    new = await started_engine(processors, clock, crons={"tick": CronDef("*/5 * * * *", nothing)})
    await scheduler_of(new).schedule()
    assert [task.scheduled_for for task in await tasks(new)] == at(5)
    (cron,) = await new.store.crons.all()
    assert (cron.cron_string, cron.scheduled_for) == ("*/5 * * * *", at(5)[0])
    await scheduler_of(old).schedule()  # an older worker never writes back
    await scheduler_of(new).schedule()
    assert [task.scheduled_for for task in await tasks(new)] == at(5)


async def test_a_rollback_takes_over_when_the_newer_version_is_gone(
    processors: Processors,
) -> None:
    """A definition seen before counts again once no running worker lists the newer one."""
    clock = SetClock()
    old_crons = {"tick": CronDef("0 13 * * *", nothing)}
    await scheduler_of(await started_engine(processors, clock, crons=old_crons)).schedule()
    newer = await processors.make(clock=clock, crons={"tick": CronDef("*/5 * * * *", nothing)})
    await newer.run_worker(burst=True)
    rolled_back = await started_engine(processors, clock, crons=old_crons)
    await scheduler_of(rolled_back).schedule()
    assert [task.scheduled_for for task in await tasks(rolled_back)] == at(60)


async def test_a_cron_that_no_worker_lists_stands_for_now(processors: Processors) -> None:
    """Its worker may be back in a moment: see `test_unlisted_crons`; so do another service's."""
    clock = SetClock()
    both = {"a": CronDef("0 13 * * *", nothing), "b": CronDef("0 14 * * *", nothing)}
    first = await processors.make(clock=clock, crons=both)
    await first.run_worker(burst=True)
    other = await processors.make(
        clock=clock, crons={"c": CronDef("0 15 * * *", nothing)}, service="other"
    )
    await other.run_worker(burst=True)
    engine = await started_engine(processors, clock, crons={"b": both["b"]})
    await scheduler_of(engine).schedule()
    assert [task.name for task in await tasks(engine)] == ["a", "b", "c"]
    assert [cron.name for cron in await engine.store.crons.all()] == ["a", "b", "c"]


async def test_a_cron_belongs_to_one_service(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """A second service that defines the same name does not schedule it, and says so."""
    clock = SetClock()
    first = await started_engine(processors, clock, crons={"a": CronDef("0 13 * * *", nothing)})
    await scheduler_of(first).schedule()
    second = await started_engine(
        processors, clock, crons={"a": CronDef("0 14 * * *", nothing)}, service="other"
    )
    await scheduler_of(second).schedule()
    assert [task.scheduled_for for task in await tasks(first)] == at(60)
    assert "belongs to service 'default'" in caplog.text


async def test_an_exclusive_cron_waits_for_the_one_before(processors: Processors) -> None:
    """Its next occurrence comes when the one before has settled; at its own time it is skipped."""
    clock = SetClock()
    running, release = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        running.set()
        await release.wait()

    crons = {"tick": CronDef("* * * * *", slow, exclusive=True)}
    processor = await processors.make(clock=clock, crons=crons)
    engine = engine_of(processor)
    await engine.start()
    processors.at_the_end(engine.stop)
    scheduler = scheduler_of(engine)
    await scheduler.schedule()
    clock.forward(minutes=1)
    await scheduler.schedule()
    assert [task.scheduled_for for task in await tasks(engine)] == at(1)
    worker = await processors.worker(processor)
    await asyncio.wait_for(running.wait(), WAIT)
    await scheduler.schedule()
    assert [task.status for task in await tasks(engine)] == ["running"]
    clock.forward(minutes=1)
    await scheduler.schedule()
    statuses = [(task.scheduled_for, task.status) for task in await tasks(engine)]
    assert statuses == list(zip(at(1, 2), ["running", "skipped"], strict=True))
    release.set()

    async def third() -> bool:
        return [task.scheduled_for for task in await tasks(engine)] == at(1, 2, 3)

    await eventually(third, "the next occurrence after the first has settled")
    await worker.stop()


async def test_a_cron_fires_in_real_time(processors: Processors) -> None:
    """With a real clock and a worker, occurrences start on time, each once."""
    starts: list[datetime] = []
    late: list[timedelta] = []

    async def tick(signal: object, job: CronTask) -> None:
        assert job.started_at is not None
        starts.append(job.scheduled_for)
        late.append(job.started_at - job.scheduled_for)

    await processors.start(crons={"tick": CronDef("* * * * * *", tick)})

    async def three() -> bool:
        return len(starts) >= 3

    await eventually(three)
    assert len(set(starts)) == len(starts)
    assert timedelta() <= min(late) < timedelta(seconds=5)  # the others may have been held up


async def test_a_cron_task_can_be_killed_while_it_waits(processors: Processors) -> None:
    """The standing occurrence is a job like any other: killed, it does not come back."""
    clock = SetClock()
    processor: JobProcessor = await processors.make(
        clock=clock, crons={"tick": CronDef("0 13 * * *", nothing)}
    )
    await processor.run_worker(burst=True)
    (task,) = (await processor.find_jobs(type="cron_task")).jobs
    await processor.kill_job(task.id)
    await processor.run_worker(burst=True)
    (task,) = (await processor.find_jobs(type="cron_task")).jobs
    assert task.status is JobStatus.KILLED
