"""A change stream as the server hands it out: batch by batch, on a connection of its own.

The driver's cursors give one change after the other and ask for more as soon as one batch is used
up, so whoever reads them under load sends a request for almost every change.

A request for more is held by the server for seconds. On a client of its own it keeps no connection
from others, however few the application's may have, and no limit of the application's cuts it off.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

import pymongo
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError
from pymongo.server_description import ServerDescription

from job_processor.store.mongo.connection import CLOSE_TIMEOUT, beside, calm
from job_processor.store.mongo.documents import Document
from job_processor.store.mongo.handles import Database, configured

AWAIT_MS = 5000
"""How long the server holds a request while nothing changes."""

BATCH = 500
"""Changes in an answer at most."""

_SILENCE_MS = AWAIT_MS + 10_000
"""How long the answer to a request may be missing, before the connection counts as dead."""

_AS_NEAR = 0.015
"""Seconds by which a router may be farther away than the nearest one (`localThresholdMS`)."""

_OPTIONS: Document = {
    "timeoutMS": None,
    "socketTimeoutMS": _SILENCE_MS,
    "minPoolSize": 0,
    "maxPoolSize": 1,
    # Whoever waits for an answer learns from it that the server has gone: fewer connections.
    "serverMonitoringMode": "poll",
}

Selector: TypeAlias = Callable[[Sequence[ServerDescription]], Sequence[ServerDescription]]


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


class OneServer:
    """Chooses a server, and that one again for as long as it is there.

    A cursor lives on one router of a sharded cluster, and the others do not know it. `among`: what
    the application's own selector leaves to choose from.
    """

    def __init__(self, among: Selector | None) -> None:
        self._among = among
        self._address: tuple[str, int | None] | None = None

    def __call__(self, servers: Sequence[ServerDescription]) -> Sequence[ServerDescription]:
        """Return the server to talk to, of those that may be asked."""
        some = servers if self._among is None else self._among(servers)
        if not some:
            return []
        same = [server for server in some if server.address == self._address]
        chosen = same[0] if same else random.choice(_nearest(some))
        self._address = chosen.address
        return [chosen]


def _nearest(servers: Sequence[ServerDescription]) -> list[ServerDescription]:
    limit = min(server.round_trip_time or 0.0 for server in servers) + _AS_NEAR
    return [server for server in servers if (server.round_trip_time or 0.0) <= limit]


@asynccontextmanager
async def open_stream(
    options: Document, name: str, pipeline: list[Document]
) -> AsyncIterator[ChangeStream]:
    """Open a stream of what changes in a database from now on. Raises PyMongoError.

    `options`: how the application's client was made, see `Connection`.
    """
    selector = OneServer(options.get("server_selector"))
    client: AsyncMongoClient[Document] = AsyncMongoClient(
        **beside(options, **_OPTIONS, server_selector=selector)
    )
    try:
        # The session is the cursor's: the server refuses a request for more by any other.
        async with client.start_session() as session:
            stream = await _open(configured(client[name]), session, pipeline)
            calm(client)
            try:
                yield stream
            finally:
                with pymongo.timeout(CLOSE_TIMEOUT / 2):
                    await stream.close()
    finally:
        # Whoever loses patience with us does not interrupt it.
        closing = asyncio.create_task(_close(client))
        await asyncio.shield(closing)


async def _close(client: AsyncMongoClient[Document]) -> None:
    with pymongo.timeout(CLOSE_TIMEOUT / 2):
        await client.close()


async def _open(
    database: Database, session: AsyncClientSession, pipeline: list[Document]
) -> ChangeStream:
    reply = await database.command(
        {
            "aggregate": 1,
            "pipeline": [{"$changeStream": {}}, *pipeline],
            "cursor": {"batchSize": BATCH},
            "readConcern": {"level": "majority"},
        },
        session=session,
    )
    return ChangeStream(database, session, reply["cursor"])
