"""A server is judged by what it refuses; its version and its name only say what to do then."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from job_processor.errors import StoreSetupError
from job_processor.store.mongo import MongoStore, servers
from job_processor.store.mongo.indexes import JOBS
from job_processor.store.mongo.servers import advice, look_alike
from tests.samples import simple
from tests.store.mongo.conftest import Database
from tests.store.mongo.faults import Faults

pytestmark = pytest.mark.mongo

CANNOT_CREATE_INDEX = 67
INDEX_BUILD_ABORTED = 276
"""As where another process makes the same one at this moment."""

INDEXES = {index.name for index in JOBS}


@pytest.mark.parametrize(
    ("hello", "build_info", "hosts", "refusal", "name"),
    [
        ({}, {}, ["a.cluster-x.eu-west-1.docdb.amazonaws.com"], "", "Amazon DocumentDB"),
        ({}, {}, ["x.us-east-1.docdb-elastic.amazonaws.com."], "", "Amazon DocumentDB"),
        (
            {},
            {},
            ["localhost"],
            "Field 'partialFilterExpression' is currently not supported",
            "Amazon DocumentDB",
        ),
        ({}, {}, ["name.MONGO.cosmos.azure.com"], "", "Azure Cosmos DB"),
        ({"internal": {"kind": "azuredocumentdb", "documentdb_versions": ["1.114-0"]}}, {}, [], "",
         "Azure DocumentDB (Cosmos DB for MongoDB)"),
        ({"internal": {"cosmos_versions": ["1"]}}, {}, ["localhost"], "", "DocumentDB"),
        ({}, {"ferretdb": {"version": "v2.7.0"}}, ["localhost"], "", "FerretDB"),
        ({}, {"ferretdbVersion": "v1.24.0"}, ["localhost"], "", "FerretDB"),
        ({"internal": None}, {"version": "8.0.4"}, ["x.mongodb.net", "localhost"], "no", None),
    ],
)  # fmt: skip
def test_a_look_alike_is_recognized(
    hello: dict[str, Any], build_info: dict[str, Any], hosts: list[str], refusal: str, name: str
) -> None:
    """By its address, its build, its engine or its words."""
    assert look_alike(hello, build_info, hosts, refusal) == name


def test_there_is_one_sentence_for_each() -> None:
    """It names the server and what to use instead; of MongoDB it says which version."""
    told = advice("FerretDB", older=True)
    assert told.startswith("this is FerretDB, which is not MongoDB")
    assert "MongoDB 6.0 or later" in told
    assert advice(None, older=True).startswith("MongoDB 6.0 is the oldest that serves")
    assert advice(None, older=False) == ""


async def test_a_refused_index_is_named(
    faulty_store: MongoStore, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error has the first critical index that cannot be had, why, and MongoDB 6.0."""
    monkeypatch.setattr(servers, "OLDEST_WIRE_VERSION", 10_000)
    await faults.fail("createIndexes", CANNOT_CREATE_INDEX, times=None)
    with pytest.raises(StoreSetupError) as caught:
        await faulty_store.setup()
    message = str(caught.value)
    assert "the index 'simple_exclusive_unique' of job_processor.jobs was refused: " in message
    assert message.endswith(advice(None, older=True))


async def test_the_name_of_a_look_alike_is_in_the_error(
    faulty_store: MongoStore, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it refuses, an index or anything else that is needed."""
    monkeypatch.setattr(servers, "look_alike", lambda *_: "FerretDB")
    for command in ("createIndexes", "create"):
        await faults.fail(command, 238, times=None)
        with pytest.raises(StoreSetupError, match="this is FerretDB, which is not MongoDB"):
            await faulty_store.setup()


async def test_one_refusal_hides_no_other_index(
    faulty_store: MongoStore,
    faults: Faults,
    faulty_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is refused together is made one by one, so that all are there that can be."""
    await faults.fail("createIndexes", CANNOT_CREATE_INDEX)
    await faulty_store.setup()
    jobs = faults.client[faulty_store.address.rpartition("/")[2]]["job_processor.jobs"]
    there = {index["name"] async for index in await jobs.list_indexes()}
    assert there >= INDEXES
    await jobs.drop_index("newest_by_name")
    await faults.fail("createIndexes", CANNOT_CREATE_INDEX)
    await faulty_store.setup()
    assert "the index 'newest_by_name' cannot be made" in caplog.text
    assert await faulty_store.intake.insert([simple()]) == []


async def test_an_index_of_node_that_is_refused_is_left_to_it(
    faulty_store: MongoStore, faults: Faults, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that sees Node come goes on without it, whatever it is refused for."""
    await faulty_store.setup()
    await faults.fail("createIndexes", INDEX_BUILD_ABORTED, times=None)
    await faulty_store.node_side().make_indexes()
    assert "the indexes of the Node package are left to it" in caplog.text


async def test_an_older_server_that_takes_the_indexes_is_served(
    store: MongoStore,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A warning, and it works."""
    caplog.set_level(logging.WARNING, "job_processor")
    monkeypatch.setattr(servers, "OLDEST_WIRE_VERSION", 10_000)
    await store.setup()
    assert caplog.text.count("older than MongoDB 6.0") == 1
    assert await store.intake.insert([simple()]) == []


async def test_a_validator_that_a_server_does_not_know_is_a_warning(
    faulty_store: MongoStore, faults: Faults, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing depends on it."""
    await faults.fail("collMod", 238)
    await faulty_store.setup()
    assert "gets no validator" in caplog.text
