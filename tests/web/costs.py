"""What a page costs: the statements that it makes, on either store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pymongo import AsyncMongoClient

from job_processor import JobProcessor
from tests.insides import store_of
from tests.store.contract.statements import Statements

MOST_STATEMENTS = 12
MOST_BYTES = 60_000

FRAMES = ("BEGIN", "COMMIT")
"""What stands around the statements of a page."""


@asynccontextmanager
async def counted(
    db_url: str, **definitions: Any
) -> AsyncIterator[tuple[JobProcessor, Statements]]:
    """Give a processor, and the statements that its database is asked."""
    if db_url.startswith("mongodb"):
        statements = Statements()
        async with (
            AsyncMongoClient[Any](db_url, event_listeners=[statements]) as mongo,
            JobProcessor(mongo.get_default_database(), **definitions) as processor,
        ):
            yield processor, statements
        return
    async with JobProcessor(db_url, **definitions) as processor:
        found = await traced(processor)
        assert found is not None
        yield processor, found


async def traced(processor: JobProcessor) -> Statements | None:
    """Return the statements that are made from now on; None where they are not SQLite's."""
    statements, store = Statements(), store_of(processor)
    connections = getattr(store, "_connections", None)
    if connections is None:
        return None
    for database in connections.every:
        await database.call(lambda each: each.set_trace_callback(statements.traced))
    return statements


def asked(statements: Statements) -> list[str]:
    """Return the statements without what stands around them."""
    return [each for each in statements.made if each not in FRAMES]
