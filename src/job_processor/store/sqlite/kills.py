"""Kill requests: left for the worker of a running job, acknowledged once the job is settled."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from datetime import datetime

from bson import ObjectId

from job_processor.clock import to_ms
from job_processor.store.sqlite.revision import Revision
from job_processor.store.sqlite.tables import ACTIVE, Tables


class Signals:
    """The statements of the kill requests."""

    def __init__(self, tables: Tables, revision: Revision) -> None:
        self._revision = revision
        self._request = f"""
            INSERT INTO {tables.signals} (job_id, worker_id, created_at) VALUES (?, ?, ?)
            ON CONFLICT DO NOTHING"""
        self._open = f"""
            SELECT job_id FROM {tables.signals} INDEXED BY {tables.open_kills} WHERE ack=0"""
        active = f"SELECT 1 FROM {tables.jobs} WHERE id={tables.signals}.job_id AND {ACTIVE}"
        ended = f"NOT EXISTS ({active})"
        self._acknowledge = f"""
            UPDATE {tables.signals} INDEXED BY {tables.open_kills}
            SET ack=1 WHERE job_id=? AND ack=0 AND {ended}"""
        self._prune = f"DELETE FROM {tables.signals} WHERE ack=1 OR {ended}"

    def request_kill(
        self,
        connection: sqlite3.Connection,
        job_id: ObjectId,
        worker_id: ObjectId,
        now: datetime,
    ) -> None:
        """Leave a request, unless the same one is there."""
        row = (job_id.binary, worker_id.binary, to_ms(now))
        if connection.execute(self._request, row).rowcount:
            self._revision.bump(connection)

    def kill_requests(
        self, connection: sqlite3.Connection, job_ids: Collection[ObjectId]
    ) -> set[ObjectId]:
        """Return those of the jobs that somebody asked to kill."""
        # Requests are few, and done with when their job ends; running jobs may be many.
        asked = {id for (id,) in connection.execute(self._open)}
        return {job_id for job_id in job_ids if job_id.binary in asked} if asked else set()

    def acknowledge_kills(
        self, connection: sqlite3.Connection, job_ids: Collection[ObjectId]
    ) -> None:
        """Mark the requests of those of these jobs that are settled or gone as done."""
        connection.executemany(self._acknowledge, [(job_id.binary,) for job_id in job_ids])

    def prune(self, connection: sqlite3.Connection) -> None:
        """Drop the requests that are done with, and those of jobs that are settled or gone."""
        connection.execute(self._prune)
