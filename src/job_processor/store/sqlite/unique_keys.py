"""Unique keys: who holds one, and how it is given up or its holder changed."""

from __future__ import annotations

import sqlite3

from job_processor.clock import to_ms
from job_processor.models import SimpleJob, replaced_by
from job_processor.store.sqlite.codec import encode
from job_processor.store.sqlite.revision import Revision
from job_processor.store.sqlite.rows import COLUMNS, Row, encode_extra, optional_ms, to_job
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
            UPDATE {jobs} SET payload=?, scheduled_for=?, priority=?, updated_at=?, extra=?,
                attempt=1, crashes=0, started_at=NULL, worker_id=NULL, output=NULL, notes=NULL,
                state=NULL
            WHERE id=? AND status='pending' AND unique_key=? AND unique_until IS ?
                AND updated_at<=?4"""

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
        """Give a job that waits with its unique key what another one asks for, and nothing else."""
        replaced = replaced_by(holder, job)
        written = connection.execute(
            self._replace,
            (
                None if replaced.payload is None else encode(replaced.payload),
                to_ms(replaced.scheduled_for),
                replaced.priority,
                to_ms(replaced.updated_at),
                encode_extra(replaced),
                replaced.id.binary,
                replaced.unique_key,
                optional_ms(replaced.unique_until),
            ),
        ).rowcount
        if not written:
            return None
        self._revision.bump(connection)
        return replaced


def _simple(row: Row) -> SimpleJob:
    job = to_job(row)
    assert isinstance(job, SimpleJob)  # noqa: S101  # no other has a unique key
    return job
