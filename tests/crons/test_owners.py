"""Whose a cron is: written rarely, by whoever comes first, of this version or another."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from job_processor import CronDef
from job_processor.settings import CRON_LISTED_INTERVAL
from job_processor.store.owners import KIND
from tests.crons.clocks import SetClock, at, scheduler_of, started_engine
from tests.crons.owners import (
    DAY,
    HOUR,
    TICK,
    age,
    change,
    left,
    owner_of,
    settled_down,
    waiting,
    watcher,
)
from tests.definitions import nothing
from tests.processors import Processors


async def test_that_it_is_listed_is_written_rarely(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by each pass, but each few minutes, and where what is there lies in the future."""
    clock = SetClock()
    engine = await started_engine(processors, clock, crons=TICK)
    scheduler = scheduler_of(engine)
    await scheduler.schedule()
    await scheduler.schedule()
    written = 0
    put = engine.store.settings.put

    async def count(*arguments: Any) -> bool:
        nonlocal written
        written += 1
        return await put(*arguments)

    monkeypatch.setattr(engine.store.settings, "put", count)
    for _ in range(10):
        await scheduler.schedule()
    assert written == 0
    for step in (timedelta(seconds=CRON_LISTED_INTERVAL), -10 * DAY):
        await age(engine.store, step)
        written = 0
        for _ in range(3):
            await scheduler.schedule()
        assert written == 1
        owner = await owner_of(engine.store)
        assert owner is not None
        assert owner.listed_at is not None
        assert abs(await engine.store.ping() - owner.listed_at) < timedelta(minutes=1)


async def test_an_owner_of_an_earlier_version_gets_its_hour(processors: Processors) -> None:
    """One that does not say when it was listed last counts from the first look."""
    clock = SetClock()
    await left(processors, clock)
    engine, scheduler = await watcher(processors, clock)
    setting = (await engine.store.settings.all(KIND))["tick"]
    earlier = {name: value for name, value in setting.items() if name != "listed_at"}
    assert await engine.store.settings.put(KIND, "tick", earlier, setting)
    await settled_down(scheduler)
    assert await waiting(engine) == at(5)
    owner = await owner_of(engine.store)
    assert owner is not None
    assert owner.listed_at is not None


async def test_what_a_later_version_keeps_with_it_stays(processors: Processors) -> None:
    """Fields that this version does not know neither get lost nor keep it from writing."""
    clock = SetClock()
    engine = await started_engine(processors, clock, crons=TICK)
    scheduler = scheduler_of(engine)
    await scheduler.schedule()
    await change(engine.store, {"colour": "green"})
    await age(engine.store, HOUR)
    await scheduler.schedule()
    setting = (await engine.store.settings.all(KIND))["tick"]
    assert setting["colour"] == "green"
    assert await engine.store.ping() - setting["listed_at"] < HOUR


async def test_whoever_loses_the_race_for_an_owner_schedules_too(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks again at once: no cron hangs on the one worker that was faster."""
    clock = SetClock()
    first = await started_engine(processors, clock, crons=TICK)
    second = await started_engine(processors, clock, crons=TICK)
    put, lost = second.store.settings.put, 0

    async def too_late(*arguments: Any) -> bool:
        nonlocal lost
        if not lost:
            lost += 1
            await scheduler_of(first).schedule()
        return await put(*arguments)

    monkeypatch.setattr(second.store.settings, "put", too_late)
    assert await scheduler_of(second).schedule() == at(5)[0]
    assert lost == 1


async def test_an_older_worker_looks_again_when_the_newer_one_should_have_planned(
    processors: Processors,
) -> None:
    """It takes over when the newer version is rolled back, and not half a minute later."""
    clock = SetClock()
    old = await started_engine(processors, clock, crons={"tick": CronDef("* * * * *", nothing)})
    await scheduler_of(old).schedule()
    new = await started_engine(processors, clock, crons=TICK)
    await scheduler_of(new).schedule()
    due = await scheduler_of(old).schedule()
    assert due is not None
    assert at(5)[0] < due <= at(5)[0] + timedelta(seconds=2)
