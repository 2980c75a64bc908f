"""New jobs into the table, also in a caller's transaction; and who holds a unique key."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Collection, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from bson import ObjectId

from job_processor.clock import to_ms
from job_processor.errors import JobConflictError, StoreRefusedError
from job_processor.models import Job, JobStatus, SimpleJob
from job_processor.store.desks.intake import Intake
from job_processor.store.hints import Hint
from job_processor.store.requests import replaced_by
from job_processor.store.sqlite.codec import encode
from job_processor.store.sqlite.connections import (
    Plumbing,
    SqliteDesk,
    call,
    transaction,
    verb,
)
from job_processor.store.sqlite.labels import (
    encode_labels,
    forget_labels_statement,
    label_statement,
    labels_rows,
)
from job_processor.store.sqlite.rows import (
    COLUMNS,
    NEW_COLUMNS,
    PLAIN_COLUMNS,
    Row,
    encode_extra,
    encode_tags,
    group_values,
    optional_ms,
    place_values,
    to_plain_rows,
    to_row,
    waits_rows,
)
from job_processor.store.sqlite.tables import HOLDING, Tables

_GROUP = 100
"""New jobs of one statement. It runs without Python's lock, so the next are made meanwhile; row by
row, the lock would be asked for after each, and be had late."""


_FEW = 4
"""New jobs that are sooner written than handed over to the thread."""


class SqliteIntake(SqliteDesk, Intake):
    """Inserts jobs; finds, releases and changes the holder of a key."""

    _early = Hint.WORK  # the claim that follows stands behind it in the thread's queue

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        tables = plumbing.tables
        jobs = tables.jobs
        marks = ",".join("?" * len(NEW_COLUMNS.split(",")))
        self._insert_any = f"""
            INSERT INTO {jobs} ({NEW_COLUMNS}) VALUES ({marks}) ON CONFLICT DO NOTHING"""
        self._insert_plain = self._plain_statement(1)
        self._insert_group = self._plain_statement(_GROUP)
        self._insert_wait = _wait_statement(tables)
        self._insert_label = label_statement(tables)
        self._forget_labels = forget_labels_statement(tables)
        self._forget_waits = f"DELETE FROM {tables.waits} INDEXED BY {tables.waits_of} WHERE job=?"
        self._exists = f"SELECT 1 FROM {jobs} WHERE id=?"
        self._holder = f"""
            SELECT {COLUMNS} FROM {jobs} INDEXED BY {tables.unique_key}
            WHERE name=? AND unique_key=? AND {HOLDING}"""
        self._release = f"""
            UPDATE {jobs} SET unique_key=NULL, unique_until=NULL
            WHERE id=? AND status=? AND unique_key=? AND unique_until IS ?"""
        self._replace_holder = f"""
            UPDATE {jobs} SET payload=?, priority=?, updated_at=?3, extra=?,
                scheduled_for=?, due=?, parked=?, line=?, ready=?, topics=?,
                labels=?, lane=?, ordered=?, rate_lane=?, slot=NULL, waiting_for=?,
                group_id=?, open_in=?, failed_in=?, attempt=1, crashes=0,
                started_at=NULL, worker_id=NULL, output=NULL, notes=NULL, state=NULL, steps=NULL
            WHERE id=? AND status='pending' AND unique_key=? AND unique_until IS ?
                AND updated_at<=?3"""

    def _insert(self, jobs: Sequence[Job]) -> asyncio.Future[list[Job]]:
        writer = self._connections.writer
        write = writer.call if _is_one_statement(jobs) else writer.transaction
        return write(self._write, jobs)

    def _insert_here(self, jobs: Sequence[Job]) -> list[Job] | None:
        if len(jobs) > _FEW:
            return None
        writer = self._connections.writer
        if _is_one_statement(jobs):
            return writer.here(self._write_one, jobs, alone=True)
        return writer.here(self._write, jobs, alone=False)

    async def insert_in(self, session: Any, jobs: Sequence[Job]) -> None:
        """Insert jobs in the transaction of the caller's connection to the same file."""
        from job_processor.store.sqlite.sessions import write_in  # noqa: PLC0415  # few have one

        rows = [to_row(job) for job in jobs]
        path = self._connections.location.path
        if await write_in(session, path, self._insert_any, rows) < len(rows):
            raise JobConflictError.in_transaction(jobs)
        if waits := waits_rows(jobs):
            await write_in(session, path, self._insert_wait, waits)
        if labels := labels_rows(jobs):
            await write_in(session, path, self._insert_label, labels)

    @verb
    @call
    def find_holder(
        self, connection: sqlite3.Connection, name: str, unique_key: str
    ) -> SimpleJob | None:
        """Return the job that holds a unique key of a name."""
        rows = connection.execute(self._holder, (name, unique_key)).fetchall()
        return _simple(rows[0]) if rows else None

    @verb
    @call
    def release_key(self, connection: sqlite3.Connection, holder: SimpleJob) -> None:
        """Take its key from a job that still stands as it was read."""
        until = optional_ms(holder.unique_until)
        arguments = (holder.id.binary, holder.status.value, holder.unique_key, until)
        connection.execute(self._release, arguments)

    @transaction
    def _replace(
        self, connection: sqlite3.Connection, holder: SimpleJob, job: SimpleJob
    ) -> SimpleJob | None:
        """Give a job that waits with its unique key what another one asks for, and nothing else."""
        replaced = replaced_by(holder, job)
        written = connection.execute(
            self._replace_holder,
            (
                None if replaced.payload is None else encode(replaced.payload),
                replaced.priority,
                to_ms(replaced.updated_at),
                encode_extra(replaced),
                *place_values(replaced),
                encode_labels(replaced),
                replaced.lane,
                replaced.ordered,
                replaced.rate_lane,
                encode_tags(replaced),
                *group_values(replaced),
                replaced.id.binary,
                replaced.unique_key,
                optional_ms(replaced.unique_until),
            ),
        ).rowcount
        if not written:
            return None
        if holder.after or replaced.after:
            connection.execute(self._forget_waits, (replaced.id.binary,))
            connection.executemany(self._insert_wait, waits_rows([replaced]))
        if holder.labels or replaced.labels:
            connection.execute(self._forget_labels, (replaced.id.binary,))
            connection.executemany(self._insert_label, labels_rows([replaced]))
        self._revision.bump(connection)
        return replaced

    def _write(self, connection: sqlite3.Connection, jobs: Sequence[Job]) -> list[Job]:
        """Insert jobs, all in one transaction; return those that the unique index refused."""
        if self._insert_all(connection, jobs) == len(jobs):
            return []
        # Whatever has its id in the table is there: by us, by our first attempt, or by another
        # scheduler. What is missing met an active one of its name, or the holder of its key.
        refused = [
            job
            for job in jobs
            if connection.execute(self._exists, (job.id.binary,)).fetchone() is None
        ]
        for job in refused:
            if not job.exclusive and not (isinstance(job, SimpleJob) and job.unique_key):
                raise StoreRefusedError(
                    f"job {job.name!r} ({job.id}): a unique index or a trigger of this table "
                    "refuses it, which is none of this package's; drop it, or use a unique_key "
                    "instead"
                )
        return refused

    def _write_one(self, connection: sqlite3.Connection, jobs: Sequence[Job]) -> list[Job]:
        """Do what `_write` does with a single job, in less time where it is a plain one."""
        rows = to_plain_rows(jobs)
        if rows is not None and connection.execute(self._insert_plain, rows[0]).rowcount:
            return []
        return self._write(connection, jobs)

    def _insert_all(self, connection: sqlite3.Connection, jobs: Sequence[Job]) -> int:
        """Return how many were inserted."""
        rows = to_plain_rows(jobs)
        if rows is None:
            written = [to_row(job) for job in jobs]
            inserted = connection.executemany(self._insert_any, written).rowcount
            if waits := waits_rows(jobs):
                connection.executemany(self._insert_wait, waits)
            if labels := labels_rows(jobs):
                connection.executemany(self._insert_label, labels)
            return inserted
        grouped = len(rows) - len(rows) % _GROUP
        inserted = 0
        for i in range(0, grouped, _GROUP):
            values = tuple(chain.from_iterable(rows[i : i + _GROUP]))
            inserted += connection.execute(self._insert_group, values).rowcount
        if grouped < len(rows):
            inserted += connection.executemany(self._insert_plain, rows[grouped:]).rowcount
        return inserted

    def _plain_statement(self, count: int) -> str:
        marks = ",".join("?" * len(PLAIN_COLUMNS.split(",")))
        values = ",".join([f"('simple','pending',{marks})"] * count)
        return f"""
            INSERT INTO {self._tables.jobs} (type,status,{PLAIN_COLUMNS}) VALUES {values}
            ON CONFLICT DO NOTHING"""


def _is_one_statement(jobs: Sequence[Job]) -> bool:
    """Tell whether nothing is written but one row: an immediate transaction of its own."""
    return len(jobs) == 1 and not jobs[0].after and not jobs[0].labels


def _wait_statement(tables: Tables) -> str:
    """Return what notes what a job comes after that is there, unless it is noted."""
    return f"""
        INSERT INTO {tables.waits} (tag, job, open)
        SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM {tables.jobs} WHERE id=?2)
        ON CONFLICT DO NOTHING"""


async def follow_in(
    connection: Any, path: Path | None, mark: str, look: str, job_ids: Collection[ObjectId]
) -> dict[ObjectId, JobStatus]:
    """Mark jobs in the caller's transaction; return the states of those that it has."""
    from job_processor.store.sqlite.sessions import answer, write_in  # noqa: PLC0415  # as above

    ids = [(job_id.binary,) for job_id in job_ids]
    await write_in(connection, path, mark, ids)
    states: dict[ObjectId, JobStatus] = {}
    for job_id, id in zip(job_ids, ids, strict=True):
        cursor = await answer(connection.execute(look, id))
        row = await answer(cursor.fetchone())
        if row is not None:
            states[job_id] = JobStatus(row[0])
    return states


def _simple(row: Row) -> SimpleJob:
    from job_processor.store.sqlite.reading import to_job  # noqa: PLC0415  # few look for a holder

    job = to_job(row)
    assert isinstance(job, SimpleJob)  # noqa: S101  # no other has a unique key
    return job
