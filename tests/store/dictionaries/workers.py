"""Registrations of workers, by the database's clock."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from bson import ObjectId

from job_processor.models import Registrations, Vitals, WorkerInfo
from job_processor.store.base import Pulse
from job_processor.store.desks.workers import Workers
from tests.store.dictionaries.queue import due, first
from tests.store.dictionaries.tables import Connection, OnTables, Tables


class DictionaryWorkers(OnTables, Workers):
    """Keeps who is there, and when it was seen."""

    async def register(self, worker: WorkerInfo) -> None:
        """Write the whole registration, seen now."""
        seen = replace(worker, last_seen=self._connection.now(), crons=dict(worker.crons))
        async with self._connection as tables:
            tables.workers[worker.id] = seen

    async def beat(
        self, worker_id: ObjectId, memory: int | None = None, clock_ahead: float | None = None
    ) -> bool:
        """Write when a registered worker was seen."""
        now = self._connection.now()
        async with self._connection as tables:
            return _seen(tables, worker_id, now, memory, clock_ahead)

    async def unregister(self, worker_id: ObjectId) -> None:
        """Forget a worker."""
        async with self._connection as tables:
            tables.workers.pop(worker_id, None)

    async def registrations(self) -> Registrations:
        """Return all of them."""
        async with self._connection as tables:
            return Registrations(self._connection.now(), tuple(tables.workers.values()))

    async def remove_dead(self, worker: WorkerInfo) -> bool:
        """Forget a worker that was not seen since it was read."""
        async with self._connection as tables:
            present = tables.workers.get(worker.id)
            if present is None or present.last_seen != worker.last_seen:
                return False
            del tables.workers[worker.id]
            return True

    async def count_alive(self) -> int:
        """Count those that live."""
        return (await self.vitals()).alive

    async def vitals(self, leaving_out: Collection[str] = ()) -> Vitals:
        """Count the workers, and tell since when anything is due."""
        now = self._connection.now()
        async with self._connection as tables:
            alive = sum(not worker.is_dead(now) for worker in tables.workers.values())
            since = first(due(tables, now, leaving_out))
            return Vitals(now, len(tables.workers), alive, since)


class DictionaryPulse(Pulse):
    """Beats from another thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def beat(
        self, worker_id: ObjectId, memory: int | None = None, clock_ahead: float | None = None
    ) -> bool:
        """Write when a registered worker was seen."""
        now = self._connection.now()
        with self._connection as tables:
            return _seen(tables, worker_id, now, memory, clock_ahead)

    def close(self) -> None:
        """Nothing to give back."""


def _seen(
    tables: Tables,
    worker_id: ObjectId,
    now: datetime,
    memory: int | None,
    clock_ahead: float | None,
) -> bool:
    worker = tables.workers.get(worker_id)
    if worker is None:
        return False
    known = worker.memory if memory is None else memory
    tables.workers[worker_id] = replace(
        worker, last_seen=now, memory=known, clock_ahead=clock_ahead
    )
    return True
