"""Crons under clocks that are wrong: none falls silent, and none is planned by the wrong one."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from job_processor import Clock, CronDef, CronTask, JobProcessor
from job_processor.crons import planner
from job_processor.schedule import next_occurrence
from tests.crons.clocks import START, SetClock, scheduler_of, started_engine, tasks
from tests.definitions import nothing
from tests.insides import store_of
from tests.processors import QUICK, WAIT, Processors, eventually

DAYS = timedelta(days=2)
YEARS = timedelta(days=3653)
SECOND = timedelta(seconds=1)
ANEW = "planning it again"
EACH_SECOND = "* * * * * *"


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker with the right clock that is late, as on a busy machine, is not taken for gone."""
    monkeypatch.setattr(planner, "_PATIENCE", timedelta(seconds=WAIT))


class Off(Clock):
    """A clock that is wrong by so much."""

    def __init__(self, off: timedelta) -> None:
        self.off = off

    def now(self) -> datetime:
        """Return the wrong time."""
        return super().now() + self.off


class Runs:
    """Remembers for which times occurrences ran."""

    def __init__(self) -> None:
        self.planned: list[datetime] = []

    async def tick(self, signal: object, job: CronTask) -> None:
        """Run an occurrence."""
        self.planned.append(job.scheduled_for)

    async def until(self, count: int) -> None:
        """Return once so many more have run."""
        wanted = len(self.planned) + count

        async def enough() -> bool:
            return len(self.planned) >= wanted

        await eventually(enough, f"{count} more runs")

    async def until_each_second(self) -> None:
        """Return once no second is left out from the first run to the last, and none ran twice."""

        async def complete() -> bool:
            times = sorted(each.timestamp() for each in self.planned)
            return times == [times[0] + i for i in range(len(times))]

        await eventually(complete, "a run for each second, once")


async def pointer(processor: JobProcessor) -> datetime:
    """Return where the only cron stands."""
    (cron,) = await processor.get_crons()
    return cron.scheduled_for


@pytest.mark.parametrize("expression", [EACH_SECOND, "*/5 * * * *", "0 2 * * *"])
@pytest.mark.parametrize("step", [2 * SECOND, timedelta(hours=2), timedelta(days=2), YEARS])
async def test_a_clock_that_was_ahead_leaves_no_pointer_behind(
    processors: Processors, step: timedelta, expression: str
) -> None:
    """Set right, the cron is planned anew from now on, by whichever worker looks."""
    clock = SetClock()
    crons = {"tick": CronDef(expression, nothing)}
    engine = await started_engine(processors, clock, crons=crons)
    await scheduler_of(engine).schedule()
    clock.moment += step
    await scheduler_of(engine).schedule()
    clock.moment -= step
    await scheduler_of(engine).schedule()
    expected = next_occurrence(expression, "UTC", clock.now())
    (cron,) = await engine.store.crons.all()
    assert cron.scheduled_for.replace(microsecond=0) <= next_occurrence(
        expression, "UTC", clock.now() + SECOND
    )
    assert expected <= cron.scheduled_for
    later = [each for each in await tasks(engine) if each.scheduled_for > cron.scheduled_for]
    assert later == []


async def test_it_says_so_and_says_it_once(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning names the cron and the time at which it was to fire."""
    clock = SetClock(START + timedelta(days=2))
    engine = await started_engine(processors, clock, crons={"tick": CronDef("@hourly", nothing)})
    scheduler = scheduler_of(engine)
    await scheduler.schedule()
    clock.moment = START
    for _ in range(3):
        await scheduler.schedule()
        clock.forward(seconds=1)
    told = [message for message in caplog.messages if ANEW in message]
    assert len(told) == 1
    assert "cron 'tick' was to fire at 2026-03-04T13:00:00+00:00" in told[0]


_STEPS = st.sampled_from(
    [
        sign * size
        for sign in (1, -1)
        for size in (
            SECOND,
            3 * SECOND,
            timedelta(seconds=61),
            timedelta(hours=3),
            timedelta(days=2),
            YEARS,
        )
    ]
)


@given(steps=st.lists(_STEPS, min_size=1, max_size=5), crowded=st.booleans())
@example(steps=[-3 * SECOND, -3 * SECOND, -3 * SECOND], crowded=True)
@example(steps=[YEARS, -YEARS, timedelta(days=2), -timedelta(days=2)], crowded=True)
@settings(deadline=None, max_examples=30)
def test_no_step_of_the_clock_silences_a_rhythm(steps: list[timedelta], crowded: bool) -> None:
    """However it steps, a second or ten years: it fires again within three periods."""
    expression, period = (EACH_SECOND, SECOND) if crowded else ("*/5 * * * *", 300 * SECOND)

    async def run() -> None:
        clock, runs = SetClock(), Runs()
        crons = {"tick": CronDef(expression, runs.tick)}
        async with JobProcessor("sqlite://", clock=clock, crons=crons, **QUICK) as processor:
            for step in (timedelta(0), *steps):
                clock.moment += step
                await processor.run_worker(burst=True)
                before = len(runs.planned)
                for _ in range(3):
                    clock.moment += period
                    await processor.run_worker(burst=True)
                assert len(runs.planned) > before
        assert len(runs.planned) == len(set(runs.planned))

    asyncio.run(run())


async def test_a_time_of_day_that_has_been_does_not_come_again(processors: Processors) -> None:
    """A clock that is set back past it fires it once, as the end of summer time does."""
    clock, runs = SetClock(), Runs()
    crons = {"nightly": CronDef("0 13 * * *", runs.tick)}
    processor = await processors.make(clock=clock, crons=crons)
    await processor.run_worker(burst=True)
    for step in (timedelta(hours=1), -timedelta(hours=1), timedelta(hours=1), timedelta(days=1)):
        clock.moment += step
        await processor.run_worker(burst=True)
    first = START.replace(hour=13, second=0)
    assert runs.planned == [first, first + timedelta(days=1)]


def slow_but(first: int, *offs: timedelta) -> list[Any]:
    """Return parameters of which all but the first ones take their time."""
    return [*offs[:first], *(pytest.param(off, marks=pytest.mark.slow) for off in offs[first:])]


@pytest.mark.parametrize(
    "off", slow_but(2, DAYS, -YEARS, -DAYS, YEARS, timedelta(seconds=30), -3 * SECOND)
)
async def test_a_wrong_clock_beside_a_right_one_plans_nothing(
    processors: Processors, off: timedelta, caplog: pytest.LogCaptureFixture, patience: None
) -> None:
    """Of two workers the one whose clock is the database's goes on, at its times, without gaps."""
    caplog.set_level(logging.WARNING)
    runs = Runs()
    crons = {"tick": CronDef(EACH_SECOND, runs.tick, misfire="all")}
    right, _ = await processors.start(crons=crons)
    await runs.until(1)
    await processors.start(crons=crons, clock=Off(off))
    await runs.until(3)
    assert ANEW not in caplog.text
    await runs.until_each_second()
    assert abs(await pointer(right) - Clock().now()) < 10 * SECOND


@pytest.mark.parametrize("off", slow_but(1, DAYS, -DAYS))
async def test_a_right_clock_takes_over_from_a_wrong_one(
    processors: Processors, off: timedelta, caplog: pytest.LogCaptureFixture, patience: None
) -> None:
    """Alone, a worker goes by its own clock; when one with the right clock comes, it gives way."""
    caplog.set_level(logging.WARNING)
    runs = Runs()
    crons = {"tick": CronDef(EACH_SECOND, runs.tick)}
    await processors.start(crons=crons, clock=Off(off))
    await runs.until(1)
    assert abs(runs.planned[-1] - (Clock().now() + off)) < 20 * SECOND
    right, _ = await processors.start(crons=crons)

    async def put_right() -> bool:
        return abs(await pointer(right) - Clock().now()) < 10 * SECOND

    await eventually(put_right, "a pointer by the right clock")
    runs.planned.clear()
    await runs.until(2)
    assert await put_right()
    assert sum(ANEW in message for message in caplog.messages) <= 2


@pytest.mark.parametrize("off", slow_but(1, DAYS, -DAYS, 90 * SECOND, -3 * SECOND))
async def test_a_wrong_clock_of_the_database_disturbs_nobody(
    processors: Processors, off: timedelta, caplog: pytest.LogCaptureFixture
) -> None:
    """Where all workers agree and it does not, they go by their own, each occurrence once."""
    caplog.set_level(logging.WARNING)
    runs = Runs()
    crons = {"tick": CronDef(EACH_SECOND, runs.tick, misfire="all")}
    for _ in range(2):
        await processors.start(crons=crons, clock=Off(off))
    await runs.until(3)
    assert ANEW not in caplog.text
    await runs.until_each_second()


async def test_a_clock_that_is_set_right_fires_on(processors: Processors) -> None:
    """In the same process, without a restart."""
    clock, runs = Off(timedelta(hours=2)), Runs()
    await processors.start(crons={"tick": CronDef(EACH_SECOND, runs.tick)}, clock=clock)
    await runs.until(1)
    clock.off = timedelta(0)
    runs.planned.clear()
    await runs.until(3)
    assert all(abs(each - Clock().now()) < 60 * SECOND for each in runs.planned[-2:])


async def test_a_clock_that_is_set_back_during_a_pass_keeps_nobody_asleep(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pointer that it has just made lies far ahead by then: the next pass comes soon."""
    clock, runs = Off(timedelta(hours=2)), Runs()
    processor = await processors.make(crons={"tick": CronDef(EACH_SECOND, runs.tick)}, clock=clock)
    store = store_of(processor)
    remove = store.crons.remove_occurrences

    async def set_back(*arguments: Any) -> int:
        clock.off = timedelta(0)
        return await remove(*arguments)

    monkeypatch.setattr(store.crons, "remove_occurrences", set_back)
    await processors.worker(processor)
    await runs.until(2)
