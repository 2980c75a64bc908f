"""Fixtures of the tests of the MongoDB store: a fresh database, a store, and a look inside."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeAlias

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from job_processor.store.mongo import MongoStore, open_mongo
from job_processor.store.mongo.features import ALL
from tests.mongo_server import MongoServer, database_url, external_url, missing_server
from tests.store.mongo.faults import Faults

Database: TypeAlias = AsyncDatabase[dict[str, Any]]


class Commands(CommandListener):
    """Records the commands that a client sends."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        """The name of each, and the whole of it."""

    @property
    def names(self) -> list[str]:
        """The names of the commands, in order."""
        return [name for name, _ in self.sent]

    def started(self, event: CommandStartedEvent) -> None:
        """Record a command."""
        self.sent.append((event.command_name, dict(event.command)))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing to record."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing to record."""


@pytest.fixture
async def database(mongo_db_url: str) -> AsyncIterator[Database]:
    """The database of the test, through a client that is not the store's."""
    async with AsyncMongoClient[dict[str, Any]](mongo_db_url, tz_aware=True) as client:
        database = client.get_default_database()
        yield database
        if external_url() is not None:  # a server of our own goes with all that it has
            await client.drop_database(database.name)


@pytest.fixture
async def store(database: Database, mongo_db_url: str) -> AsyncIterator[MongoStore]:
    """A store that is set up, on a database where each feature has been used."""
    store = open_mongo(mongo_db_url)
    await store.setup()
    await store.features.use(*ALL)
    yield store
    await store.close()


@pytest.fixture
def commands() -> Commands:
    """What the client of `watched_database` sends."""
    return Commands()


@pytest.fixture
async def watched_database(
    database: Database, mongo_db_url: str, commands: Commands
) -> AsyncIterator[Database]:
    """The database of the test, through a client whose commands are recorded."""
    async with AsyncMongoClient[dict[str, Any]](mongo_db_url, event_listeners=[commands]) as client:
        yield client.get_default_database()


@pytest.fixture
async def watched_store(
    watched_database: Database, commands: Commands
) -> AsyncIterator[MongoStore]:
    """A store that is set up, each feature used; its commands from then on are recorded."""
    store = MongoStore.from_database(watched_database)
    await store.setup()
    await store.features.use(*ALL)
    commands.sent.clear()
    yield store
    await store.close()


@pytest.fixture
def server() -> Iterator[MongoServer]:
    """A server of the test's own, which it may kill and freeze."""
    with _own_server() as server:
        yield server


@pytest.fixture(scope="session")
def faulty_server() -> Iterator[MongoServer]:
    """A server whose commands tests may make fail, one for the whole session."""
    with _own_server(test_commands=True) as server:
        yield server


@pytest.fixture
def faulty_url(faulty_server: MongoServer) -> str:
    """A fresh database on `faulty_server`, whose clients look at it again every half second."""
    url = database_url(faulty_server.url, f"faults_{secrets.token_hex(6)}")
    return f"{url}?heartbeatFrequencyMS=500"


@pytest.fixture
async def faulty_store(faulty_url: str) -> AsyncIterator[MongoStore]:
    """A store on `faulty_url`; pymongo repeats nothing by itself, so that we see each failure."""
    store = open_mongo(f"{faulty_url}&retryWrites=false&retryReads=false")
    yield store
    await store.close()


@pytest.fixture
async def faults(faulty_server: MongoServer) -> AsyncIterator[Faults]:
    """Makes commands of `faulty_server` fail, until the end of the test."""
    async with AsyncMongoClient[dict[str, Any]](faulty_server.url) as client:
        faults = Faults(client)
        yield faults
        await faults.stop()


def _own_server(**options: bool) -> MongoServer:
    reason = missing_server()
    if reason is not None:
        pytest.skip(reason)
    return MongoServer(**options)
