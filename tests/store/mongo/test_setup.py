"""What `setup()` makes, accepts and refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import WriteError

from job_processor.errors import StoreSetupError
from job_processor.store.mongo import MongoStore, open_mongo, schema
from job_processor.store.mongo.documents import cron_document, job_document
from job_processor.store.requests import JobQuery
from tests.node.databases import fixture
from tests.samples import NOW, claim, cron, simple, worker
from tests.store.mongo.conftest import Commands, Database

pytestmark = pytest.mark.mongo

JOBS = "job_processor.jobs"
NODE_INDEXES: dict[str, list[dict[str, Any]]] = fixture("node_indexes.json")
OF_NODE_ALONE = {
    "jobs": {"status_1", "type_1_name_1", "type_1_scheduled_for_1"},
    "workers": set(),
    "signals": {"worker_id_1_ack_1_created_at_1"},
}
"""What no statement of ours walks."""

OURS = {
    "jobs": {
        "claim": {"name": 1, "status": 1, "priority": -1, "scheduled_for": 1},
        "running_by_worker": {"worker_id": 1, "status": 1},
        "newest_by_name": {"name": 1, "status": 1, "_id": -1},
        "newest_by_type": {"type": 1, "status": 1, "_id": -1},
        "killed_by_end": {"status": 1, "ended_at": 1},
    },
    "workers": {},
    "signals": {"unacknowledged_by_job": {"job_id": 1}},
}


@pytest.fixture
async def fresh(mongo_db_url: str, database: Database) -> AsyncIterator[MongoStore]:
    """A store that is not set up, on a database that is dropped in the end."""
    store = open_mongo(mongo_db_url)
    yield store
    await store.close()


async def indexes(database: Database, collection: str) -> dict[str, dict[str, Any]]:
    """Return the indexes of a collection by name, as plain dicts without their version."""
    found = await (await database[f"job_processor.{collection}"].list_indexes()).to_list()
    return {
        index["name"]: _plain({key: value for key, value in index.items() if key != "v"})
        for index in found
    }


def _plain(value: Any) -> Any:
    return {key: _plain(each) for key, each in value.items()} if isinstance(value, dict) else value


async def current_validator(database: Database) -> dict[str, Any]:
    """Return the options of the jobs' collection."""
    (info,) = await (await database.list_collections(filter={"name": JOBS})).to_list()
    options: dict[str, Any] = info["options"]
    return options


@pytest.mark.parametrize("collection", ["jobs", "signals", "workers"])
async def test_the_indexes_are_those_of_both_and_ours(
    fresh: MongoStore, database: Database, collection: str
) -> None:
    """Those of both are made as Node makes them, ours have other keys; Node's own are not made."""
    await fresh.setup()
    found = await indexes(database, collection)
    for index in NODE_INDEXES[collection]:
        if index["name"] not in OF_NODE_ALONE[collection]:
            assert found.pop(index["name"]) == index
    del found["_id_"]
    assert {name: index["key"] for name, index in found.items()} == OURS[collection]
    node_keys = [index["key"] for index in NODE_INDEXES[collection]]
    assert not any(key in node_keys for key in OURS[collection].values())


async def _of_its_validator(database: Database) -> None:
    await database.create_collection(JOBS, **fixture("node_validator.json"))


async def _of_a_worker(database: Database) -> None:
    seen = {"hostname": "node", "lastSeen": NOW, "tags": None}
    await database["job_processor.workers"].insert_one(seen)


async def _of_a_cron(database: Database) -> None:
    made = cron_document(cron()) | {"_id": ObjectId()}
    await database[JOBS].insert_many([cron_document(cron("ours")), made])


@pytest.mark.parametrize("sign", [_of_its_validator, _of_a_worker, _of_a_cron])
async def test_where_node_is_its_indexes_are_made(
    fresh: MongoStore, database: Database, sign: Callable[[Database], Awaitable[None]]
) -> None:
    """Any one sign of it is enough, and they are exactly those that it makes."""
    await sign(database)
    await fresh.setup()
    for collection, made in NODE_INDEXES.items():
        found = await indexes(database, collection)
        assert [found[index["name"]] for index in made] == made


async def test_what_we_write_is_no_sign_of_node(store: MongoStore, database: Database) -> None:
    """A registration, a cron and a plain job of ours, which has the fields of one of Node's."""
    await store.workers.register(worker())
    await store.crons.create(cron())
    await store.intake.insert([simple()])
    await store.setup()
    for collection, names in OF_NODE_ALONE.items():
        assert not names & (await indexes(database, collection)).keys()


async def test_indexes_of_a_node_that_was_here_are_left_as_they_are(
    store: MongoStore, database: Database
) -> None:
    """What is there stays, whoever made it; what somebody has dropped is not made again."""
    await database.command("createIndexes", JOBS, indexes=NODE_INDEXES["jobs"])
    await database[JOBS].drop_index("type_1_name_1")
    before = await indexes(database, "jobs")
    await store.setup()
    assert await indexes(database, "jobs") == before


async def test_setup_twice_is_harmless(store: MongoStore, database: Database) -> None:
    """A second setup changes nothing."""
    before = await indexes(database, "jobs"), await current_validator(database)
    await store.setup()
    assert (await indexes(database, "jobs"), await current_validator(database)) == before


async def test_indexes_are_read_once(watched_database: Database, commands: Commands) -> None:
    """What is there is read once at each start, and what was just made is not read again."""
    for _ in range(2):
        store = MongoStore.from_database(watched_database)
        commands.sent.clear()
        await store.setup()
        read = [command[name] for name, command in commands.sent if name == "listIndexes"]
        assert len(read) == len(set(read)) > 1
        await store.close()


async def test_setup_keeps_a_database_that_node_has_set_up(
    fresh: MongoStore, database: Database
) -> None:
    """Where Node was first, its indexes and its validator stay exactly as they are."""
    await database.create_collection(JOBS, **fixture("node_validator.json"))
    for collection, made in NODE_INDEXES.items():
        await database.command("createIndexes", f"job_processor.{collection}", indexes=made)
    await fresh.setup()
    found = await indexes(database, "jobs")
    assert [found[index["name"]] for index in NODE_INDEXES["jobs"]] == NODE_INDEXES["jobs"]
    assert await current_validator(database) == fixture("node_validator.json")


@pytest.mark.parametrize(
    ("index", "needed"),
    [
        ({"key": {"type": 1, "name": 1}, "name": "simple_exclusive_unique"}, "'unique': True"),
        (
            {
                "key": {"type": 1, "name": 1},
                "name": "cron_task_exclusive_unique",
                "unique": True,
                "partialFilterExpression": {"type": "cron_task"},
            },
            "'concurrency.mode': 'exclusive'",
        ),
        ({"key": {"ended_at": 1}, "name": "ended_at_1"}, "'expireAfterSeconds': 7776000"),
        ({"key": {"name": 1, "status": 1}, "name": "claim"}, "'priority': -1"),
    ],
)
async def test_a_critical_index_that_differs_is_an_error(
    fresh: MongoStore, database: Database, index: dict[str, Any], needed: str
) -> None:
    """The error names the index, what is there, what is needed, and what to do."""
    await database.command("createIndexes", JOBS, indexes=[index])
    with pytest.raises(StoreSetupError) as caught:
        await fresh.setup()
    message = str(caught.value)
    assert f"the index {index['name']!r} of {JOBS} is" in message
    assert str(index["key"]) in message
    assert needed in message
    assert f"dropIndex('{index['name']}')" in message
    await database[JOBS].drop_index(index["name"])
    await fresh.setup()


async def test_an_index_that_differs_and_is_not_critical_is_a_warning(
    fresh: MongoStore, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """An index that only a dashboard needs keeps nobody from working."""
    await database.command(
        "createIndexes", JOBS, indexes=[{"key": {"x": 1}, "name": "newest_by_name"}]
    )
    await fresh.setup()
    assert "the index 'newest_by_name'" in caplog.text
    assert (await indexes(database, "jobs"))["claim"]


async def test_an_equal_index_of_another_name_serves(fresh: MongoStore, database: Database) -> None:
    """MongoDB has one index per key and options, so ours under another name is accepted."""
    key = {"name": 1, "status": 1, "priority": -1, "scheduled_for": 1}
    await database.command("createIndexes", JOBS, indexes=[{"key": key, "name": "by_hand"}])
    await fresh.setup()
    assert "claim" not in await indexes(database, "jobs")
    await fresh.intake.insert([simple()])
    assert len(await fresh.queue.claim(claim())) == 1


async def test_a_partial_filter_is_compared_by_its_meaning(
    fresh: MongoStore, database: Database
) -> None:
    """The order of the states in a unique index makes no difference."""
    index = next(each for each in NODE_INDEXES["jobs"] if each["name"] == "simple_exclusive_unique")
    states = {"$in": ["running", "paused", "pending"]}
    index = index | {
        "partialFilterExpression": index["partialFilterExpression"] | {"status": states}
    }
    await database.command("createIndexes", JOBS, indexes=[index])
    await fresh.setup()


async def test_another_time_to_live_is_left_as_it_is(
    fresh: MongoStore, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """A time to live other than Node's 90 days is kept, with a warning: Node would not start."""
    index = {"key": {"ended_at": 1}, "name": "ended_at_1", "expireAfterSeconds": 86_400}
    await database.command("createIndexes", JOBS, indexes=[index])
    await fresh.setup()
    assert (await indexes(database, "jobs"))["ended_at_1"] == index
    assert "removed 1 days after their end" in caplog.text


async def test_active_exclusive_jobs_of_one_name_are_reported(
    fresh: MongoStore, database: Database
) -> None:
    """Where the unique index cannot be made, the error says which jobs are in its way."""
    await database[JOBS].insert_many([job_document(simple(exclusive=True)) for _ in range(2)])
    with pytest.raises(StoreSetupError, match="several exclusive jobs with the same name"):
        await fresh.setup()


async def test_many_set_up_at_once(mongo_db_url: str, database: Database) -> None:
    """Setups that run at the same moment from many clients all succeed."""
    stores = [open_mongo(mongo_db_url) for _ in range(8)]
    await asyncio.gather(*(store.setup() for store in stores))
    found = await indexes(database, "jobs")
    of_both = len(NODE_INDEXES["jobs"]) - len(OF_NODE_ALONE["jobs"])
    assert len(found) == 1 + of_both + len(OURS["jobs"])
    for store in stores:
        await store.close()


@pytest.mark.slow
# --- the validator ------------------------------------------------------------------------------


async def test_the_validator_refuses_a_malformed_job(store: MongoStore, database: Database) -> None:
    """A document whose time is a text is refused; one with fields of a later version is not."""
    malformed = job_document(simple()) | {"scheduled_for": "tomorrow"}
    with pytest.raises(WriteError, match="failed validation"):
        await database[JOBS].insert_one(malformed)
    of_the_future = job_document(simple()) | {"rate": {"limit": 1}, "priority": 5}
    await database[JOBS].insert_one(of_the_future)
    assert len(await store.history.find(JobQuery())) == 1


async def test_the_validator_is_moderate(fresh: MongoStore, database: Database) -> None:
    """It does not get in the way of what was written before it."""
    await database[JOBS].insert_one(job_document(simple()) | {"sync": "no"})
    await fresh.setup()
    assert (await current_validator(database))["validationLevel"] == "moderate"


@pytest.mark.parametrize(
    ("title", "stays"),
    [
        ("job_processor.jobs v0", False),
        (f"job_processor.jobs v{schema.VERSION}", True),
        (f"job_processor.jobs v{schema.VERSION + 1}", True),
        ("job_processor.jobs validation schema", True),
        ("of another program", True),
        ("", True),
    ],
)
async def test_only_an_older_validator_of_ours_is_replaced(
    fresh: MongoStore, database: Database, title: str, *, stays: bool
) -> None:
    """A newer one of ours, Node's and that of another program stay."""
    await database.create_collection(JOBS, validator={"$jsonSchema": {"title": title}})
    await fresh.setup()
    found = (await current_validator(database))["validator"]["$jsonSchema"]["title"]
    assert found == (title if stays else f"job_processor.jobs v{schema.VERSION}")


async def test_a_prefix_has_collections_of_its_own(mongo_db_url: str, database: Database) -> None:
    """Two prefixes in one database share nothing."""
    stores = [open_mongo(mongo_db_url, prefix=prefix) for prefix in ("one", "two.deep")]
    for store in stores:
        await store.setup()
    await stores[0].intake.insert([simple()])
    assert [len(await store.history.find(JobQuery())) for store in stores] == [1, 0]
    assert await stores[1].ping() > NOW
    assert sorted(await database.list_collection_names(filter={"name": {"$regex": "^two"}})) == [
        "two.deep.groups",
        "two.deep.jobs",
        "two.deep.lanes",
        "two.deep.messages",
        "two.deep.schedules",
        "two.deep.settings",
        "two.deep.signals",
        "two.deep.workers",
    ]
    for store in stores:
        await store.close()
