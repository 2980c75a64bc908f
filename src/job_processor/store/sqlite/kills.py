"""Kills of what waits; requests to the worker of what runs, acknowledged once it is settled."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from datetime import datetime

from bson import ObjectId

from job_processor.clock import to_ms
from job_processor.models import Job
from job_processor.store.desks.kills import Kills
from job_processor.store.sqlite.connections import (
    Plumbing,
    SqliteDesk,
    call,
    transaction,
)
from job_processor.store.sqlite.reading import to_job
from job_processor.store.sqlite.rows import COLUMNS
from job_processor.store.sqlite.tables import ACTIVE, OUT_OF_GROUP, OUT_OF_LANE, UNHELD


class SqliteKills(SqliteDesk, Kills):
    """Kills, and keeps requests in a table of their own."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        tables = plumbing.tables
        self._kill = f"""
            UPDATE {tables.jobs} SET status='killed', updated_at=max(updated_at, ?1), ended_at=?1,
                {OUT_OF_LANE}, {OUT_OF_GROUP}
            WHERE id=?2 AND {UNHELD} RETURNING {COLUMNS}"""
        self._ask = f"""
            INSERT INTO {tables.signals} (job_id, worker_id, created_at) VALUES (?, ?, ?)
            ON CONFLICT DO NOTHING"""
        self._open = f"""
            SELECT job_id FROM {tables.signals} INDEXED BY {tables.open_kills} WHERE ack=0"""
        active = f"SELECT 1 FROM {tables.jobs} WHERE id={tables.signals}.job_id AND {ACTIVE}"
        ended = f"NOT EXISTS ({active})"
        self._done = f"""
            UPDATE {tables.signals} INDEXED BY {tables.open_kills}
            SET ack=1 WHERE job_id=? AND ack=0 AND {ended}"""
        self._drop = f"DELETE FROM {tables.signals} WHERE ack=1 OR {ended}"

    @transaction
    def _kill_waiting(
        self, connection: sqlite3.Connection, job_id: ObjectId, now: datetime
    ) -> Job | None:
        """Kill a job that waits, or that runs under nobody; None in other states."""
        rows = connection.execute(self._kill, (to_ms(now), job_id.binary)).fetchall()
        if not rows:
            return None
        self._revision.bump(connection)
        return to_job(rows[0])

    @transaction
    def _request(
        self, connection: sqlite3.Connection, job_id: ObjectId, worker_id: ObjectId, now: datetime
    ) -> None:
        """Leave a request, unless the same one is there."""
        row = (job_id.binary, worker_id.binary, to_ms(now))
        if connection.execute(self._ask, row).rowcount:
            self._revision.bump(connection)

    @call
    def _requested(
        self, connection: sqlite3.Connection, job_ids: Collection[ObjectId]
    ) -> set[ObjectId]:
        """Return those of the jobs that somebody asked to kill."""
        # Requests are few, and done with when their job ends; running jobs may be many.
        asked = {id for (id,) in connection.execute(self._open)}
        return {job_id for job_id in job_ids if job_id.binary in asked} if asked else set()

    @transaction
    def _acknowledge(self, connection: sqlite3.Connection, job_ids: Collection[ObjectId]) -> None:
        """Mark the requests of those of these jobs that are settled or gone as done."""
        connection.executemany(self._done, [(job_id.binary,) for job_id in job_ids])

    @call
    def prune(self, connection: sqlite3.Connection) -> None:
        """Drop the requests that are done with, and those of jobs that are settled or gone."""
        connection.execute(self._drop)
