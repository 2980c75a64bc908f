"""A change stream as the server hands it out: batch by batch.

The driver's cursors give one change after the other and ask for more as soon as one batch is used
up, so whoever reads them under load sends a request for almost every change.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError

from job_processor.store.mongo.documents import Document
from job_processor.store.mongo.handles import Database

AWAIT_MS = 5000
"""How long the server holds a request while nothing changes."""

BATCH = 500
"""Changes in an answer at most."""


class ChangeStream:
    """Use `open_stream`."""

    def __init__(
        self, database: Database, session: AsyncClientSession, cursor: dict[str, Any]
    ) -> None:
        self._database = database
        self._session = session
        self._id: int = cursor["id"]
        self._collection = cursor["ns"].partition(".")[2]
        self._first: list[Document] = cursor["firstBatch"]

    @property
    def alive(self) -> bool:
        """False once the server has ended it."""
        return bool(self._id)

    async def next_batch(self) -> list[Document]:
        """Return what changed since the last call, waiting for it; empty after `AWAIT_MS`.

        Raises PyMongoError.
        """
        if self._first:
            first, self._first = self._first, []
            return first
        reply = await self._database.command(
            {
                "getMore": self._id,
                "collection": self._collection,
                "batchSize": BATCH,
                "maxTimeMS": AWAIT_MS,
            },
            session=self._session,
        )
        self._id = reply["cursor"]["id"]
        changes: list[Document] = reply["cursor"]["nextBatch"]
        return changes

    async def close(self) -> None:
        """End it on the server; what fails there ends it just as well."""
        if self._id:
            kill = {"killCursors": self._collection, "cursors": [self._id]}
            with suppress(PyMongoError):
                await self._database.command(kill, session=self._session)


@asynccontextmanager
async def open_stream(
    database: Database, pipeline: list[Document], close_timeout: float
) -> AsyncIterator[ChangeStream]:
    """Open a stream of what changes in a database from now on. Raises PyMongoError."""
    # The session is the cursor's: the server refuses a request for more by any other.
    async with database.client.start_session() as session:
        reply = await database.command(
            {
                "aggregate": 1,
                "pipeline": [{"$changeStream": {}}, *pipeline],
                "cursor": {"batchSize": BATCH},
                "readConcern": {"level": "majority"},
            },
            session=session,
        )
        stream = ChangeStream(database, session, reply["cursor"])
        try:
            yield stream
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(close_timeout):
                    await stream.close()
