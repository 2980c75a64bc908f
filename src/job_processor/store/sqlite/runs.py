"""Jobs that run: settled, noted, moved. Each statement carries its own guard."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from functools import lru_cache, partial
from itertools import chain, groupby
from typing import Any

from bson import ObjectId

from job_processor import models
from job_processor.clock import to_ms
from job_processor.models import CronTask, Job, Notes, Step
from job_processor.redaction import Redaction
from job_processor.store.desks.runs import Runs
from job_processor.store.fresh import Fresh
from job_processor.store.lanes import is_apart
from job_processor.store.requests import Outcome, Settlement, Verdict
from job_processor.store.sqlite.batches import write_storable
from job_processor.store.sqlite.codec import decode, encode
from job_processor.store.sqlite.connections import (
    Plumbing,
    SqliteDesk,
    call,
    page,
    transaction,
    verb,
)
from job_processor.store.sqlite.reading import to_job
from job_processor.store.sqlite.rows import (
    COLUMNS,
    Row,
    bound_id,
    encode_extra,
    encode_notes,
    encode_output,
    encode_step,
    group_values,
    optional_id,
    optional_ms,
    place_values,
)
from job_processor.store.sqlite.summaries import Summaries
from job_processor.store.sqlite.tables import RUNNING, Tables
from job_processor.store.summaries import JobSummary

_END_VALUES = 7  # of each plain end
_ID_OF_END = 3  # where the job is among them
_COMPARED = 6  # of the changes of an end, when a reply was lost
_END_OF_MEMBER = (
    ", open_in=NULL, failed_in=CASE WHEN column1='finished' THEN NULL ELSE job.group_id END"
)
_PLACE = 7  # where the time is among them, which a lane keeps elsewhere


class SqliteRuns(SqliteDesk, Runs):
    """Writes what runs leave, fenced by worker, attempt and moment of the claim."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        tables = plumbing.tables
        jobs = tables.jobs
        self._shown = Summaries(tables)
        self._end_many = lru_cache(partial(_end_statement, tables))
        self._end_together_alike = lru_cache(partial(_end_alike_statement, tables))
        fence = f"id=? AND {RUNNING} AND worker_id=? AND attempt=? AND updated_at=?"
        known = "(followed IS NULL OR ?)"
        self._settle_one = f"""
            UPDATE {jobs} SET status=?, updated_at=?, ended_at=?, output=?, worker_id=?, attempt=?,
                crashes=?, scheduled_for=?, planned_for=?, started_at=?, extra=?, notes=?,
                state=CASE WHEN ? THEN NULL ELSE state END
            WHERE {fence} AND {known}"""
        self._settle_apart = f"""
            UPDATE {jobs} SET status=?, updated_at=?, ended_at=?, output=?, worker_id=?, attempt=?,
                crashes=?, planned_for=?, started_at=?, extra=?, notes=?,
                scheduled_for=?, due=?, parked=?, line=?, ready=?, topics=?,
                lane=?, ordered=?, slot=?, rate_lane=?, group_id=?, open_in=?, failed_in=?,
                state=CASE WHEN ? THEN NULL ELSE state END
            WHERE {fence} AND {known}"""
        self._note_one = f"UPDATE {jobs} SET notes=? WHERE {fence}"
        self._keep_state = f"""
            UPDATE {jobs}
            SET state=?, extra=json_set(coalesce(extra, '{{}}'), '$.state_saved', json(?))
            WHERE {fence}"""
        self._keep_step = f"""
            UPDATE {jobs}
            SET steps=coalesce(steps || ',', '') || ?,
                extra=json_set(coalesce(extra, '{{}}'), '$.state_saved', json(?))
            WHERE {fence}"""
        self._kept_state = f"SELECT state FROM {jobs} WHERE id=?"
        self._written = f"""
            SELECT id, followed, status, updated_at, ended_at, output, worker_id, attempt
            FROM {jobs} WHERE id IN"""
        self._of = f"""
            SELECT {COLUMNS} FROM {jobs} INDEXED BY {tables.running}
            WHERE {RUNNING} AND worker_id=? AND hex(id) NOT IN (SELECT value FROM json_each(?))
            LIMIT ?"""
        self._move = f"UPDATE {jobs} SET worker_id=? WHERE {RUNNING} AND worker_id=?"
        self._ids_of = f"""
            SELECT id FROM {jobs} INDEXED BY {tables.running} WHERE {RUNNING} AND worker_id=?"""
        self._running_workers = f"""
            SELECT DISTINCT worker_id FROM {jobs} INDEXED BY {tables.running}
            WHERE {RUNNING} AND worker_id IS NOT NULL"""

    @transaction
    def _settle(self, connection: sqlite3.Connection, settlements: Sequence[Settlement]) -> Verdict:
        """Write outcomes, each guarded; tell which hold, and which cannot be stored."""
        refused: dict[ObjectId, str] = {}
        plain, members = list[Settlement](), list[Settlement]()
        others, apart = list[Settlement](), list[Settlement]()
        for each in settlements:
            if _is_plain(each):
                (plain if each.job.group is None else members).append(each)
            elif each.job.group is None and not is_apart(each.written()):
                others.append(each)
            else:
                apart.append(each)

        def refuse(settlement: Settlement, why: str) -> None:
            refused[settlement.job.id] = why

        alike, plain = _alike(plain)
        written = sum(self._end_alike(connection, each) for each in alike)
        written += write_storable(connection, plain, _end_row, self._end, refuse)
        written += write_storable(connection, members, _end_row, self._end_members, refuse)
        written += write_storable(connection, others, _change_row, self._change, refuse)
        written += write_storable(connection, apart, _apart_row, self._change_apart, refuse)
        if written:
            self._revision.bump(connection)
        sent = settlements
        if refused:
            sent = [each for each in settlements if each.job.id not in refused]
        if written == len(sent):
            return Verdict({each.job.id for each in sent}, refused)
        return self._recognized(connection, sent, refused)

    @call
    def _settle_together(
        self, connection: sqlite3.Connection, fresh: Fresh, outcome: Outcome
    ) -> bool:
        """Write one end of all, and nothing where it is not that of all."""
        size = 1 << (len(fresh) - 1).bit_length()
        claimed = to_ms(fresh.claimed_at)
        fence = bytearray(fresh.worker_id.binary), 1, claimed
        values: list[object] = [outcome.status.value, to_ms(outcome.at)]
        values += (encode_output(outcome.output), *fence, *map(bytearray, fresh.keys))
        values += (0,) * (size - len(fresh))  # of no job
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute(self._end_together_alike(size), values).rowcount < len(fresh):
            connection.rollback()
            return False
        self._revision.bump(connection)
        connection.execute("COMMIT")
        return True

    def _end_alike(self, connection: sqlite3.Connection, settlements: Sequence[Settlement]) -> int:
        """Write plain ends that differ in nothing but their jobs; return the same as `_end`."""
        size = 1 << (len(settlements) - 1).bit_length()
        row = _end_row(settlements[0])
        values = [*row[:_ID_OF_END], *row[_ID_OF_END + 1 :]]
        values += (bound_id(each.job.id) for each in settlements)
        values += (None,) * (size - len(settlements))  # of no job
        return connection.execute(self._end_together_alike(size), values).rowcount

    def _end(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> int:
        """Write plain ends in one statement; return how many still ran under their fence."""
        return self._end_together(connection, rows, "")

    def _end_members(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> int:
        """Write plain ends of members of groups in one statement; return the same."""
        return self._end_together(connection, rows, _END_OF_MEMBER)

    def _end_together(self, connection: sqlite3.Connection, rows: Sequence[Row], more: str) -> int:
        size = 1 << (len(rows) - 1).bit_length()  # so that there are few statements
        values = list(chain.from_iterable(rows))
        # Of no job. For a None sqlite3 looks for an adapter, which takes as long as all else.
        values += (0,) * (_END_VALUES * (size - len(rows)))
        return connection.execute(self._end_many(size, more), values).rowcount

    def _change(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> int:
        """Write ends of any kind; return how many still ran under their fence."""
        return connection.executemany(self._settle_one, rows).rowcount

    def _change_apart(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> int:
        """Write ends of any kind of jobs in lanes and groups; return the same."""
        return connection.executemany(self._settle_apart, rows).rowcount

    def _recognized(
        self,
        connection: sqlite3.Connection,
        settlements: Sequence[Settlement],
        refused: dict[ObjectId, str],
    ) -> Verdict:
        """Tell the jobs that hold what was to be written: by now, or since a lost reply.

        And which of them, or of those that still run under their fence, are followed by now.
        """
        ids = [each.job.id.binary for each in settlements]
        marks = ",".join("?" * len(ids))
        found = connection.execute(f"{self._written} ({marks})", ids).fetchall()
        rows = {row[0]: (row[1], row[2:]) for row in found}
        won, followed = set[ObjectId](), set[ObjectId]()
        for each in settlements:
            is_followed, row = rows.get(each.job.id.binary, (None, None))
            holds = row == _changes(each)[:_COMPARED]
            if holds:
                won.add(each.job.id)
            if is_followed and not each.job.followed and (holds or _still_runs(row, each.job)):
                followed.add(each.job.id)
        return Verdict(won, refused, followed)

    @transaction
    def _save_notes(
        self, connection: sqlite3.Connection, noted: Sequence[tuple[Job, Notes]]
    ) -> dict[ObjectId, str]:
        """Write what runs have told; one that was taken away is left. Return what cannot be."""
        refused: dict[ObjectId, str] = {}

        def refuse(of_run: tuple[Job, Notes], why: str) -> None:
            refused[of_run[0].id] = why

        write_storable(connection, noted, _note_row, self._note, refuse)
        return refused

    def _note(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> int:
        return connection.executemany(self._note_one, rows).rowcount

    @verb
    @call
    def save_state(self, connection: sqlite3.Connection, job: Job, state: Any) -> bool:
        """Write the state of a run; False when it was taken away."""
        values = (encode(state), encode(job.updated_at), *_fence(job))
        return connection.execute(self._keep_state, values).rowcount == 1

    @verb
    @call
    def save_step(self, connection: sqlite3.Connection, job: Job, step: Step) -> bool:
        """Add a step to those of a run; False when it was taken away."""
        values = (encode_step(step), encode(job.updated_at), *_fence(job))
        return connection.execute(self._keep_step, values).rowcount == 1

    @verb
    @call
    def state(self, connection: sqlite3.Connection, job_id: ObjectId) -> Any:
        """Return the state that was saved last."""
        row = connection.execute(self._kept_state, (job_id.binary,)).fetchone()
        return None if row is None or row[0] is None else decode(row[0])

    @call
    def _of_worker(
        self,
        connection: sqlite3.Connection,
        worker_id: ObjectId,
        limit: int,
        exclude: Collection[ObjectId],
        unconfirmed: bool,
    ) -> list[Job]:
        """Return what runs under a worker's id, the excluded left out."""
        del unconfirmed  # what is written here is there at once for everybody
        excluded = json.dumps([id.binary.hex().upper() for id in exclude])
        arguments = (worker_id.binary, excluded, limit)
        rows = connection.execute(self._of, arguments).fetchall()
        return [to_job(row) for row in rows]

    @page
    def _summaries(
        self,
        connection: sqlite3.Connection,
        worker_id: ObjectId,
        limit: int,
        redaction: Redaction | None,
    ) -> list[JobSummary]:
        """Return what is shown of what runs under a worker's id."""
        return self._shown.of_worker(connection, worker_id, limit, redaction)

    @verb
    @transaction
    def move(self, connection: sqlite3.Connection, old: ObjectId, new: ObjectId) -> set[ObjectId]:
        """Move what runs from one worker id to another; return all that runs under the new one."""
        connection.execute(self._move, (new.binary, old.binary))
        return {ObjectId(id) for (id,) in connection.execute(self._ids_of, (new.binary,))}

    @verb
    @call
    def workers(self, connection: sqlite3.Connection) -> set[ObjectId]:
        """Return the worker ids of all running jobs."""
        return {ObjectId(id) for (id,) in connection.execute(self._running_workers)}


def _end_statement(tables: Tables, count: int, more: str) -> str:
    marks = f"({','.join('?' * _END_VALUES)})"
    # It begins with UPDATE: sqlite3 counts the rows of no other. Columns: see `_end`.
    return f"""
        UPDATE {tables.jobs} AS job
        SET status=column1, updated_at=max(column2, job.updated_at), ended_at=column2,
            output=column3, slot={_slot_after("column1")}{more}
        FROM (VALUES {",".join([marks] * count)})
        WHERE job.id=column4 AND job.{RUNNING} AND job.worker_id=column5
            AND job.attempt=column6 AND job.updated_at=column7 AND job.followed IS NULL"""


def _end_alike_statement(tables: Tables, count: int) -> str:
    marks = ",".join(f"?{number}" for number in range(_END_VALUES, _END_VALUES + count))
    return f"""
        UPDATE {tables.jobs} AS job
        SET status=?1, updated_at=max(?2, job.updated_at), ended_at=?2, output=?3,
            slot={_slot_after("?1")}
        WHERE job.id IN ({marks}) AND job.{RUNNING} AND job.worker_id=?4
            AND job.attempt=?5 AND job.updated_at=?6 AND job.followed IS NULL"""


def _slot_after(status: str) -> str:
    """Return what is left of the slot of what ends with a status: none, unless it stops its lane.

    Without it, that it is in no index of slots is told at once, and not by its status: SQLite tells
    whether that is one of three by a table that it makes for each row.
    """
    return f"CASE WHEN {status}='errored' AND job.ordered='stop' THEN job.slot END"


def _alike(plain: list[Settlement]) -> tuple[list[list[Settlement]], list[Settlement]]:
    """Return plain ends of which several have one outcome and one fence, by these; and the others.

    Those of a batch are, where the jobs were claimed together and none has a result.
    """
    if len(plain) < _ALIKE or plain[0].outcome is not plain[1].outcome:
        return [], plain
    alike, others = list[list[Settlement]](), list[Settlement]()
    for _, group in groupby(plain, key=_end_of):
        members = list(group)
        if len(members) < _ALIKE:
            others += members
        else:
            alike.append(members)
    return alike, others


_ALIKE = 8
"""Ends that are worth a statement of their own."""


def _end_of(settlement: Settlement) -> tuple[object, ...]:
    job = settlement.job
    return id(settlement.outcome), job.updated_at, job.attempt, job.worker_id


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
        and not job.followed
        and outcome.crashes == job.crashes
        and (settlement.writer is job.worker_id or settlement.writer == job.worker_id)
    )


def _end_row(settlement: Settlement) -> Row:
    """Return the parameters of a plain end."""
    outcome = settlement.outcome
    # Not by `value`, which looks for a descriptor: this is done for each job.
    status, at = outcome.status._value_, to_ms(outcome.at)
    return (status, at, encode_output(outcome.output), *_fence(settlement.job))


def _change_row(settlement: Settlement) -> Row:
    """Return the parameters of an end of any kind."""
    job = settlement.job
    return (*_changes(settlement), settlement.outcome.bare, *_fence(job), job.followed)


def _apart_row(settlement: Settlement) -> Row:
    """Return the parameters of an end of any kind of a job in a lane or a group."""
    changes, job = _changes(settlement), settlement.written()
    values = (*changes[:_PLACE], *changes[_PLACE + 1 :], *place_values(job))
    together = job.lane, job.ordered, job.slot, job.rate_lane, *group_values(job)
    run = settlement.job
    return (*values, *together, settlement.outcome.bare, *_fence(run), run.followed)


def _still_runs(row: Row | None, job: Job) -> bool:
    """Tell whether a run is still ours, by what `_written` reads of it."""
    if row is None:
        return False
    status, updated_at, _, _, worker_id, attempt = row
    ours = to_ms(job.updated_at), optional_id(job.worker_id), job.attempt
    return status == "running" and (updated_at, worker_id, attempt) == ours


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
    return bound_id(job.id), bound_id(job.worker_id), job.attempt, to_ms(job.updated_at)
