"""Crons beside Node's scheduler, which moves what is due and knows none of our definitions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from bson import ObjectId
from pymongo import AsyncMongoClient

from job_processor import CronDef, Event, EventKind, SharedDatabaseError
from job_processor.crons.scheduler import Scheduler
from job_processor.models import Cron, CronTask, cron_id, occurrence_id
from job_processor.node.crons import SharedCrons
from job_processor.store.hints import ANYTHING, Hint
from job_processor.store.owners import KIND
from tests.crons.clocks import SetClock, scheduler_of, started_engine, tasks
from tests.definitions import nothing
from tests.node.databases import install_node_validator, side_of
from tests.processors import Processors
from tests.samples import NOW, SECOND, cron, occurrence

EXPRESSION = "0 3 * * *"
BEFORE = datetime(2026, 3, 2, 12, 0, 30, 500000, tzinfo=UTC)
"""Now, in the tests; between 3 h and 3 h, in whatever zone."""

IN_TOKYO = datetime(2026, 3, 2, 18, tzinfo=UTC)
IN_PARIS = datetime(2026, 3, 3, 2, tzinfo=UTC)
"""When it is 3 h there next."""

DAY = timedelta(days=1)


def shared(*, node: bool = True) -> SharedCrons:
    """Return what a scheduler remembers, on a database that has Node's validator or not."""
    process: Any = SimpleNamespace(parts=None)
    ownership: Any = None
    side: Any = SimpleNamespace(refuses_own_fields=node)
    return SharedCrons(process, ownership, side)


def test_a_cron_that_node_has_just_written_is_left_for_a_moment() -> None:
    """Its occurrence may follow; the next pass, which comes soon, takes what there is."""
    crons = shared()
    assert crons.is_being_written(cron(updated_at=NOW), NOW + SECOND)
    assert crons.pause(30) == 2
    assert not crons.is_being_written(cron(updated_at=NOW), NOW + 2 * SECOND)
    assert crons.pause(30) == 30


@pytest.mark.parametrize(
    ("found", "node"),
    [
        (cron(updated_at=NOW - 3 * SECOND), True),  # whoever did it has had the time to insert
        (cron(updated_at=NOW + 3 * SECOND), True),  # its clock is another one: nobody waits for it
        (cron(updated_at=NOW.replace(microsecond=0)), True),  # we wrote it
        (cron(updated_at=NOW), False),  # nobody but ours is there
        (None, True),
    ],
)
def test_any_other_cron_is_not_left(found: Cron | None, node: bool) -> None:
    """Written long ago, by us, on a database of ours alone, or gone."""
    assert not shared(node=node).is_being_written(found, NOW)


@pytest.mark.parametrize(
    ("hint", "at_once"),
    [
        (Hint.NODE, True),
        (Hint.NODE | Hint.WORK, True),
        (Hint.WORK | Hint.SETTINGS, False),
        (ANYTHING, False),
        (ANYTHING | Hint.NODE, True),
    ],
)
def test_only_a_node_worker_calls_for_a_pass(hint: Hint, at_once: bool) -> None:
    """That one of us changed anything is said after every write on SQLite, and calls for none."""
    assert shared().hear(hint) is at_once


@pytest.fixture
async def on_mongo(mongo_db_url: str) -> AsyncIterator[Processors]:
    """Makes processors, on MongoDB alone: Node knows no other store."""
    async with Processors(mongo_db_url) as processors:
        yield processors


class Beside:
    """One cron of ours on a database that Node has set up, and what Node does to it."""

    def __init__(self, processors: Processors, db_url: str, zone: str, *, exclusive: bool) -> None:
        self.clock = SetClock(BEFORE)
        self._processors, self._db_url = processors, db_url
        self._crons = {"ours": CronDef(EXPRESSION, nothing, timezone=zone, exclusive=exclusive)}

    async def open(self) -> Scheduler:
        """Return a scheduler after its first pass."""
        crons = self._crons
        self.engine = await started_engine(
            self._processors, self.clock, db=self._db_url, crons=crons
        )
        await install_node_validator(self._db_url)
        await side_of(self.engine.store).look()
        scheduler = scheduler_of(self.engine)
        await scheduler.schedule()
        return scheduler

    async def another(self) -> Scheduler:
        """Return a scheduler that remembers nothing, some time later."""
        self.clock.forward(seconds=10)
        return scheduler_of(self.engine)

    async def node_moves(self, pointer: datetime) -> CronTask:
        """Do what Node's scheduler does to each cron that is due; return its occurrence."""
        async with AsyncMongoClient[dict[str, Any]](self._db_url) as client:
            jobs = client.get_default_database()["job_processor.jobs"]
            moved = {"scheduled_for": pointer, "updated_at": self.clock.now()}
            await jobs.update_one({"_id": cron_id("ours")}, {"$set": moved})
        planned = occurrence("ours", id=ObjectId(), at=self.clock.now(), scheduled_for=pointer)
        await self.engine.store.intake.insert([planned])
        return planned

    async def node_begins(self) -> None:
        """Do what the start of a Node worker does that defines the cron."""
        async with AsyncMongoClient[dict[str, Any]](self._db_url) as client:
            jobs = client.get_default_database()["job_processor.jobs"]
            touched = {"cron_string": EXPRESSION, "updated_at": self.clock.now()}
            await jobs.update_one({"_id": cron_id("ours")}, {"$set": touched})

    async def standing(self) -> list[tuple[ObjectId, datetime]]:
        """Return what is planned, by id and time."""
        return [(task.id, task.scheduled_for) for task in await tasks(self.engine)]

    async def cron(self) -> Cron:
        """Return the cron as it stands."""
        (found,) = await self.engine.store.crons.all()
        return found

    async def is_of_both(self) -> bool:
        """True when it is known that Node defines it, too."""
        owners = await self.engine.store.settings.all(KIND)
        return bool(owners["ours"].get("of_both"))


def ours(moment: datetime) -> tuple[ObjectId, datetime]:
    """Return an occurrence of ours as `standing` does."""
    return occurrence_id("ours", moment), moment


@pytest.mark.mongo
async def test_what_node_plans_in_its_own_zone_is_planned_anew(
    on_mongo: Processors, mongo_db_url: str
) -> None:
    """It moves a cron that only we define to 3 h in Paris: it fires at 3 h in Tokyo, stays ours."""
    beside = Beside(on_mongo, mongo_db_url, "Asia/Tokyo", exclusive=False)
    await beside.open()
    beside.clock.moment = IN_TOKYO + timedelta(seconds=1, milliseconds=250)
    await beside.node_moves(IN_PARIS)
    scheduler = await beside.another()
    await scheduler.schedule()
    assert await beside.standing() == [ours(IN_TOKYO), ours(IN_TOKYO + DAY)]
    assert (await beside.cron()).id == cron_id("ours")
    assert (await beside.cron()).scheduled_for == IN_TOKYO + DAY
    await scheduler.schedule()
    assert not await beside.is_of_both()


@pytest.mark.mongo
async def test_what_node_plans_at_the_right_time_stays(
    on_mongo: Processors, mongo_db_url: str
) -> None:
    """In its own zone it is right, and nothing is planned beside it."""
    beside = Beside(on_mongo, mongo_db_url, "Europe/Paris", exclusive=False)
    await beside.open()
    beside.clock.moment = IN_PARIS + timedelta(milliseconds=250)
    planned = await beside.node_moves(IN_PARIS + DAY)
    await (await beside.another()).schedule()
    assert await beside.standing() == [ours(IN_PARIS), (planned.id, IN_PARIS + DAY)]
    assert not await beside.is_of_both()


@pytest.mark.mongo
async def test_what_node_plans_of_an_exclusive_cron_is_made_exclusive(
    on_mongo: Processors, mongo_db_url: str
) -> None:
    """Node does not know that it is: ours takes its place, which is no sign of a start of Node."""
    beside = Beside(on_mongo, mongo_db_url, "Europe/Paris", exclusive=True)
    await beside.open()
    await beside.node_moves(IN_PARIS)  # beside ours, for the same time
    await (await beside.another()).schedule()
    assert await beside.standing() == [ours(IN_PARIS)]
    await (await beside.another()).schedule()
    assert not await beside.is_of_both()


@pytest.mark.mongo
@pytest.mark.parametrize("zone", ["Europe/Paris", "Asia/Tokyo"])
async def test_a_start_of_node_that_nobody_saw_is_noticed_later(
    on_mongo: Processors, mongo_db_url: str, zone: str
) -> None:
    """By a worker that comes after it: Node defines the cron, and in another zone is given it."""
    beside = Beside(on_mongo, mongo_db_url, zone, exclusive=False)
    await beside.open()
    await beside.node_begins()
    scheduler = await beside.another()
    heard: list[Event] = []
    beside.engine.events.listen(heard.append)
    await scheduler.schedule()
    if zone == "Europe/Paris":
        assert await beside.is_of_both()
        assert heard == []
        return
    (event,) = heard
    assert event.kind is EventKind.CRON_REFUSED
    assert isinstance(event.error, SharedDatabaseError)
    assert (await beside.cron()).id != cron_id("ours")
    assert await beside.standing() == [ours(IN_TOKYO)]


@pytest.mark.mongo
async def test_what_we_write_is_signed(on_mongo: Processors, mongo_db_url: str) -> None:
    """Whoever writes after us shows, so our own passes never look like a start of Node."""
    beside = Beside(on_mongo, mongo_db_url, "Asia/Tokyo", exclusive=False)
    scheduler = await beside.open()
    for _ in range(2):
        assert (await beside.cron()).updated_at == beside.clock.now().replace(microsecond=0)
        beside.clock.moment = (await beside.cron()).scheduled_for + timedelta(milliseconds=1)
        await scheduler.schedule()
    assert not await beside.is_of_both()
