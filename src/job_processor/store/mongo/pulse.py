"""The heartbeat's connection: a synchronous client in the heartbeat's own thread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pymongo
from bson import ObjectId
from pymongo import MongoClient

from job_processor.errors import StoreUnavailableError
from job_processor.store.base import Pulse
from job_processor.store.mongo.connection import CLOSE_TIMEOUT
from job_processor.store.mongo.documents import Document
from job_processor.store.mongo.errors import DRIVER_ERRORS, translate
from job_processor.store.mongo.handles import WRITE_CONCERN
from job_processor.store.mongo.workers import beat_update

BEAT_TIMEOUT = 4.0
"""Seconds after which a heartbeat that got no answer has failed, its repetition included."""

_OPTIONS: Document = {
    "appname": "job-processor heartbeat",
    "timeoutMS": int(BEAT_TIMEOUT * 1000),
    "connectTimeoutMS": int(BEAT_TIMEOUT * 1000),
    "serverSelectionTimeoutMS": int(BEAT_TIMEOUT * 1000),
    "minPoolSize": 0,
    "maxPoolSize": 1,
}


class ThreadPulse(Pulse):
    """Beats through a client of its own, whatever the event loop does."""

    def __init__(self, options: Document, database: str, collection: str, address: str) -> None:
        self._address = address
        try:
            self._client: MongoClient[Document] = MongoClient(**{**options, **_OPTIONS})
        except DRIVER_ERRORS as error:  # mongodb+srv: the name could not be resolved
            raise translate(error, address) from error
        self._workers = self._client[database].get_collection(
            collection, write_concern=WRITE_CONCERN
        )

    def beat(self, worker_id: ObjectId, memory: int | None = None) -> bool:
        """Set `lastSeen` to the database's present time; False when it is not registered."""
        try:
            update = beat_update(memory)
            return self._workers.update_one({"_id": worker_id}, update).matched_count == 1
        except DRIVER_ERRORS as error:
            raise translate(error, self._address) from error

    def close(self) -> None:
        """Close the client."""
        with pymongo.timeout(CLOSE_TIMEOUT):
            self._client.close()


class LoopPulse(Pulse):
    """Beats through the event loop, where no second client can be made: better than nothing."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        beat: Callable[[ObjectId, int | None], Awaitable[bool]],
        address: str,
    ) -> None:
        self._loop = loop
        self._beat = beat
        self._address = address

    def beat(self, worker_id: ObjectId, memory: int | None = None) -> bool:
        """Let the event loop beat, and wait for it."""

        async def call() -> bool:
            return await asyncio.wait_for(self._beat(worker_id, memory), BEAT_TIMEOUT)

        if self._loop.is_closed():
            raise StoreUnavailableError(f"{self._address}: its event loop is closed")
        future = asyncio.run_coroutine_threadsafe(call(), self._loop)
        try:
            return future.result(BEAT_TIMEOUT + 1)
        except TimeoutError as error:
            future.cancel()
            raise StoreUnavailableError(
                f"{self._address}: the event loop sent no heartbeat within {BEAT_TIMEOUT:g} s"
            ) from error

    def close(self) -> None:
        """Nothing to give back."""
