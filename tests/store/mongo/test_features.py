"""Indexes: nine at most for a plain job, and those of a feature from its first use on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

import pytest
from bson import ObjectId
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession

from job_processor.errors import StoreSetupError
from job_processor.models import FOR_A_PARENT, Lane
from job_processor.store.lanes import Bounds, LaneClaim
from job_processor.store.mongo import MongoStore, open_mongo
from job_processor.store.mongo.features import (
    AFTER,
    ALL,
    FLOWS,
    GROUPS,
    LABELS,
    LINES,
    MESSAGES,
    PARKING,
    UNIQUE_KEYS,
    Feature,
)
from job_processor.store.mongo.index import Index
from job_processor.store.mongo.indexes import JOBS
from job_processor.store.requests import JobQuery, Outcome, Settlement
from tests.samples import NOW, SOON, UNKNOWN, WORKER, claim, end, simple
from tests.store.mongo.conftest import Commands, Database
from tests.store.mongo.faults import Faults

pytestmark = pytest.mark.mongo

MOST = 9
"""Indexes that a plain job may be in over its life, `_id` counted."""


@pytest.fixture
async def unused(watched_database: Database, commands: Commands) -> MongoStore:
    """A store that is set up, on a database where no feature has been used."""
    store = MongoStore.from_database(watched_database)
    await store.setup()
    commands.sent.clear()
    return store


async def there(database: Database) -> set[str]:
    """Return the names of the indexes of the jobs."""
    return set(await database["job_processor.jobs"].index_information())


def is_in(index: Index, document: Mapping[str, Any]) -> bool:
    """Tell whether a document is in an index: whether it is what the partial filter selects."""
    return _matches(document, index.options.get("partialFilterExpression", {}))


def _matches(document: Mapping[str, Any], selection: Mapping[str, Any]) -> bool:
    return all(_is(document, field, wanted) for field, wanted in selection.items())


def _is(document: Mapping[str, Any], field: str, wanted: Any) -> bool:
    if field == "$or":
        return any(_matches(document, each) for each in wanted)
    value: Any = document
    for part in field.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(wanted, Mapping):
        (operator, operand), *more = wanted.items()
        assert not more
        assert operator in {"$exists", "$in"}
        return field in document if operator == "$exists" else value in operand
    return bool(value == wanted)


async def test_a_plain_job_is_in_nine_indexes_at_most(
    unused: MongoStore, database: Database
) -> None:
    """Over its whole life: stored, claimed, finished, failed, killed, and retried by hand."""
    jobs = [simple() for _ in range(3)]
    await unused.intake.insert(jobs)
    lives: list[dict[str, Any]] = await database["job_processor.jobs"].find().to_list()
    runs = await unused.queue.claim(claim(2))
    lives += await database["job_processor.jobs"].find().to_list()
    await unused.runs.settle([end(run) for run in runs])
    await unused.kills.kill_waiting(next(job.id for job in jobs if job.id not in _ids(runs)), SOON)
    await unused.history.requeue(runs[0].id, SOON)
    lives += await database["job_processor.jobs"].find().to_list()
    made = await there(database)
    indexes = [index for index in _every() if index.name in made]
    assert len(indexes) == len(made) - 1  # but for `_id_`, each is known
    written = {index.name for index in indexes for life in lives if is_in(index, life)}
    assert len(written) + 1 <= MOST, written


def _ids(jobs: Sequence[Any]) -> set[ObjectId]:
    return {job.id for job in jobs}


def _every() -> list[Index]:
    return [*JOBS, *(index for feature in ALL for index in feature.indexes)]


def test_each_index_of_a_feature_leaves_a_plain_job_out() -> None:
    """It is partial, by a field that no plain job has."""
    for feature in ALL:
        for index in feature.indexes:
            selected = index.options["partialFilterExpression"]
            present = {name for name, wanted in selected.items() if wanted == {"$exists": True}}
            assert present
            assert not present & {"status", "name", "type", "ended_at", "scheduled_for"}


async def test_a_fresh_database_has_the_indexes_of_plain_jobs_alone(
    unused: MongoStore, database: Database
) -> None:
    """Nor does a life of plain jobs, or a look at all there is, make any more."""
    await unused.intake.insert([simple()])
    (run,) = await unused.queue.claim(claim())
    await unused.runs.settle([end(run)])
    await unused.history.find(JobQuery())
    await unused.history.prune(NOW, 10)
    assert await there(database) == {"_id_", *(index.name for index in JOBS)}


USES: dict[str, tuple[dict[str, Any], set[Feature]]] = {
    "unique key": ({"unique_key": "k"}, {UNIQUE_KEYS}),
    "limit": ({"lane": "resize"}, {LINES, PARKING}),
    "rate with a key": ({"rate_lane": "resize:a"}, {LINES, PARKING}),
    "after": (
        {"after": ("x",), "waiting_for": ("x",), "parked": FOR_A_PARENT},
        {AFTER, PARKING},
    ),
    "group": ({"group": ObjectId()}, {GROUPS}),
    "flow": ({"flow": ObjectId(), "flow_name": "f"}, {FLOWS}),
    "label": ({"labels": ("a", "b")}, {LABELS}),
}


@pytest.mark.parametrize("use", USES)
async def test_the_first_job_of_a_feature_makes_its_indexes(
    unused: MongoStore, database: Database, commands: Commands, use: str
) -> None:
    """Those and no others, in one command, before it is stored; the second job asks no more."""
    fields, features = USES[use]
    await unused.intake.insert([simple(**fields)])
    assert commands.names == ["createIndexes", "insert"]
    made = {index.name for feature in features for index in feature.indexes}
    assert await there(database) == {"_id_", *(index.name for index in JOBS), *made}
    commands.sent.clear()
    await unused.intake.insert([simple(**{**fields, "unique_key": None})])
    assert commands.names == ["insert"]


async def test_a_run_that_comes_to_wait_makes_them_too(
    unused: MongoStore, database: Database
) -> None:
    """One that is put into a lane after its claim, and one that waits for a message."""
    await unused.intake.insert([simple(), simple()])
    first, second = await unused.queue.claim(claim(2))
    outcomes = {
        first: Outcome(status=simple().status, at=SOON, lane=Lane("resize")),
        second: Outcome(status=simple().status, at=SOON, scheduled_for=SOON, topics=("go",)),
    }
    await unused.runs.settle([Settlement(job, each, WORKER) for job, each in outcomes.items()])
    made = {index.name for each in (LINES, MESSAGES, PARKING) for index in each.indexes}
    assert await there(database) == {"_id_", *(index.name for index in JOBS), *made}


async def test_a_worker_with_a_limit_makes_its_indexes(
    unused: MongoStore, database: Database, commands: Commands
) -> None:
    """A claim of lanes is a use of them: it looks along their index from the first one on."""
    for _ in range(2):
        await unused.lanes.claim(LaneClaim(WORKER, ("resize",), 1, NOW))
    assert commands.names == ["createIndexes", "find", "find"]
    assert {index.name for index in LINES.indexes} <= await there(database)


async def test_where_a_feature_was_never_used_nothing_is_looked_for(
    unused: MongoStore, commands: Commands
) -> None:
    """What workers sweep and people look at asks for the indexes, and not along one of them."""
    calls: list[tuple[Awaitable[object], object]] = [
        (unused.lanes.waiting("", 10), []),
        (unused.lanes.next_ready(["resize"]), None),
        (unused.lanes.in_use([Bounds("", None)], 10), []),
        (unused.lanes.parked(["resize"], 10), {}),
        (unused.lanes.expire(NOW, 10), 0),
        (unused.waits.waited_for("", 10), []),
        (unused.waits.followers("x", 10), []),
        (unused.tokens.waiting("", 10), []),
        (unused.messages.waiting(10), []),
        (unused.groups.open_of([UNKNOWN]), set()),
        (unused.groups.counts(UNKNOWN), {}),
        (unused.waits.counts_of_flow(UNKNOWN), {}),
        (unused.intake.find_holder("resize", "k"), None),
        (unused.history.find(JobQuery(flow=UNKNOWN)), []),
        (unused.history.find(JobQuery(group=UNKNOWN, error="x")), []),
        (unused.history.find(JobQuery(labels=("a",))), []),
        (unused.history.count_matching(JobQuery(lane="resize"), 10), 0),
    ]
    for call, nothing in calls:
        commands.sent.clear()
        assert await call == nothing
        assert commands.names == ["listIndexes"], call


async def test_what_another_process_uses_first_is_seen(
    unused: MongoStore, mongo_db_url: str
) -> None:
    """A process that found a feature unused looks again, each time, until somebody has used it."""
    assert await unused.lanes.waiting("", 10) == []
    other = open_mongo(mongo_db_url)
    await other.intake.insert([simple(lane="resize")])
    await other.close()
    assert await unused.lanes.waiting("", 10) == ["resize"]


async def test_a_key_is_unique_from_its_first_use_on(mongo_db_url: str, database: Database) -> None:
    """Of processes that use the first key of a database at the same moment, one stores its job."""
    stores = [open_mongo(mongo_db_url) for _ in range(8)]
    await stores[0].setup()
    refused = await asyncio.gather(
        *(store.intake.insert([simple(unique_key="k")]) for store in stores)
    )
    assert sum(not each for each in refused) == 1
    assert await database["job_processor.jobs"].count_documents({}) == 1
    for store in stores:
        await store.close()


async def test_setup_completes_what_has_been_used(unused: MongoStore, database: Database) -> None:
    """Where one index of a feature is there, as an older release left it, the others are made."""
    await database.command(
        "createIndexes", "job_processor.jobs", indexes=[LINES.indexes[0].document]
    )
    await unused.setup()
    made = await there(database)
    assert {index.name for index in LINES.indexes} <= made
    assert not made & {index.name for index in AFTER.indexes}


async def test_setup_verifies_an_index_that_is_in_the_way(
    unused: MongoStore, database: Database
) -> None:
    """A critical index of a feature that differs is an error at the start, used or not."""
    wrong = {"key": {"slots": 1}, "name": "slots"}
    await database.command("createIndexes", "job_processor.jobs", indexes=[wrong])
    with pytest.raises(StoreSetupError, match="the index 'slots'"):
        await unused.setup()


async def test_an_equal_index_of_another_name_serves_a_feature(
    unused: MongoStore, database: Database
) -> None:
    """Made by hand, as a user does whose processes may make none."""
    by_hand = {**UNIQUE_KEYS.indexes[0].document, "name": "by_hand"}
    await database.command("createIndexes", "job_processor.jobs", indexes=[by_hand])
    assert await unused.intake.insert([simple(unique_key="k")]) == []
    assert len(await unused.intake.insert([simple(unique_key="k")])) == 1
    assert "unique_key" not in await there(database)


async def test_without_the_privilege_the_first_use_says_what_to_do(
    faulty_store: MongoStore, faults: Faults
) -> None:
    """Nothing is stored that a missing unique index would not guard; plain jobs are."""
    await faulty_store.setup()
    await faults.fail("createIndexes", 13, times=None)
    with pytest.raises(StoreSetupError, match=r"'unique_key' .*createIndex\("):
        await faulty_store.intake.insert([simple(unique_key="k")])
    assert await faulty_store.intake.insert([simple()]) == []
    await faulty_store.intake.insert([simple(flow=ObjectId(), flow_name="f")])  # costs time only
    await faults.stop()
    assert await faulty_store.intake.insert([simple(unique_key="k")]) == []


async def test_a_transaction_waits_for_indexes_for_a_moment_only(
    faulty_url: str, faults: Faults
) -> None:
    """Where it has written jobs itself, none can be made before its end: it says so."""
    async with AsyncMongoClient[dict[str, Any]](faulty_url) as client:
        store = MongoStore.from_database(client.get_default_database())
        await store.setup()
        await faults.fail("createIndexes", 50)
        async with client.start_session() as session, await session.start_transaction():
            with pytest.raises(StoreSetupError, match="without a session first"):
                await store.intake.insert_in(session, [simple(unique_key="k")])
        await store.close()


async def test_a_transaction_that_is_the_first_use_is_repeated(
    unused: MongoStore, watched_database: Database, mongo_db_url: str
) -> None:
    """It began before the indexes and would write past them: `with_transaction` begins anew."""
    tries: list[int] = []

    async def schedule(session: AsyncClientSession) -> None:
        tries.append(1)
        await watched_database["orders"].insert_one({"n": 1}, session=session)
        await unused.intake.insert_in(session, [simple(unique_key="k")])

    async with watched_database.client.start_session() as session:
        await session.with_transaction(schedule)
    assert len(tries) == 2
    other = open_mongo(mongo_db_url)
    assert len(await other.intake.insert([simple(unique_key="k")])) == 1
    await other.close()


async def test_what_is_there_already_is_asked_for_once_more(
    unused: MongoStore, mongo_db_url: str, commands: Commands
) -> None:
    """Another process may be making it still: the first use of each process waits for the end."""
    other = open_mongo(mongo_db_url)
    await other.setup()
    await other.features.use(UNIQUE_KEYS)
    await other.close()
    await unused.setup()
    commands.sent.clear()
    await unused.intake.insert([simple(unique_key="k")])
    assert commands.names == ["createIndexes", "insert"]


async def test_a_job_that_takes_another_s_place_makes_them(
    unused: MongoStore, database: Database
) -> None:
    """What replaces the holder of a key may use a feature that the holder did not."""
    await unused.intake.insert([simple(unique_key="k")])
    holder = await unused.intake.find_holder("resize", "k")
    assert holder is not None
    await unused.intake.replace(holder, simple(unique_key="k", lane="resize"))
    assert {index.name for index in LINES.indexes} <= await there(database)
