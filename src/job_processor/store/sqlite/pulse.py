"""Heartbeats: on a connection of their own for a file, on the only one for a database in memory."""

from __future__ import annotations

from bson import ObjectId

from job_processor.store.base import Pulse
from job_processor.store.sqlite.database import Database
from job_processor.store.sqlite.link import Link
from job_processor.store.sqlite.location import Location
from job_processor.store.sqlite.workers import SqliteWorkers


class FilePulse(Pulse):
    """Beats on its own connection."""

    def __init__(self, location: Location, workers: SqliteWorkers) -> None:
        self._link = Link(location)
        self._workers = workers

    def beat(
        self, worker_id: ObjectId, memory: int | None = None, clock_ahead: float | None = None
    ) -> bool:
        """Set the `last_seen` and the memory of a registration; False when there is none."""
        del clock_ahead  # its clock is the database's
        return self._link.run(self._workers.see, worker_id, memory)

    def close(self) -> None:
        """Close the connection."""
        self._link.close()


class MemoryPulse(Pulse):
    """Beats through the thread that owns the database."""

    def __init__(self, database: Database, workers: SqliteWorkers) -> None:
        self._database = database
        self._workers = workers

    def beat(
        self, worker_id: ObjectId, memory: int | None = None, clock_ahead: float | None = None
    ) -> bool:
        """Set the `last_seen` and the memory of a registration; False when there is none."""
        del clock_ahead  # as in a file
        return self._database.call_from_thread(self._workers.see, worker_id, memory)

    def close(self) -> None:
        """Nothing to close."""
