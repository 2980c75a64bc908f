"""Jobs: made, settled, killed while they wait, moved, removed.

Each function runs in a connection's thread. What takes more than one statement runs inside a
transaction of its caller (`Database.transaction`); each statement carries its own guard.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import chain
from typing import Any

from bson import ObjectId

from job_processor import models
from job_processor.clock import to_ms
from job_processor.errors import JobConflictError
from job_processor.models import CronTask, Job, Settlement, SimpleJob
from job_processor.notes import Notes
from job_processor.store.sqlite.codec import decode, encode
from job_processor.store.sqlite.revision import Revision
from job_processor.store.sqlite.rows import (
    COLUMNS,
    PLAIN_COLUMNS,
    Row,
    encode_extra,
    encode_notes,
    encode_output,
    optional_id,
    optional_ms,
    to_job,
    to_plain_rows,
    to_row,
)
from job_processor.store.sqlite.tables import AT_REST, HOLDING, RUNNING, SETTLED, WAITING, Tables

_GROUP = 100
"""New jobs of one statement. It runs without Python's lock, so the next are made meanwhile; row by
row, the lock would be asked for after each, and be had late."""

_END_VALUES = 6  # of each plain end
_LARGEST_PART = 128


class Jobs:
    """The statements that change jobs."""

    def __init__(self, tables: Tables, revision: Revision) -> None:
        jobs = tables.jobs
        self._tables = tables
        self._revision = revision
        marks = ",".join("?" * len(COLUMNS.split(",")))
        self._insert = f"INSERT INTO {jobs} ({COLUMNS}) VALUES ({marks}) ON CONFLICT DO NOTHING"
        self._insert_plain = self._plain_statement(1)
        self._insert_group = self._plain_statement(_GROUP)
        self._exists = f"SELECT 1 FROM {jobs} WHERE id=?"
        self._holder = f"""
            SELECT {COLUMNS} FROM {jobs} INDEXED BY {tables.unique_key}
            WHERE name=? AND unique_key=? AND {HOLDING}"""
        self._release_key = f"""
            UPDATE {jobs} SET unique_key=NULL, unique_until=NULL
            WHERE id=? AND status=? AND unique_key=? AND unique_until IS ?"""
        self._replace = f"""
            UPDATE {jobs} SET payload=?, scheduled_for=?, priority=?, updated_at=?, extra=CASE
                WHEN ?5 IS NULL THEN json_remove(extra, '$.expires_at')
                ELSE json_patch(coalesce(extra, '{{}}'), ?5) END
            WHERE id=? AND status='pending' AND unique_key=? AND {HOLDING} RETURNING {COLUMNS}"""
        self._end_many = lru_cache(self._end_statement)
        fence = f"id=? AND {RUNNING} AND worker_id=? AND attempt=?"
        self._settle = f"""
            UPDATE {jobs} SET status=?, updated_at=?, ended_at=?, output=?, worker_id=?, attempt=?,
                crashes=?, scheduled_for=?, planned_for=?, started_at=?, extra=?, notes=?
            WHERE {fence}"""
        self._save_notes = f"UPDATE {jobs} SET notes=? WHERE {fence}"
        self._save_state = f"UPDATE {jobs} SET state=? WHERE {fence}"
        self._state = f"SELECT state FROM {jobs} WHERE id=?"
        self._written = f"""
            SELECT status, updated_at, ended_at, output, worker_id, attempt
            FROM {jobs} WHERE id=?"""
        self._kill_waiting = f"""
            UPDATE {jobs} SET status='killed', updated_at=?1, ended_at=?1
            WHERE id=?2 AND {WAITING} RETURNING {COLUMNS}"""
        self._requeue = f"""
            UPDATE {jobs} SET status='pending', updated_at=?1, scheduled_for=?1, started_at=NULL,
                ended_at=NULL, worker_id=NULL, output=NULL, attempt=1, crashes=0, sync=0,
                notes=NULL, state=NULL,
                extra=json_remove(extra, '$.expires_at'),
                planned_for=CASE type WHEN 'cron_task' THEN coalesce(planned_for, scheduled_for) END
            WHERE id=?2 AND {SETTLED} RETURNING {COLUMNS}"""
        self._runs_of = f"""
            SELECT {COLUMNS} FROM {jobs} INDEXED BY {tables.running}
            WHERE {RUNNING} AND worker_id=? LIMIT ?"""
        self._move_runs = f"UPDATE {jobs} SET worker_id=? WHERE {RUNNING} AND worker_id=?"
        self._ids_of = f"""
            SELECT id FROM {jobs} INDEXED BY {tables.running} WHERE {RUNNING} AND worker_id=?"""
        self._running_workers = f"""
            SELECT DISTINCT worker_id FROM {jobs} INDEXED BY {tables.running}
            WHERE {RUNNING} AND worker_id IS NOT NULL"""
        self._delete = f"DELETE FROM {jobs} WHERE id=? AND {AT_REST}"
        self._prune = f"""
            DELETE FROM {jobs} WHERE rowid IN (
                SELECT rowid FROM {jobs} INDEXED BY {tables.ended}
                WHERE ended_at<? ORDER BY ended_at LIMIT ?
            )"""

    def insert(self, connection: sqlite3.Connection, jobs: Sequence[Job]) -> list[Job]:
        """Insert jobs, all in one transaction; return those that the unique index refused."""
        if self._insert_all(connection, jobs) == len(jobs):
            return []
        # Whatever has its id in the table is there: by us, by our first attempt, or by another
        # scheduler. What is missing met an active one of its name, or the holder of its key.
        return [
            job
            for job in jobs
            if (job.exclusive or (isinstance(job, SimpleJob) and job.unique_key is not None))
            and connection.execute(self._exists, (job.id.binary,)).fetchone() is None
        ]

    def _insert_all(self, connection: sqlite3.Connection, jobs: Sequence[Job]) -> int:
        """Return how many were inserted."""
        rows = to_plain_rows(jobs)
        if rows is None:
            return connection.executemany(self._insert, [to_row(job) for job in jobs]).rowcount
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

    def insert_statement(self, jobs: Sequence[Job]) -> tuple[str, list[Row]]:
        """Return the statement of `insert` and its parameters, for a connection of the caller."""
        return self._insert, [to_row(job) for job in jobs]

    def find_holder(
        self, connection: sqlite3.Connection, name: str, unique_key: str
    ) -> SimpleJob | None:
        """Return the job that holds a unique key of a name."""
        rows = connection.execute(self._holder, (name, unique_key)).fetchall()
        return _simple(rows[0]) if rows else None

    def release_key(self, connection: sqlite3.Connection, holder: SimpleJob) -> None:
        """Take its key from a job that still stands as it was read."""
        until = optional_ms(holder.unique_until)
        arguments = (holder.id.binary, holder.status.value, holder.unique_key, until)
        connection.execute(self._release_key, arguments)

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

    def settle(
        self, connection: sqlite3.Connection, settlements: Sequence[Settlement]
    ) -> set[ObjectId]:
        """Write outcomes, each guarded; return the ids that hold what was to be written."""
        plain = [each for each in settlements if _is_plain(each)]
        written = self._end(connection, plain) if plain else 0
        if len(plain) < len(settlements):
            others = [
                (*_changes(each), *_fence(each.job)) for each in settlements if not _is_plain(each)
            ]
            written += connection.executemany(self._settle, others).rowcount
        if written:
            self._revision.bump(connection)
        if written == len(settlements):
            return {settlement.job.id for settlement in settlements}
        return {
            settlement.job.id for settlement in settlements if self._holds(connection, settlement)
        }

    def _end(self, connection: sqlite3.Connection, settlements: Sequence[Settlement]) -> int:
        """Write plain ends, many in one statement; return how many still ran under their fence."""
        values: list[Any] = []
        for settlement in settlements:
            outcome = settlement.outcome
            values += (outcome.status.value, to_ms(outcome.at), encode_output(outcome.output))
            values += _fence(settlement.job)
        written, start = 0, 0
        while start < len(values):
            left = (len(values) - start) // _END_VALUES
            size = min(_LARGEST_PART, 1 << (left.bit_length() - 1))  # powers of two: few statements
            stop = start + size * _END_VALUES
            written += connection.execute(self._end_many(size), values[start:stop]).rowcount
            start = stop
        return written

    def _end_statement(self, count: int) -> str:
        marks = f"({','.join('?' * _END_VALUES)})"
        # It begins with UPDATE: sqlite3 counts the rows of no other. Columns: see `_end`.
        return f"""
            UPDATE {self._tables.jobs} AS job
            SET status=column1, updated_at=column2, ended_at=column2, output=column3
            FROM (VALUES {",".join([marks] * count)})
            WHERE job.id=column4 AND job.{RUNNING} AND job.worker_id=column5
                AND job.attempt=column6"""

    def _holds(self, connection: sqlite3.Connection, settlement: Settlement) -> bool:
        """Tell whether a job holds what a settlement writes: by now, or since a lost reply."""
        row = connection.execute(self._written, (settlement.job.id.binary,)).fetchone()
        return row is not None and row == _changes(settlement)[: len(row)]

    def save_notes(
        self, connection: sqlite3.Connection, noted: Sequence[tuple[Job, Notes]]
    ) -> None:
        """Write what runs have told; one that was taken away is left."""
        rows = [(encode_notes(notes), *_fence(job)) for job, notes in noted]
        connection.executemany(self._save_notes, rows)

    def save_state(self, connection: sqlite3.Connection, job: Job, state: Any) -> bool:
        """Write the state of a run; False when it was taken away."""
        return connection.execute(self._save_state, (encode(state), *_fence(job))).rowcount == 1

    def state(self, connection: sqlite3.Connection, job_id: ObjectId) -> Any:
        """Return the state that was saved last."""
        row = connection.execute(self._state, (job_id.binary,)).fetchone()
        return None if row is None or row[0] is None else decode(row[0])

    def kill_waiting(
        self, connection: sqlite3.Connection, job_id: ObjectId, now: datetime
    ) -> Job | None:
        """Kill a job that waits; None when it does not."""
        rows = connection.execute(self._kill_waiting, (to_ms(now), job_id.binary)).fetchall()
        if not rows:
            return None
        self._revision.bump(connection)
        return to_job(rows[0])

    def requeue(
        self, connection: sqlite3.Connection, job_id: ObjectId, now: datetime
    ) -> Job | None:
        """Let a settled job wait again; None when it is not settled, or there is none."""
        try:
            rows = connection.execute(self._requeue, (to_ms(now), job_id.binary)).fetchall()
        except sqlite3.IntegrityError as error:
            raise JobConflictError.of(job_id) from error
        if not rows:
            return None
        self._revision.bump(connection)
        return to_job(rows[0])

    def runs_of(self, connection: sqlite3.Connection, worker_id: ObjectId, limit: int) -> list[Job]:
        """Return what runs under a worker's id."""
        rows = connection.execute(self._runs_of, (worker_id.binary, limit)).fetchall()
        return [to_job(row) for row in rows]

    def move_runs(
        self, connection: sqlite3.Connection, old: ObjectId, new: ObjectId
    ) -> set[ObjectId]:
        """Move what runs from one worker id to another; return all that runs under the new one."""
        connection.execute(self._move_runs, (new.binary, old.binary))
        return {ObjectId(id) for (id,) in connection.execute(self._ids_of, (new.binary,))}

    def running_worker_ids(self, connection: sqlite3.Connection) -> set[ObjectId]:
        """Return the worker ids of all running jobs."""
        return {ObjectId(id) for (id,) in connection.execute(self._running_workers)}

    def delete(
        self, connection: sqlite3.Connection, job_ids: Collection[ObjectId]
    ) -> set[ObjectId]:
        """Remove jobs that do not run; return which."""
        gone = {
            job_id
            for job_id in job_ids
            if connection.execute(self._delete, (job_id.binary,)).rowcount
        }
        if gone:
            self._revision.bump(connection)
        return gone

    def prune(self, connection: sqlite3.Connection, before: datetime, limit: int) -> int:
        """Remove what was settled before a time, the oldest first."""
        return connection.execute(self._prune, (to_ms(before), limit)).rowcount


def _simple(row: Row) -> SimpleJob:
    job = to_job(row)
    assert isinstance(job, SimpleJob)  # noqa: S101  # no other has a unique key
    return job


def _is_plain(settlement: Settlement) -> bool:
    """Tell whether a run just ends: nothing but its state, its end and its output is written.

    The time and the attempt of the next run are changed only where there is one.
    """
    job, outcome = settlement.job, settlement.outcome
    return (
        outcome.status in models.SETTLED
        and outcome.output is not None
        and outcome.notes is None
        and outcome.crashes == job.crashes
        and settlement.writer == job.worker_id
    )


def _changes(settlement: Settlement) -> Row:
    """Return what a settlement writes; the first six are compared when a reply was lost."""
    job = settlement.written()
    return (
        job.status.value,
        to_ms(job.updated_at),
        optional_ms(job.ended_at),
        encode_output(job.output),
        optional_id(job.worker_id),
        job.attempt,
        job.crashes,
        to_ms(job.scheduled_for),
        optional_ms(job.planned_for) if isinstance(job, CronTask) else None,
        optional_ms(job.started_at),
        encode_extra(job),
        encode_notes(job.notes),
    )


def _fence(job: Job) -> Row:
    return job.id.binary, optional_id(job.worker_id), job.attempt
