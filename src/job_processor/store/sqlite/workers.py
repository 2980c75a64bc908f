"""Registrations of workers; `last_seen` is always the database's own time."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from datetime import datetime

from bson import ObjectId

from job_processor.clock import EPOCH, from_ms, to_ms
from job_processor.models import Registrations, Vitals, WorkerInfo
from job_processor.settings import NODE_WORKER_TIMEOUT
from job_processor.store.desks.workers import Workers
from job_processor.store.lenient import fields_of, list_of, moment, text_of
from job_processor.store.sqlite.codec import encode
from job_processor.store.sqlite.connections import (
    Plumbing,
    SqliteDesk,
    call,
    read,
    verb,
)
from job_processor.store.sqlite.queue import SqliteQueue
from job_processor.store.sqlite.reading import decoded
from job_processor.store.sqlite.rows import Row, optional_ms
from job_processor.store.sqlite.tables import NOW_MS

_COLUMNS = (
    "id,hostname,tags,timeout_s,service,names,crons,pid,version,concurrency,started_at,memory,"
    "limits,rates"
)


class SqliteWorkers(SqliteDesk, Workers):
    """Registers, lists and removes workers."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        tables = plumbing.tables
        self._queue: SqliteQueue = self.desk("queue")
        marks = ",".join("?" * len(_COLUMNS.split(",")))
        self._now = f"SELECT {NOW_MS}"
        self._put = f"""
            INSERT OR REPLACE INTO {tables.workers} (last_seen,{_COLUMNS})
            VALUES ({NOW_MS},{marks})"""
        self._see = f"""
            UPDATE {tables.workers} SET last_seen={NOW_MS}, memory=coalesce(?,memory) WHERE id=?"""
        self._remove = f"DELETE FROM {tables.workers} WHERE id=?"
        self._remove_unseen = f"DELETE FROM {tables.workers} WHERE id=? AND last_seen=?"
        alive = f"last_seen + coalesce(timeout_s, {NODE_WORKER_TIMEOUT}) * 1000 >= {NOW_MS}"
        self._counts = f"SELECT {NOW_MS}, count(*), total({alive}) FROM {tables.workers}"
        self._all = f"""
            SELECT {NOW_MS}, last_seen,{_COLUMNS} FROM (SELECT 1) LEFT JOIN {tables.workers}
            ORDER BY id"""

    @verb
    @call
    def register(self, connection: sqlite3.Connection, worker: WorkerInfo) -> None:
        """Add a registration, or refresh all of it."""
        connection.execute(self._put, _to_row(worker))

    async def beat(
        self, worker_id: ObjectId, memory: int | None = None, clock_ahead: float | None = None
    ) -> bool:
        """Set the `last_seen` and the memory of a registration; False when there is none."""
        del clock_ahead  # its clock is the database's
        return await self._connections.writer.call(self.see, worker_id, memory)

    def see(self, connection: sqlite3.Connection, worker_id: ObjectId, memory: int | None) -> bool:
        """Do what `beat` does, by any connection."""
        return connection.execute(self._see, (memory, worker_id.binary)).rowcount == 1

    @verb
    @call
    def unregister(self, connection: sqlite3.Connection, worker_id: ObjectId) -> None:
        """Remove a registration."""
        connection.execute(self._remove, (worker_id.binary,))

    @verb
    @call
    def remove_dead(self, connection: sqlite3.Connection, worker: WorkerInfo) -> bool:
        """Remove a registration that has not moved since it was read."""
        guard = (worker.id.binary, to_ms(worker.last_seen))
        return connection.execute(self._remove_unseen, guard).rowcount == 1

    @verb
    @read
    def count_alive(self, connection: sqlite3.Connection) -> int:
        """Count the registered workers that are alive."""
        _, _, alive = self._count(connection)
        return alive

    @verb
    @read
    def vitals(self, connection: sqlite3.Connection, leaving_out: Collection[str] = ()) -> Vitals:
        """Count the workers and find the first due job's time."""
        now, workers, alive = self._count(connection)
        return Vitals(now, workers, alive, self._queue.due_since(connection, now, leaving_out))

    def _count(self, connection: sqlite3.Connection) -> tuple[datetime, int, int]:
        """Return the database's time, how many are registered, and how many of those live."""
        now, registered, alive = connection.execute(self._counts).fetchone()
        return from_ms(now), registered, int(alive)

    @verb
    @call
    def registrations(self, connection: sqlite3.Connection) -> Registrations:
        """Return all registrations with the database's time."""
        rows = connection.execute(self._all).fetchall()  # without any there is the time alone
        workers = tuple(_to_worker(row) for _, *row in rows if row[0] is not None)
        return Registrations(from_ms(rows[0][0]), workers)

    @verb
    @call
    def now(self, connection: sqlite3.Connection) -> datetime:
        """Return the database's present time."""
        return self._read_clock(connection)

    def _read_clock(self, connection: sqlite3.Connection) -> datetime:
        (now,) = connection.execute(self._now).fetchone()
        return from_ms(now)


def _to_row(worker: WorkerInfo) -> Row:
    return (
        worker.id.binary,
        worker.hostname,
        None if worker.tags is None else encode(list(worker.tags)),
        worker.timeout_s,
        worker.service,
        encode(list(worker.names)),
        encode(dict(worker.crons)),
        worker.pid,
        worker.version,
        worker.concurrency,
        optional_ms(worker.started_at),
        worker.memory,
        encode(list(worker.limits)) if worker.limits else None,
        encode(list(worker.rates)) if worker.rates else None,
    )


def _to_worker(row: Row) -> WorkerInfo:
    last_seen, id, hostname, tags, timeout_s, service, names, crons, *rest = row
    pid, version, concurrency, started_at, memory, limits, rates = rest
    return WorkerInfo(
        id=ObjectId(id),
        hostname=hostname,
        last_seen=moment(last_seen) or EPOCH,
        tags=None if tags is None else tuple(map(text_of, list_of(decoded(tags)))),
        timeout_s=timeout_s,
        service=service,
        names=tuple(map(text_of, list_of(decoded(names)))),
        crons=fields_of(decoded(crons)),
        pid=pid,
        version=version,
        concurrency=concurrency,
        started_at=moment(started_at),
        memory=memory,
        limits=() if limits is None else tuple(map(text_of, list_of(decoded(limits)))),
        rates=() if rates is None else tuple(map(text_of, list_of(decoded(rates)))),
    )
