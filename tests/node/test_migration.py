"""The move from the Node package: a look changes nothing, a move may be repeated and undone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo import AsyncMongoClient

from job_processor import (
    CronDef,
    InvalidArgumentError,
    JobDef,
    JobProcessor,
    MigrationError,
    MigrationReport,
    Retry,
)
from job_processor.models import cron_id, occurrence_id
from tests.node.databases import fixture
from tests.processors import Processors, eventually

pytestmark = pytest.mark.mongo

NOW = datetime.now(UTC).replace(microsecond=0)
TOMORROW = NOW + timedelta(days=1)


class NodeDatabase:
    """A database as the Node package leaves it: its validator, a cron, a killed job."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(url, tz_aware=True)
        self.database = self.client.get_default_database()
        self.jobs = self.database["job_processor.jobs"]
        self.cron_id, self.task_id = ObjectId(), ObjectId()

    async def fill(self) -> None:
        """Write what Node writes."""
        await self.database.create_collection("job_processor.jobs")
        times = {"created_at": NOW, "updated_at": NOW, "scheduled_for": TOMORROW}
        job: dict[str, Any] = {"worker_id": None, "started_at": None, **times}
        cron = {"type": "cron", "status": "active", "cron_string": "0 3 * * *", **times}
        task = {"type": "cron_task", "status": "pending", **job}
        killed = {"type": "simple", "status": "killed", "payload": {}, "sync": False, **job}
        await self.jobs.insert_many(
            [
                {"_id": self.cron_id, "name": "nightly", **cron},
                {"_id": self.task_id, "name": "nightly", **task},
                {"_id": ObjectId(), "name": "mail", **killed},
            ]
        )
        await self.database.command(
            "collMod", "job_processor.jobs", **fixture("node_validator.json")
        )

    async def add_worker(self, tags: list[str] | None, age: int = 0) -> None:
        """Register a Node worker that was seen so many seconds ago."""
        seen = datetime.now(UTC) - timedelta(seconds=age)
        document = {"hostname": "node-host", "lastSeen": seen, "tags": tags}
        await self.database["job_processor.workers"].insert_one(document)

    async def validator(self) -> Any:
        """Return the validator that is in force."""
        (info,) = await (
            await self.database.list_collections(filter={"name": "job_processor.jobs"})
        ).to_list()
        return info["options"].get("validator")

    async def everything(self) -> Any:
        """Return all documents, indexes and validators."""
        names = sorted(await self.database.list_collection_names())
        return [
            (
                name,
                await self.database[name].find(sort=[("_id", 1)]).to_list(),
                await self.database[name].index_information(),
            )
            for name in names
        ] + [await self.validator()]


@pytest.fixture
async def node_database(mongo_db_url: str) -> AsyncIterator[NodeDatabase]:
    """A database that the Node package has used."""
    made = NodeDatabase(mongo_db_url)
    await made.fill()
    yield made
    await made.client.close()


async def move(url: str, **options: bool) -> MigrationReport:
    """Do as the command line does."""
    processor = JobProcessor(url)
    try:
        return await processor.migrate_from_node(**options)
    finally:
        await processor.close()


async def test_a_look_changes_nothing(node_database: NodeDatabase) -> None:
    """No document, no index, no collection, no validator; and it tells what is there."""
    before = await node_database.everything()
    report = await move(node_database.url)
    assert await node_database.everything() == before
    assert report.problems == ()
    assert report.survey.validator == "node"
    assert report.can_be_undone
    told = " ".join(report.changes)
    for change in ("claim", "1 killed jobs", "take over the crons 'nightly'", "validator"):
        assert change in told
    value = report.as_json()
    assert value["jobs"] == [
        {"name": "nightly", "type": "cron_task", "counts": {"pending": 1}},
        {"name": "mail", "type": "simple", "counts": {"killed": 1}},
    ]
    assert [(cron["name"], cron["made_by"]) for cron in value["crons"]] == [("nightly", "node")]


async def test_a_living_node_worker_without_tags_stands_in_the_way(
    node_database: NodeDatabase,
) -> None:
    """A dead one does not, nor one with tags; what is refused changes nothing."""
    await node_database.add_worker(["main"])
    await node_database.add_worker(None, age=400)
    assert (await move(node_database.url)).problems == ()
    await node_database.add_worker(None)
    before = await node_database.everything()
    (problem,) = (await move(node_database.url)).problems
    assert "node-host has no workerTags" in problem
    with pytest.raises(MigrationError, match="workerTags"):
        await move(node_database.url, apply=True)
    assert await node_database.everything() == before


async def test_beside_living_node_workers_what_is_theirs_is_left(
    node_database: NodeDatabase,
) -> None:
    """Indexes and ends are made; crons and validator wait for the end of the last Node worker."""
    await node_database.add_worker(["main"])
    report = await move(node_database.url, apply=True)
    assert report.applied
    assert "the crons 'nightly'" in " ".join(report.left)
    assert await node_database.validator() == fixture("node_validator.json")["validator"]
    assert await node_database.jobs.find_one({"_id": node_database.cron_id})
    assert await node_database.jobs.count_documents({"status": "killed", "ended_at": None}) == 0
    assert "claim" in await node_database.jobs.index_information()


async def test_a_move_is_made_and_may_be_repeated(node_database: NodeDatabase) -> None:
    """The cron is ours at the same time, own fields are allowed, a repetition finds nothing."""
    report = await move(node_database.url, apply=True)
    assert report.survey.validator == "ours"
    (cron,) = await node_database.jobs.find({"type": "cron"}).to_list()
    assert (cron["_id"], cron["scheduled_for"]) == (cron_id("nightly"), TOMORROW)
    after = await node_database.everything()
    again = await move(node_database.url, apply=True)
    assert again.changes == ()
    assert await node_database.everything() == after


async def test_a_move_that_was_cut_off_is_finished(node_database: NodeDatabase) -> None:
    """A crash between the two cron documents leaves both; a repetition leaves ours."""
    await move(node_database.url, apply=True)
    (ours,) = await node_database.jobs.find({"type": "cron"}).to_list()
    await node_database.jobs.insert_one({**ours, "_id": node_database.cron_id})
    assert (await move(node_database.url, apply=True)).changes
    assert await node_database.jobs.find({"type": "cron"}).to_list() == [ours]


async def test_our_workers_go_on_with_the_crons(node_database: NodeDatabase) -> None:
    """The one occurrence that Node had planned stands, under our id, and retries are allowed."""
    await move(node_database.url, apply=True)

    async def nothing() -> None:
        pass

    async with Processors(node_database.url) as processors:
        crons = {"nightly": CronDef("0 3 * * *", nothing, timezone="Europe/Paris")}
        await processors.start(crons=crons, jobs={"a": JobDef(nothing, retry=Retry())})

        async def standing() -> list[Any]:
            return await node_database.jobs.find({"type": "cron_task"}).to_list()

        (task,) = await eventually(standing, "an occurrence")
    assert task["_id"] == occurrence_id("nightly", task["scheduled_for"])


async def test_a_move_is_undone_until_a_feature_is_used(node_database: NodeDatabase) -> None:
    """Node's validator comes back as it was; not once a job has a field that it refuses."""

    async def nothing() -> None:
        pass

    with pytest.raises(MigrationError, match="nothing to undo"):
        await move(node_database.url, undo=True)
    await move(node_database.url, apply=True)
    report = await move(node_database.url, undo=True)
    assert report.survey.validator == "node"
    assert await node_database.validator() == fixture("node_validator.json")["validator"]
    await move(node_database.url, apply=True)
    async with Processors(node_database.url) as processors:
        processor = await processors.make(jobs={"a": JobDef(nothing)})
        await processor.schedule_job("a", priority=3)
    assert not (await move(node_database.url)).can_be_undone
    with pytest.raises(MigrationError, match="priority"):
        await move(node_database.url, undo=True)


async def test_another_index_of_the_same_name_stands_in_the_way(
    node_database: NodeDatabase,
) -> None:
    """One that a promise rests on is named, before anything is changed."""
    await node_database.jobs.create_index([("name", 1)], name="claim")
    (problem,) = (await move(node_database.url)).problems
    assert "'claim'" in problem


async def test_indexes_that_only_node_needs_are_told_of_and_left(
    node_database: NodeDatabase,
) -> None:
    """They are made while Node is there, stay after the move, and come back to nobody who drops."""
    database = node_database.database
    own = {"type_1_name_1", "type_1_scheduled_for_1", "worker_id_1_ack_1_created_at_1"}
    (change,) = (each for each in (await move(node_database.url)).changes if "indexes" in each)
    assert all(name in change for name in own)
    assert not (await move(node_database.url, apply=True)).problems

    async def there() -> set[str]:
        jobs = await node_database.jobs.index_information()
        return own & (jobs.keys() | await database["job_processor.signals"].index_information())

    assert await there() == own
    (warning,) = (each for each in (await move(node_database.url)).warnings if "indexes" in each)
    assert all(name in warning for name in own)
    await node_database.jobs.drop_index("type_1_name_1")
    report = await move(node_database.url, apply=True)
    assert await there() == own - {"type_1_name_1"}
    assert "type_1_name_1" not in " ".join((*report.changes, *report.warnings))
    assert "type_1_name_1" not in {each["name"] for each in report.as_json()["indexes"]}


async def test_indexes_of_node_are_its_own_while_it_lives(node_database: NodeDatabase) -> None:
    """Nobody is told to drop them."""
    await move(node_database.url, apply=True)
    await node_database.add_worker(["main"])
    assert not any("indexes" in each for each in (await move(node_database.url)).warnings)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///jobs.db"])
async def test_only_mongodb_has_a_node_side(url: str) -> None:
    """SQLite is refused with the database that is allowed, and both directions at once as well."""
    with pytest.raises(InvalidArgumentError, match=r"db.*MongoDB"):
        await move(url)
    with pytest.raises(InvalidArgumentError, match="one of apply and undo"):
        await move(url, apply=True, undo=True)
