"""Jobs: settled, killed while they wait, moved, removed.

Each function runs in a connection's thread. What takes more than one statement runs inside a
transaction of its caller (`Database.transaction`); each statement carries its own guard.
"""

from __future__ import annotations

import json
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
from job_processor.models import CronTask, Job, Notes
from job_processor.store.requests import Settlement, Verdict
from job_processor.store.sqlite.batches import write_storable
from job_processor.store.sqlite.codec import decode, encode
from job_processor.store.sqlite.revision import Revision
from job_processor.store.sqlite.rows import (
    COLUMNS,
    Row,
    encode_extra,
    encode_notes,
    encode_output,
    optional_id,
    optional_ms,
    to_job,
)
from job_processor.store.sqlite.tables import AT_REST, RUNNING, SETTLED, UNHELD, Tables

_END_VALUES = 7  # of each plain end
_COMPARED = 6  # of the changes of an end, when a reply was lost


class Jobs:
    """The statements that change jobs."""

    def __init__(self, tables: Tables, revision: Revision) -> None:
        jobs = tables.jobs
        self._tables = tables
        self._revision = revision
        self._end_many = lru_cache(self._end_statement)
        fence = f"id=? AND {RUNNING} AND worker_id=? AND attempt=? AND updated_at=?"
        self._settle = f"""
            UPDATE {jobs} SET status=?, updated_at=?, ended_at=?, output=?, worker_id=?, attempt=?,
                crashes=?, scheduled_for=?, planned_for=?, started_at=?, extra=?, notes=?,
                state=CASE WHEN ? THEN NULL ELSE state END
            WHERE {fence}"""
        self._save_notes = f"UPDATE {jobs} SET notes=? WHERE {fence}"
        self._save_state = f"""
            UPDATE {jobs}
            SET state=?, extra=json_set(coalesce(extra, '{{}}'), '$.state_saved', json(?))
            WHERE {fence}"""
        self._state = f"SELECT state FROM {jobs} WHERE id=?"
        self._written = f"""
            SELECT id, status, updated_at, ended_at, output, worker_id, attempt
            FROM {jobs} WHERE id IN"""
        self._kill_waiting = f"""
            UPDATE {jobs} SET status='killed', updated_at=max(updated_at, ?1), ended_at=?1
            WHERE id=?2 AND {UNHELD} RETURNING {COLUMNS}"""
        self._requeue = f"""
            UPDATE {jobs} SET status='pending', updated_at=max(updated_at, ?1), scheduled_for=?1,
                started_at=NULL, ended_at=NULL, worker_id=NULL, output=NULL, attempt=1, crashes=0,
                sync=0, notes=NULL, state=NULL,
                extra=json_remove(extra, '$.expires_at', '$.state_saved'),
                planned_for=CASE type WHEN 'cron_task' THEN coalesce(planned_for, scheduled_for) END
            WHERE id=?2 AND {SETTLED} RETURNING {COLUMNS}"""
        self._runs_of = f"""
            SELECT {COLUMNS} FROM {jobs} INDEXED BY {tables.running}
            WHERE {RUNNING} AND worker_id=? AND hex(id) NOT IN (SELECT value FROM json_each(?))
            LIMIT ?"""
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

    def settle(self, connection: sqlite3.Connection, settlements: Sequence[Settlement]) -> Verdict:
        """Write outcomes, each guarded; tell which hold, and which cannot be stored."""
        refused: dict[ObjectId, str] = {}
        plain = [each for each in settlements if _is_plain(each)]
        others = [each for each in settlements if not _is_plain(each)]

        def refuse(settlement: Settlement, why: str) -> None:
            refused[settlement.job.id] = why

        written = write_storable(connection, plain, _end_row, self._end, refuse)
        written += write_storable(connection, others, _change_row, self._change, refuse)
        if written:
            self._revision.bump(connection)
        sent = [each for each in settlements if each.job.id not in refused]
        if written == len(sent):
            return Verdict({each.job.id for each in sent}, refused)
        return Verdict(self._held(connection, sent), refused)

    def _end(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> int:
        """Write plain ends in one statement; return how many still ran under their fence."""
        values = list(chain.from_iterable(rows))
        return connection.execute(self._end_many(len(rows)), values).rowcount

    def _end_statement(self, count: int) -> str:
        marks = f"({','.join('?' * _END_VALUES)})"
        # It begins with UPDATE: sqlite3 counts the rows of no other. Columns: see `_end`.
        return f"""
            UPDATE {self._tables.jobs} AS job
            SET status=column1, updated_at=max(column2, job.updated_at), ended_at=column2,
                output=column3
            FROM (VALUES {",".join([marks] * count)})
            WHERE job.id=column4 AND job.{RUNNING} AND job.worker_id=column5
                AND job.attempt=column6 AND job.updated_at=column7"""

    def _change(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> int:
        """Write ends of any kind; return how many still ran under their fence."""
        return connection.executemany(self._settle, rows).rowcount

    def _held(
        self, connection: sqlite3.Connection, settlements: Sequence[Settlement]
    ) -> set[ObjectId]:
        """Return the jobs that hold what was to be written: by now, or since a lost reply."""
        ids = [each.job.id.binary for each in settlements]
        marks = ",".join("?" * len(ids))
        rows = {row[0]: row[1:] for row in connection.execute(f"{self._written} ({marks})", ids)}
        return {
            each.job.id
            for each in settlements
            if rows.get(each.job.id.binary) == _changes(each)[:_COMPARED]
        }

    def save_notes(
        self, connection: sqlite3.Connection, noted: Sequence[tuple[Job, Notes]]
    ) -> dict[ObjectId, str]:
        """Write what runs have told; one that was taken away is left. Return what cannot be."""
        refused: dict[ObjectId, str] = {}

        def refuse(of_run: tuple[Job, Notes], why: str) -> None:
            refused[of_run[0].id] = why

        write_storable(connection, noted, _note_row, self._note, refuse)
        return refused

    def _note(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> int:
        return connection.executemany(self._save_notes, rows).rowcount

    def save_state(self, connection: sqlite3.Connection, job: Job, state: Any) -> bool:
        """Write the state of a run; False when it was taken away."""
        values = (encode(state), encode(job.updated_at), *_fence(job))
        return connection.execute(self._save_state, values).rowcount == 1

    def state(self, connection: sqlite3.Connection, job_id: ObjectId) -> Any:
        """Return the state that was saved last."""
        row = connection.execute(self._state, (job_id.binary,)).fetchone()
        return None if row is None or row[0] is None else decode(row[0])

    def kill_waiting(
        self, connection: sqlite3.Connection, job_id: ObjectId, now: datetime
    ) -> Job | None:
        """Kill a job that waits, or that runs under nobody; None in other states."""
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

    def runs_of(
        self,
        connection: sqlite3.Connection,
        worker_id: ObjectId,
        limit: int,
        exclude: Collection[ObjectId],
    ) -> list[Job]:
        """Return what runs under a worker's id, the excluded left out."""
        excluded = json.dumps([id.binary.hex().upper() for id in exclude])
        arguments = (worker_id.binary, excluded, limit)
        rows = connection.execute(self._runs_of, arguments).fetchall()
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


def _is_plain(settlement: Settlement) -> bool:
    """Tell whether a run just ends: nothing but its state, its end and its output is written.

    The time and the attempt of the next run are changed only where there is one.
    """
    job, outcome = settlement.job, settlement.outcome
    return (
        outcome.status in models.SETTLED
        and outcome.output is not None
        and outcome.notes is None
        and not outcome.bare
        and outcome.crashes == job.crashes
        and settlement.writer == job.worker_id
    )


def _end_row(settlement: Settlement) -> Row:
    """Return the parameters of a plain end."""
    outcome = settlement.outcome
    values = (outcome.status.value, to_ms(outcome.at), encode_output(outcome.output))
    return (*values, *_fence(settlement.job))


def _change_row(settlement: Settlement) -> Row:
    """Return the parameters of an end of any kind."""
    return (*_changes(settlement), settlement.outcome.bare, *_fence(settlement.job))


def _note_row(of_run: tuple[Job, Notes]) -> Row:
    """Return the parameters of what a run has told."""
    job, notes = of_run
    return (encode_notes(notes), *_fence(job))


def _changes(settlement: Settlement) -> Row:
    """Return what a settlement writes; the first `_COMPARED` tell whose it is."""
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
    return job.id.binary, optional_id(job.worker_id), job.attempt, to_ms(job.updated_at)
