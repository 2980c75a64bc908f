"""What a store asks of its database, statement by statement, on every store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from job_processor.settings import Settings
from job_processor.store import Store
from job_processor.store.mongo import MongoStore
from job_processor.store.opening import open_store
from job_processor.store.sqlite import SqliteStore

_OURS = frozenset({"insert", "update", "delete", "find", "findAndModify", "aggregate", "getMore"})


class Statements(CommandListener):
    """The statements that were made since it was cleared, each by its first word."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        """Take a command of MongoDB's driver; what the change stream asks is not the verb's."""
        pipeline = event.command.get("pipeline") or [{}]
        is_stream = event.command_name == "getMore" or "$changeStream" in pipeline[0]
        if event.command_name in _OURS and not is_stream:
            self.made.append(event.command_name)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing to do."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing to do."""

    def traced(self, statement: str) -> None:
        """Take a statement of SQLite's."""
        self.made.append(statement.split(None, 1)[0].upper())


@asynccontextmanager
async def watched(db_url: str) -> AsyncIterator[tuple[Store, Statements]]:
    """Give a store that is set up, and the statements that it makes from then on."""
    statements = Statements()
    if not db_url.startswith("mongodb"):
        store = open_store(db_url, Settings())
        await store.setup()
        assert isinstance(store, SqliteStore)
        for database in store._connections.every:
            await database.call(_tracing(statements.traced))
        yield store, statements
        await store.close()
        return
    async with AsyncMongoClient[dict[str, Any]](db_url, event_listeners=[statements]) as client:
        mongo = MongoStore.from_database(client.get_default_database())
        await mongo.setup()
        statements.made.clear()
        yield mongo, statements
        await mongo.close()


def _tracing(callback: Callable[[str], None]) -> Callable[[Any], None]:
    return lambda connection: connection.set_trace_callback(callback)
