"""A scheduler asks its neighbour, whoever that is and on whichever store, and obeys each answer."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from job_processor import Cron, CronDef
from job_processor.crons.neighbour import Alone, Neighbour
from job_processor.crons.ownership import Ownership
from job_processor.crons.scheduler import Scheduler
from job_processor.models import occurrence_id
from job_processor.store.hints import Hint
from job_processor.store.owners import Owner
from job_processor.worker.engine import Engine
from job_processor.worker.pauses import PauseWatch
from tests.crons.clocks import SetClock, at, started_engine, tasks
from tests.crons.owners import HOUR, QUICKER, age, left, owner_of, settled_down, waiting
from tests.definitions import nothing
from tests.processors import Processors, eventually

TICK = {"tick": CronDef("* * * * *", nothing)}


class Somebody(Alone):
    """A neighbour that answers as it is told to, and as if it were not there by default."""

    def __init__(self) -> None:
        self.looks = 0
        self.holding = self.disagreeing = self.calling = self.taking_over = False
        self.undone: list[datetime] = []
        self.of_its_own: set[datetime] = set()

    def hear(self, hint: Hint) -> bool:
        """Call for a pass at each hint, when told to."""
        return self.calling

    async def look(self) -> None:
        """Count."""
        self.looks += 1

    def holds(self, cron: Cron, owner: Owner | None, definition: CronDef, now: datetime) -> bool:
        """Hold every cron, or none."""
        return self.holding

    async def agree(
        self, name: str, cron: Cron | None, owner: Owner, definition: CronDef
    ) -> Owner | None:
        """Disagree about every cron that stands, or about none."""
        return None if self.disagreeing and cron is not None else owner

    async def take_back(
        self, cron: Cron, owner: Owner, definition: CronDef, *, made_here: bool
    ) -> bool:
        """Find every pointer undone that is not an occurrence of the definition."""
        if not made_here:
            self.undone.append(cron.scheduled_for)
        return not made_here

    async def planned(self, name: str, moments: Collection[datetime]) -> set[datetime]:
        """Have planned some of them."""
        return self.of_its_own & set(moments)

    async def takes_over(self, cron: Cron, owner: Owner, *, abandoned: bool) -> bool:
        """Go on with what is abandoned, when told to."""
        return self.taking_over and abandoned


def beside(engine: Engine, neighbour: Neighbour) -> Scheduler:
    """Return a scheduler with this neighbour."""
    return Scheduler(engine, PauseWatch(engine), neighbour)


async def standing(engine: Engine) -> list[datetime]:
    """Return for when occurrences stand, whatever became of them."""
    return [task.scheduled_for for task in await tasks(engine)]


def test_alone_answers_every_question() -> None:
    """Where a question is added, whoever is alone has an answer of its own to it."""
    questions = {name for name, _ in inspect.getmembers(Neighbour, inspect.isfunction)}
    assert {name for name in questions if not name.startswith("_")} <= vars(Alone).keys()


async def test_a_cron_that_it_holds_is_not_touched(processors: Processors) -> None:
    """Its pointer stays though it is due, and it is taken up again once it is let go of."""
    clock, somebody = SetClock(), Somebody()
    engine = await started_engine(processors, clock, crons=TICK)
    scheduler = beside(engine, somebody)
    await scheduler.schedule()
    clock.forward(minutes=1)
    somebody.holding = True
    await scheduler.schedule()
    (cron,) = await engine.store.crons.all()
    assert (cron.scheduled_for, await standing(engine)) == (at(1)[0], at(1))
    somebody.holding = False
    await scheduler.schedule()
    assert await standing(engine) == at(1, 2)


async def test_a_cron_on_which_it_does_not_agree_is_its_own(processors: Processors) -> None:
    """No occurrence is planned of it any more."""
    clock, somebody = SetClock(), Somebody()
    engine = await started_engine(processors, clock, crons=TICK)
    scheduler = beside(engine, somebody)
    await scheduler.schedule()
    somebody.disagreeing = True
    clock.forward(minutes=1)
    assert await scheduler.schedule() is None
    assert await standing(engine) == at(1)


async def test_what_it_did_to_a_cron_of_ours_is_planned_anew(processors: Processors) -> None:
    """A pointer that it moved and that is taken back counts for nothing."""
    clock, somebody = SetClock(), Somebody()
    engine = await started_engine(processors, clock, crons=TICK)
    scheduler = beside(engine, somebody)
    await scheduler.schedule()
    (cron,) = await engine.store.crons.all()
    moved = cron.scheduled_for + timedelta(seconds=30)
    assert await engine.store.crons.update(cron, cron.cron_string, moved, clock.now())
    assert await scheduler.schedule() == at(1)[0]
    assert somebody.undone == [moved]


async def test_what_it_has_planned_is_not_planned_beside_it(processors: Processors) -> None:
    """The pointer moves on; the occurrence is the neighbour's, and only that one."""
    clock, somebody = SetClock(), Somebody()
    somebody.of_its_own = set(at(1))
    engine = await started_engine(processors, clock, crons=TICK)
    scheduler = beside(engine, somebody)
    assert await scheduler.schedule() == at(1)[0]
    assert await standing(engine) == []
    clock.forward(minutes=1)
    await scheduler.schedule()
    assert await standing(engine) == at(2)


@pytest.mark.parametrize("takes", [True, False])
async def test_it_may_go_on_with_a_cron_that_nobody_lists(
    processors: Processors, takes: bool
) -> None:
    """Asked once that is certain; what it takes is not laid down, and keeps its occurrence."""
    clock, somebody = SetClock(), Somebody()
    somebody.taking_over = takes
    await left(processors, clock)
    engine = await started_engine(
        processors, clock, crons={"other": CronDef("0 13 * * *", nothing)}, **QUICKER
    )
    scheduler = beside(engine, somebody)
    await settled_down(scheduler)
    await age(engine.store, HOUR)
    await settled_down(scheduler)
    assert bool(await waiting(engine)) is takes
    owner = await owner_of(engine.store)
    assert owner is not None
    assert owner.dormant is not takes


async def test_it_calls_for_a_pass(processors: Processors) -> None:
    """At a hint that means something to it; before each pass it is asked to look."""
    clock, somebody = SetClock(), Somebody()
    engine = await started_engine(processors, clock, crons={"tick": CronDef("@daily", nothing)})
    running = asyncio.create_task(beside(engine, somebody).run())

    async def looked(times: int) -> bool:
        return somebody.looks >= times

    await eventually(lambda: looked(1), "a first look")
    somebody.calling = True
    await engine.store.settings.put("of a test", "a", {}, None)  # a write is a hint
    await eventually(lambda: looked(2), "a look before a pass that a hint has called for")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_whoever_removes_a_cron_finds_it_back_where_it_stood(processors: Processors) -> None:
    """A scheduler remembers the pointer of each, so that an occurrence that is due is not lost."""
    clock = SetClock()
    engine = await started_engine(processors, clock, crons=TICK)
    scheduler = beside(engine, Alone())
    await scheduler.schedule()
    await engine.store.crons.remove("tick")
    clock.forward(minutes=2)
    await scheduler.schedule()
    assert occurrence_id("tick", at(1)[0]) in {task.id for task in await tasks(engine)}


async def test_what_it_knows_of_an_owner_counts(processors: Processors) -> None:
    """An owner that both define is used from the same pass on: its pointer is not judged."""
    clock, somebody = SetClock(), Somebody()
    engine = await started_engine(processors, clock, crons=TICK)
    ownership = Ownership(engine.parts)

    async def agree(
        name: str, cron: Cron | None, owner: Owner, definition: CronDef
    ) -> Owner | None:
        return await ownership.write(name, owner, replace(owner, of_both=True))

    scheduler = beside(engine, somebody)
    await scheduler.schedule()
    somebody.agree = agree  # type: ignore[method-assign]
    (cron,) = await engine.store.crons.all()
    far = at(5)[0]
    assert await engine.store.crons.update(cron, cron.cron_string, far, clock.now())
    assert await scheduler.schedule() == far
