"""Unique keys: who holds one, and how it is given up or its holder changed."""

from __future__ import annotations

import sqlite3

from job_processor.clock import to_ms
from job_processor.models import SimpleJob
from job_processor.store.sqlite.codec import encode
from job_processor.store.sqlite.revision import Revision
from job_processor.store.sqlite.rows import COLUMNS, Row, optional_ms, to_job
from job_processor.store.sqlite.tables import HOLDING, Tables


class UniqueKeys:
    """Finds, releases and changes the holder of a key; the unique index decides who it is."""

    def __init__(self, tables: Tables, revision: Revision) -> None:
        jobs, self._revision = tables.jobs, revision
        self._holder = f"""
            SELECT {COLUMNS} FROM {jobs} INDEXED BY {tables.unique_key}
            WHERE name=? AND unique_key=? AND {HOLDING}"""
        self._release = f"""
            UPDATE {jobs} SET unique_key=NULL, unique_until=NULL
            WHERE id=? AND status=? AND unique_key=? AND unique_until IS ?"""
        self._replace = f"""
            UPDATE {jobs} SET payload=?, scheduled_for=?, priority=?,
                updated_at=max(updated_at, ?4), extra=CASE
                WHEN ?5 IS NULL THEN json_remove(extra, '$.expires_at')
                ELSE json_patch(coalesce(extra, '{{}}'), ?5) END
            WHERE id=? AND status='pending' AND unique_key=? AND {HOLDING} RETURNING {COLUMNS}"""

    def find_holder(
        self, connection: sqlite3.Connection, name: str, unique_key: str
    ) -> SimpleJob | None:
        """Return the job that holds a unique key of a name."""
        rows = connection.execute(self._holder, (name, unique_key)).fetchall()
        return _simple(rows[0]) if rows else None

    def release(self, connection: sqlite3.Connection, holder: SimpleJob) -> None:
        """Take its key from a job that still stands as it was read."""
        until = optional_ms(holder.unique_until)
        arguments = (holder.id.binary, holder.status.value, holder.unique_key, until)
        connection.execute(self._release, arguments)

    def replace(
        self, connection: sqlite3.Connection, holder: SimpleJob, job: SimpleJob
    ) -> SimpleJob | None:
        """Give a job that waits with its unique key what another one asks for."""
        expiry = None if job.expires_at is None else encode({"expires_at": job.expires_at})
        rows = connection.execute(
            self._replace,
            (
                None if job.payload is None else encode(job.payload),
                to_ms(job.scheduled_for),
                job.priority,
                to_ms(job.updated_at),
                expiry,
                holder.id.binary,
                job.unique_key,
            ),
        ).fetchall()
        if not rows:
            return None
        self._revision.bump(connection)
        return _simple(rows[0])


def _simple(row: Row) -> SimpleJob:
    job = to_job(row)
    assert isinstance(job, SimpleJob)  # noqa: S101  # no other has a unique key
    return job
