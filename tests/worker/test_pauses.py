"""What is paused, by name or tag, no worker begins; what runs goes on; all of it is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from job_processor import (
    Clock,
    CronDef,
    InvalidArgumentError,
    JobDef,
    JobProcessor,
    JobStatus,
    Pauses,
)
from job_processor.crons.scheduler import Scheduler
from job_processor.handlers.definitions import Misfire
from job_processor.store.hints import ANYTHING, Hint
from job_processor.store.requests import JobQuery
from job_processor.worker.pauses import PauseWatch
from tests.insides import engine_of, store_of
from tests.processors import WAIT, Processors, eventually

START = datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC)


class SetClock(Clock):
    """A clock that stands until it is moved."""

    moment = START

    def now(self) -> datetime:
        """Return the moment that was set."""
        return self.moment


def nothing() -> None:
    """Do nothing."""


def definitions(note: Callable[[Any], object] = lambda job: None) -> dict[str, JobDef]:
    """Return two jobs with a tag and one without."""

    async def handle(job: Any) -> None:
        note(job.name)

    return {
        "a": JobDef(handle, tag="heavy"),
        "b": JobDef(handle, tag="heavy"),
        "c": JobDef(handle),
    }


async def done(processor: JobProcessor) -> set[str]:
    """Return the names of what has finished."""
    return {job.name for job in (await processor.find_jobs(status="finished")).jobs}


async def test_a_name_is_paused_and_resumed(processors: Processors) -> None:
    """Of a burst, what is paused waits; an active worker goes on with it once it is resumed."""
    processor = await processors.make(jobs=definitions())
    await processor.pause("a")
    await processor.pause("a")
    jobs = await processor.schedule_jobs(["a", "b", "c"])
    await processor.run_worker(burst=True)
    assert await done(processor) == {"b", "c"}
    assert await processor.get_pauses() == Pauses(frozenset({"a"}))
    await processors.worker(processor)
    await processor.resume("a")
    await processor.wait_for_job(jobs[0].id, timeout=WAIT)
    await processor.resume("a")
    assert not await processor.get_pauses()


async def test_a_resume_while_a_worker_begins(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its first look and the moment from which it is told."""
    processor = await processors.make(jobs=definitions())
    await processor.pause("a")
    job = await processor.schedule_job("a")
    run, watched = PauseWatch.run, asyncio.Event()

    def hear(hint: Hint) -> None:
        if ANYTHING in hint:
            watched.set()

    async def run_late(self: PauseWatch) -> None:
        await watched.wait()  # what makes everybody look has come
        await processor.resume("a")
        await run(self)

    store_of(processor).subscribe(hear)
    monkeypatch.setattr(PauseWatch, "run", run_late)
    await processors.worker(processor)
    await processor.wait_for_job(job.id, timeout=WAIT)


async def test_a_tag_is_paused(processors: Processors) -> None:
    """Every name with this tag; a pause of a name is none of a tag that is called the same."""
    processor = await processors.make(jobs=definitions())
    await processor.pause(tag="heavy")
    await processor.pause("heavy")
    await processor.schedule_jobs(["a", "b", "c"])
    await processor.resume("heavy")
    await processor.run_worker(burst=True)
    assert await done(processor) == {"c"}
    await processor.resume(tag="heavy")
    await processor.run_worker(burst=True)
    assert await done(processor) == {"a", "b", "c"}


async def until_seen(processor: JobProcessor, name: str, *, paused: bool = True) -> None:
    """Return once the worker of a processor knows that a name is paused, or is not.

    What it has claimed before that runs by then.
    """
    worker, engine = cast(Any, processor._worker), engine_of(processor)  # they have no public face
    registry = processor.registry
    definition = {**registry.jobs, **registry.crons}[name]

    async def seen() -> bool:
        return worker._pauses.is_paused(name, definition) is paused

    await eventually(seen)
    async with engine.gate.exclusive():
        pass


async def test_a_running_worker_is_told_of_it(processors: Processors) -> None:
    """Made by another process: from then on nothing begins, running jobs continue."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def held() -> None:
        begun.set()
        await go_on.wait()

    processor, _ = await processors.start(jobs={"held": JobDef(held)}, poll_interval=3600)
    boss = await processors.make()
    first = await processor.schedule_job("held")
    await begun.wait()
    await boss.pause("held")
    await until_seen(processor, "held")
    second = await processor.schedule_job("held")
    go_on.set()
    assert (await processor.wait_for_job(first.id)).status is JobStatus.FINISHED
    await asyncio.sleep(0.3)  # nothing is to happen
    waiting = await processor.get_job(second.id)
    assert waiting is not None
    assert waiting.status is JobStatus.PENDING
    await boss.resume("held")
    await processor.wait_for_job(second.id, timeout=WAIT)


async def test_workers_with_many_names(processors: Processors) -> None:
    """Of 120 names, some are paused, in different groups of a claim."""
    seen: list[str] = []
    names = [f"n{i:03}" for i in range(120)]

    async def note(job: Any) -> None:
        seen.append(job.name)

    processor = await processors.make(jobs={name: JobDef(note) for name in names})
    for name in names[::40]:
        await processor.pause(name)
    await processor.schedule_jobs(names)
    await processor.run_worker(burst=True)
    assert set(names) - set(seen) == set(names[::40])


async def test_run_job_is_not_held_up(processors: Processors) -> None:
    """It runs here and now."""
    processor = await processors.make(jobs=definitions())
    await processor.pause("a")
    assert (await processor.run_job("a")).status is JobStatus.FINISHED


@pytest.mark.parametrize(("misfire", "expected"), [("once", 1), ("skip", 1), ("all", 4)])
async def test_a_paused_cron(processors: Processors, misfire: Misfire, expected: int) -> None:
    """Plans nothing; when it goes on, what it missed is judged as if no worker had been there."""
    clock = SetClock()
    cron = CronDef("* * * * *", nothing, misfire=misfire)
    processor = await processors.make(crons={"tick": cron}, clock=clock)
    engine = engine_of(processor)  # scheduling without a worker is below the facade
    await engine.start()
    processors.at_the_end(engine.stop)
    pauses = PauseWatch(engine)
    scheduler = Scheduler(engine, pauses)
    await scheduler.schedule()
    await processor.pause("tick")
    await pauses.look()
    clock.moment += timedelta(minutes=4)
    await scheduler.schedule()
    assert len(await engine.store.history.find(JobQuery(type="cron_task"))) == 1
    await processor.resume("tick")
    await pauses.look()
    await scheduler.schedule()
    tasks = await engine.store.history.find(JobQuery(type="cron_task"))
    due = [task for task in tasks if task.scheduled_for <= clock.now()]
    assert len(due) == expected
    assert len(tasks) == expected + 1  # and the next


async def test_a_cron_begins_again_by_itself(processors: Processors) -> None:
    """A worker that waits is told of the pause and of its end."""
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1

    crons = {"tick": CronDef("* * * * * *", tick, tag="t")}
    processor, _ = await processors.start(crons=crons)
    await eventually(lambda: _is(ticks > 0))
    await processor.pause(tag="t")
    await until_seen(processor, "tick")
    await eventually(lambda: _runs_nothing(processor))
    before = ticks
    await asyncio.sleep(1.5)  # nothing is to happen
    assert ticks == before
    assert [cron.paused for cron in await processor.get_crons()] == [True]
    await processor.resume(tag="t")
    await eventually(lambda: _is(ticks > before))


async def _is(condition: bool) -> bool:
    return condition


async def _runs_nothing(processor: JobProcessor) -> bool:
    return await processor.count_jobs(status="running") == 0


@pytest.mark.parametrize(
    ("name", "tag", "argument"),
    [(None, None, "name"), ("a", "b", "name"), ("", None, "name"), (None, 7, "tag")],
)
async def test_bad_input(processors: Processors, name: Any, tag: Any, argument: str) -> None:
    """It is one name or one tag."""
    processor = await processors.make(jobs=definitions())
    for call in (processor.pause, processor.resume):
        with pytest.raises(InvalidArgumentError) as caught:
            await call(name, tag=tag)
        assert caught.value.argument == argument
    assert not await processor.get_pauses()
