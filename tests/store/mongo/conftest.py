"""Fixtures of the tests of the MongoDB store: a fresh database, a store, and a look inside."""

from __future__ import annotations

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
from tests.mongo_server import MongoServer, database_url, missing_server
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
        await client.drop_database(database.name)


@pytest.fixture
async def store(database: Database, mongo_db_url: str) -> AsyncIterator[MongoStore]:
    """A store that is set up."""
    store = open_mongo(mongo_db_url)
    await store.setup()
    yield store
    await store.close()


@pytest.fixture
def commands() -> Commands:
    """What the client of `watched_store` sends."""
    return Commands()


@pytest.fixture
async def watched_store(
    database: Database, mongo_db_url: str, commands: Commands
) -> AsyncIterator[MongoStore]:
    """A store that is set up, whose commands from then on are recorded."""
    async with AsyncMongoClient[dict[str, Any]](mongo_db_url, event_listeners=[commands]) as client:
        store = MongoStore.from_database(client.get_default_database())
        await store.setup()
        commands.sent.clear()
        yield store
        await store.close()


@pytest.fixture
def server() -> Iterator[MongoServer]:
    """A server of the test's own, which it may kill, and whose commands it may make fail."""
    reason = missing_server()
    if reason is not None:
        pytest.skip(reason)
    with MongoServer(test_commands=True) as server:
        yield server


@pytest.fixture
async def faulty_store(server: MongoServer) -> AsyncIterator[MongoStore]:
    """A store on `server`; pymongo repeats nothing by itself, so that we see each failure."""
    url = database_url(server.url, "faults") + "?retryWrites=false&retryReads=false"
    store = open_mongo(url)
    yield store
    await store.close()


@pytest.fixture
async def faults(server: MongoServer) -> AsyncIterator[Faults]:
    """Makes commands of `server` fail."""
    async with AsyncMongoClient[dict[str, Any]](server.url) as client:
        yield Faults(client)
