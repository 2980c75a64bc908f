"""The heartbeat's connection: a synchronous client in the heartbeat's own thread."""

from __future__ import annotations

import pymongo
from bson import ObjectId
from pymongo import MongoClient

from job_processor.store.base import Pulse
from job_processor.store.mongo.connection import CLOSE_TIMEOUT, beside, calm
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
    # A beat every few seconds says as much of the server: one thread and one connection less.
    "serverMonitoringMode": "poll",
    "event_listeners": [],  # they count the application's commands, in its thread
}


class ThreadPulse(Pulse):
    """Beats through a client of its own, whatever the event loop does."""

    def __init__(
        self,
        options: Document,
        database: str,
        collection: str,
        address: str,
        patience: float | None = None,
    ) -> None:
        self._address = address
        wanted = beside(options, **{**_OPTIONS, **_limited(patience)})
        try:
            self._client: MongoClient[Document] = MongoClient(**wanted)
        except DRIVER_ERRORS as error:  # mongodb+srv: the name could not be resolved
            raise translate(error, address) from error
        self._workers = self._client[database].get_collection(
            collection, write_concern=WRITE_CONCERN
        )

    def beat(
        self, worker_id: ObjectId, memory: int | None = None, clock_ahead: float | None = None
    ) -> bool:
        """Set `lastSeen` to the database's present time; False when it is not registered."""
        try:
            update = beat_update(memory, clock_ahead)
            found = self._workers.update_one({"_id": worker_id}, update).matched_count == 1
        except DRIVER_ERRORS as error:
            raise translate(error, self._address) from error
        calm(self._client)
        return found

    def close(self) -> None:
        """Close the client."""
        with pymongo.timeout(CLOSE_TIMEOUT):
            self._client.close()


def _limited(patience: float | None) -> Document:
    """Return the options of a connection that has less time than usual."""
    if patience is None or patience >= BEAT_TIMEOUT:
        return {}
    names = ("timeoutMS", "connectTimeoutMS", "serverSelectionTimeoutMS")
    return dict.fromkeys(names, int(patience * 1000))
