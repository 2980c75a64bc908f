"""Crons with an interval, on the engine that plans those with an expression."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from job_processor import CronDef, JobProcessor
from job_processor.testing import in_memory
from tests.crons.clocks import START, SetClock, scheduler_of, started_engine, tasks
from tests.definitions import nothing
from tests.node.databases import install_node_validator, side_of
from tests.processors import Processors

EVERY = timedelta(seconds=45)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def crons(**options: Any) -> dict[str, CronDef]:
    """Return one cron that fires each 45 seconds from noon on."""
    return {"tick": CronDef(every=EVERY, anchor=NOON, handler=nothing, **options)}


async def planned(engine: Any) -> list[timedelta]:
    """Return how long after noon its occurrences are planned."""
    return [task.scheduled_for - NOON for task in await tasks(engine)]


async def test_an_interval_is_planned_like_an_expression(processors: Processors) -> None:
    """The next occurrence stands in the queue; whatever the moment of a pass, there is no drift."""
    clock = SetClock()  # half a minute past noon
    engine = await started_engine(processors, clock, crons=crons())
    assert await scheduler_of(engine).schedule() == NOON + EVERY
    clock.forward(seconds=20.123)
    assert await scheduler_of(engine).schedule() == NOON + 2 * EVERY
    assert await planned(engine) == [EVERY, 2 * EVERY]
    (cron,) = await engine.store.crons.all()
    assert cron.cron_string == "@every 45s from 2026-03-02T12:00:00+00:00"


@pytest.mark.parametrize(
    ("misfire", "expected"), [("once", [1, 81]), ("skip", [1, 81]), ("all", [*range(1, 82)])]
)
async def test_what_an_outage_leaves_to_do_is_decided_by_misfire(
    processors: Processors, misfire: Any, expected: list[int]
) -> None:
    """Once and skip add none to the standing one, all adds those between."""
    clock = SetClock()
    engine = await started_engine(processors, clock, crons=crons(misfire=misfire))
    await scheduler_of(engine).schedule()
    clock.forward(hours=1)
    await scheduler_of(engine).schedule()
    assert await planned(engine) == [each * EVERY for each in expected]


async def test_a_changed_interval_is_planned_anew(processors: Processors) -> None:
    """What the earlier one left in the queue goes; an anchor alone is a change, too."""
    clock = SetClock()
    engine = await started_engine(processors, clock, crons=crons())
    await scheduler_of(engine).schedule()
    moved = NOON + timedelta(seconds=7)
    changed = {"tick": CronDef(every=45, anchor=moved, handler=nothing)}
    another = await started_engine(processors, clock, crons=changed)
    await scheduler_of(another).schedule()
    assert await planned(another) == [timedelta(seconds=52)]


async def test_a_clock_that_was_ahead_leaves_no_pointer_behind(processors: Processors) -> None:
    """Set right by an hour, the cron is planned anew from now on."""
    clock = SetClock()
    engine = await started_engine(processors, clock, crons=crons())
    await scheduler_of(engine).schedule()
    clock.forward(hours=1)
    await scheduler_of(engine).schedule()
    clock.moment = START
    pointer = await scheduler_of(engine).schedule()
    assert pointer is not None
    assert pointer < START + EVERY + timedelta(seconds=1)


async def test_it_is_listed_and_run_by_hand(processors: Processors) -> None:
    """`get_crons` tells its next five moments; `run_cron` puts one beside them."""
    clock = SetClock()
    engine = await started_engine(processors, clock, crons=crons())
    await scheduler_of(engine).schedule()
    looker = await processors.make(clock=clock)
    (cron,) = await looker.get_crons()
    assert cron.upcoming == tuple(NOON + each * EVERY for each in range(1, 6))
    task = await looker.run_cron("tick")
    assert (task.name, task.scheduled_for) == ("tick", START)


async def test_the_testing_kit_moves_its_clock_through_it() -> None:
    """Each 45 seconds of the clock is a run, whatever the worker does in between."""
    processor = JobProcessor("sqlite://")
    runs: list[object] = []

    @processor.cron(every=EVERY, anchor=NOON)
    def tick() -> None:
        runs.append(None)

    async with in_memory(processor, start=NOON) as tester:
        for _ in range(3):
            tester.clock.move(EVERY)
            await tester.drain()
    assert len(runs) == 3


@pytest.mark.mongo
async def test_node_finds_no_interval_to_stop_at(mongo_db_url: str) -> None:
    """Where Node comes later, the cron is taken out of the database, and refused."""
    clock = SetClock()
    async with Processors(mongo_db_url) as processors:
        engine = await started_engine(processors, clock, crons=crons())
        scheduler = scheduler_of(engine)
        await scheduler.schedule()
        await install_node_validator(mongo_db_url)
        await side_of(engine.store).look()
        assert await scheduler.schedule() is None
        assert await engine.store.crons.all() == []
        async with AsyncMongoClient[dict[str, Any]](mongo_db_url) as client:
            jobs = client.get_default_database()["job_processor.jobs"]
            assert await jobs.count_documents({}) == 0
