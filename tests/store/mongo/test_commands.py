"""What the store sends: nothing beyond the Stable API, and no second copy of a payload."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
from bson import ObjectId
from pymongo import AsyncMongoClient
from pymongo.server_api import ServerApi

from job_processor.models import JobStatus
from job_processor.store.hints import ANYTHING, Hint
from job_processor.store.mongo import MongoStore
from tests.mongo_server import database_url
from tests.samples import NOW, SOON, WORKER, claim, end, simple
from tests.store.mongo.conftest import Commands
from tests.store.mongo.listening import Listener
from tests.store.mongo.verbs import VERBS

pytestmark = pytest.mark.mongo

STABLE = frozenset(
    {
        *("abortTransaction", "aggregate", "authenticate", "bulkWrite", "collMod"),
        *("commitTransaction", "count", "create", "createIndexes", "delete", "drop"),
        *("dropDatabase", "dropIndexes", "endSessions", "explain", "find", "findAndModify"),
        *("getMore", "hello", "insert", "killCursors", "listCollections", "listDatabases"),
        *("listIndexes", "ping", "refreshSessions", "update"),
    }
)
"""The commands of version 1 (https://www.mongodb.com/docs/manual/reference/stable-api/)."""

RETURNS_DOCUMENTS = "findAndModify"


@pytest.fixture
async def strict_store(mongo_server_url: str, commands: Commands) -> AsyncIterator[MongoStore]:
    """A store on a client that is held to the Stable API, with a fresh database."""
    url = database_url(mongo_server_url, f"strict_{secrets.token_hex(6)}")
    api = ServerApi("1", strict=True)
    async with AsyncMongoClient[dict[str, Any]](
        url, server_api=api, event_listeners=[commands]
    ) as client:
        store = MongoStore.from_database(client.get_default_database())
        yield store
        await store.close()
        await client.drop_database(client.get_default_database().name)


async def test_a_strict_stable_api_is_enough(strict_store: MongoStore, commands: Commands) -> None:
    """`setup()`, every verb, the change stream and the look at a Node database keep to it.

    A real server refuses what does not; the names are compared as well.
    """
    listener = Listener()
    await strict_store.setup()
    forget = strict_store.subscribe(listener)
    for call in VERBS.values():
        await call(strict_store)
    await listener.until(ANYTHING)
    forget()
    await strict_store.node_side().survey()
    beyond = {name for name, _ in commands.sent} - STABLE
    assert beyond <= {"buildinfo"}  # of the survey, which does without where it is refused
    assert {"aggregate", "createIndexes", "findAndModify", "update"} <= set(commands.names)


async def test_workers_and_names_are_told_without_distinct(watched_store: MongoStore) -> None:
    """Whose runs there are, and which names, are the distinct ones all the same."""
    jobs = [simple(name=name) for name in ("b", "a", "b", "a", "c")]
    await watched_store.intake.insert(jobs)
    runs = await watched_store.queue.claim(claim(3, "a", "b"))
    assert await watched_store.runs.workers() == {runs[0].worker_id}
    assert await watched_store.history.names(2) == [("simple", "a"), ("simple", "b")]
    new = ObjectId()
    old = runs[0].worker_id
    assert old is not None
    assert await watched_store.runs.move(old, new) == {job.id for job in runs}
    assert await watched_store.runs.workers() == {new}


async def test_no_write_that_returns_a_document_is_a_retryable_one(
    watched_store: MongoStore, commands: Commands
) -> None:
    """Of those the server keeps what they return once more, payload and all."""
    await watched_store.intake.insert([simple() for _ in range(5)])
    assert "txnNumber" in commands.sent[-1][1]  # the driver does repeat what it may
    (first,) = await watched_store.queue.claim(claim(1))
    more = await watched_store.queue.claim(claim(10))
    await watched_store.runs.settle([end(first)])
    await watched_store.intake.insert([simple()])
    assert len(await watched_store.queue.claim(claim(10))) == 1
    requeued = await watched_store.history.requeue(first.id, SOON)
    assert requeued is not None
    assert (requeued.status, requeued.output) == (JobStatus.PENDING, None)
    killed = await watched_store.kills.kill_waiting(first.id, SOON)
    assert killed is not None
    assert killed == await watched_store.history.get(first.id)
    holder = simple(unique_key="key", payload={"a": 1})
    await watched_store.intake.insert([holder])
    replaced = await watched_store.intake.replace(
        holder, simple(unique_key="key", payload={"a": 2})
    )
    assert replaced is not None
    assert replaced == await watched_store.history.get(holder.id)
    returning = [sent for name, sent in commands.sent if name == RETURNS_DOCUMENTS]
    assert len(returning) == 2
    assert len(more) == 4
    for sent in returning:
        assert "txnNumber" not in sent
        assert sent["writeConcern"]["w"] == "majority"


async def test_what_is_to_be_given_back_is_seen_at_once(
    watched_store: MongoStore, commands: Commands
) -> None:
    """A claim that no majority has confirmed yet is in such a look; in any other it need not be."""
    await watched_store.intake.insert([simple()])
    (job,) = await watched_store.queue.claim(claim())
    for unconfirmed, level in ((True, "local"), (False, "majority")):
        commands.sent.clear()
        found = await watched_store.runs.of_worker(WORKER, 10, unconfirmed=unconfirmed)
        assert found == [job]
        ((_, sent),) = commands.sent
        assert sent["readConcern"]["level"] == level


async def test_a_replacement_is_told_to_other_processes(
    store: MongoStore, watched_store: MongoStore
) -> None:
    """A job that waits and is to come sooner wakes workers elsewhere."""
    holder = simple(unique_key="key", scheduled_for=SOON)
    await store.intake.insert([holder])
    listener = Listener()
    store.subscribe(listener)
    await listener.until(ANYTHING)
    await watched_store.intake.replace(holder, simple(unique_key="key", scheduled_for=NOW))
    assert await listener.until(Hint.WORK) == Hint.WORK
