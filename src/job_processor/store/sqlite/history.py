"""All jobs, for people: by id, newest first, by name, counted; what ended put back or removed.

Nothing here reads more than it returns, or than there are names: the history may be long.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING

from bson import ObjectId

from job_processor.clock import FAR, to_ms
from job_processor.errors import JobConflictError
from job_processor.models import Job, JobStatus, JobType
from job_processor.redaction import Redaction
from job_processor.store.desks.history import Gone, History, State
from job_processor.store.desks.lazily import Lazily
from job_processor.store.requests import JobQuery, NameCount
from job_processor.store.sqlite.connections import (
    Plumbing,
    SqliteDesk,
    page,
    read,
    selection,
    transaction,
    verb,
)
from job_processor.store.sqlite.counting import (
    STATUSES_AT_REST,
    names_statement,
    states_statement,
)
from job_processor.store.sqlite.pruning import OldJobs
from job_processor.store.sqlite.reading import to_job
from job_processor.store.sqlite.rows import COLUMNS, steps_before
from job_processor.store.sqlite.summaries import Summaries
from job_processor.store.sqlite.tables import ACTIVE, AT_REST, LINE, RUNNING, SETTLED
from job_processor.store.sqlite.walks import TYPES, Walks
from job_processor.store.summaries import JobSummary

if TYPE_CHECKING:
    from job_processor.store.sqlite.groups import SqliteGroups
    from job_processor.store.sqlite.kills import SqliteKills
    from job_processor.store.sqlite.rates import SqliteRates
    from job_processor.store.sqlite.rollups import SqliteRollups


class SqliteHistory(SqliteDesk, History):
    """Finds and counts jobs; lets what ended wait again, and removes it."""

    _kills: Lazily[SqliteKills] = Lazily("kills")
    _rollups: Lazily[SqliteRollups] = Lazily("rollups")
    _rates: Lazily[SqliteRates] = Lazily("rates")
    _groups: Lazily[SqliteGroups] = Lazily("groups")

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        tables = plumbing.tables
        jobs = tables.jobs
        self._shown = Summaries(tables)
        self._walks = Walks(tables)
        self._at_rest = f"{jobs} AS job INDEXED BY {tables.history}"
        self._running = f"{jobs} AS job INDEXED BY {tables.running}"
        self._by_id = f"SELECT {COLUMNS} FROM {jobs} WHERE id=?"
        self._state_of = f"SELECT id, status, attempt FROM {jobs} WHERE id=?"
        self._old = OldJobs(plumbing)
        self._exclusive_id = f"""
            SELECT id FROM {jobs} INDEXED BY {tables.exclusive}
            WHERE type=? AND name=? AND exclusive=1 AND {ACTIVE}"""
        self._running_counts = f"""
            SELECT type, name, count(*) FROM {self._running} WHERE {RUNNING} GROUP BY type, name"""
        self._count_states = states_statement(self._walks.kinds, self._at_rest, self._running)
        self._count_names = names_statement(self._at_rest, self._running)
        self._wait_again = f"""
            UPDATE {jobs} SET status='pending', updated_at=max(updated_at, ?1),
                scheduled_for=CASE WHEN {LINE} IS NOT NULL THEN {to_ms(FAR)} ELSE ?5 END,
                due=CASE WHEN {LINE} IS NOT NULL THEN ?5 END,
                ready=CASE WHEN {LINE} IS NOT NULL THEN ?5 END,
                line={LINE},
                slot=CASE WHEN ordered='stop' AND status='errored' THEN slot END,
                parked=NULL, waiting_for=NULL, started_at=NULL, ended_at=NULL, worker_id=NULL,
                output=NULL, attempt=1, crashes=0, sync=0, notes=NULL, state=NULL,
                open_in=group_id, failed_in=NULL,
                steps=CASE WHEN ?3 THEN ?4 WHEN status='finished' THEN NULL ELSE steps END,
                extra=json_remove(extra, '$.expires_at', '$.state_saved'),
                planned_for=CASE type WHEN 'cron_task' THEN coalesce(planned_for, scheduled_for) END
            WHERE id=?2 AND {SETTLED} RETURNING {COLUMNS}"""
        self._kept_steps = f"SELECT steps FROM {jobs} WHERE id=? AND {SETTLED}"
        self._remove_one = f"""
            DELETE FROM {jobs} WHERE id=? AND {AT_REST}
            RETURNING id, followed, instr(extra, '"after"'), labels, open_in"""

    @verb
    @read
    def get(self, connection: sqlite3.Connection, job_id: ObjectId) -> Job | None:
        """Return a job or cron task."""
        return next(iter(self._rows(connection, [job_id.binary])), None)

    @read
    def _get_many(self, connection: sqlite3.Connection, job_ids: Collection[ObjectId]) -> list[Job]:
        """Return the jobs of these ids that exist, in the given order."""
        return self._rows(connection, (job_id.binary for job_id in job_ids))

    @read
    def _states_of(
        self, connection: sqlite3.Connection, job_ids: Collection[ObjectId]
    ) -> dict[ObjectId, State]:
        """Return the states of the jobs of these ids that exist."""
        rows = (connection.execute(self._state_of, (job_id.binary,)) for job_id in job_ids)
        return {
            ObjectId(id): State(JobStatus(status), attempt)
            for row in rows
            for id, status, attempt in row
        }

    @selection
    def _find(self, connection: sqlite3.Connection, query: JobQuery) -> list[Job]:
        """Return the newest jobs of a selection, or the oldest."""
        jobs: list[Job] = []
        left = query.max_bytes
        for id in self._walks.ids(connection, query, query.limit):
            row = connection.execute(self._by_id, (id,)).fetchone()
            if row is None:
                continue
            if left is not None:
                left -= sum(len(value) for value in row if isinstance(value, str))
                if left < 0 and jobs:
                    break
            jobs.append(to_job(row))
        return jobs

    @verb
    @page
    def count_states(self, connection: sqlite3.Connection, cap: int) -> dict[JobStatus, int]:
        """Count all jobs in each state, up to `cap`."""
        rows = connection.execute(self._count_states, (-1, cap)).fetchall()
        return {JobStatus(status): count for status, count in rows}

    @verb
    @selection
    def count_matching(self, connection: sqlite3.Connection, query: JobQuery, cap: int) -> int:
        """Count a selection, up to `cap`."""
        return self._walks.count(connection, query, cap)

    @selection
    def _summaries(
        self, connection: sqlite3.Connection, query: JobQuery, redaction: Redaction | None
    ) -> list[JobSummary]:
        """Return what is shown of the newest jobs of a selection, or of the oldest."""
        return self._show(connection, query, redaction)

    @page
    def _summaries_of(
        self,
        connection: sqlite3.Connection,
        job_ids: Collection[ObjectId],
        redaction: Redaction | None,
    ) -> list[JobSummary]:
        """Return what is shown of the jobs of these ids that exist."""
        return self._shown.by_id(connection, (id.binary for id in job_ids), redaction)

    def _show(
        self, connection: sqlite3.Connection, query: JobQuery, redaction: Redaction | None
    ) -> list[JobSummary]:
        source = self._walks.source(connection, query, query.limit)
        if source is not None:
            found = self._shown.of(connection, source, redaction)
            return sorted(found, key=attrgetter("id"), reverse=not query.oldest_first)
        ids = self._walks.ids(connection, query, query.limit)
        return self._shown.by_id(connection, ids, redaction)

    @page
    def _latest(
        self,
        connection: sqlite3.Connection,
        names: Sequence[tuple[JobType, str]],
        limit: int,
        redaction: Redaction | None,
    ) -> list[list[JobSummary]]:
        """Return what is shown of the newest jobs of each name."""
        ids = self._walks.newest(connection, names, limit)
        found = self._shown.by_id(
            connection, (id for each in ids.values() for id in each), redaction
        )
        by_name: dict[tuple[str, str], list[JobSummary]] = {}
        for job in found:
            by_name.setdefault((job.type, job.name), []).append(job)
        return [by_name.get(name, []) for name in names]

    @verb
    @selection
    def reach(self, connection: sqlite3.Connection, query: JobQuery) -> ObjectId | None:
        """Return the last job that is looked at, where there are more."""
        last = self._walks.reach(connection, query)
        return None if last is None else ObjectId(last)

    @verb
    @read
    def find_active(self, connection: sqlite3.Connection, type: JobType, name: str) -> Job | None:
        """Return a pending, running or paused job; an exclusive one before others."""
        ids = [id for (id,) in connection.execute(self._exclusive_id, (type, name))]
        for status in () if ids else (JobStatus.RUNNING, JobStatus.PENDING, JobStatus.PAUSED):
            ids += self._walks.ids(connection, JobQuery(name=name, type=type, status=status), 1)
        return next(iter(self._rows(connection, ids)), None)

    @page
    def _names(self, connection: sqlite3.Connection, limit: int) -> list[tuple[JobType, str]]:
        """Return the distinct types and names, in that order."""
        # The types take turns, and each has an end of its own.
        found = set(connection.execute(self._walks.kinds, (len(TYPES) * (limit + 1),)))
        found |= {(type, name) for type, name, _ in connection.execute(self._running_counts)}
        return sorted(found)[:limit]

    @page
    def _count(
        self,
        connection: sqlite3.Connection,
        names: Sequence[tuple[JobType, str]],
        cap: int,
        statuses: Collection[JobStatus] | None,
    ) -> list[NameCount]:
        """Count jobs by name and state, each count up to `cap`; what is 0 is left out."""
        wanted = frozenset(JobStatus if statuses is None else statuses)
        at_rest = [status.value for status in STATUSES_AT_REST if status in wanted]
        values = (json.dumps(names), json.dumps(at_rest), cap)
        asked = set(names)
        return [
            NameCount(name, type, JobStatus(status), count)
            for type, name, status, count in connection.execute(self._count_names, values)
            if count and status in wanted and (type, name) in asked
        ]

    @transaction
    def _requeue(
        self,
        connection: sqlite3.Connection,
        job_id: ObjectId,
        now: datetime,
        at: datetime,
        from_beginning: bool,
        from_step: str | None,
    ) -> Job | None:
        """Let a settled job wait again; None when it is not settled, or there is none."""
        kept: str | None = None
        if from_step is not None:
            row = connection.execute(self._kept_steps, (job_id.binary,)).fetchone()
            kept = None if row is None else steps_before(row[0] or "", from_step)
            if kept is None:
                return None
        try:
            cuts = from_beginning or from_step is not None
            values = (to_ms(now), job_id.binary, cuts, kept or None, to_ms(at))
            rows = connection.execute(self._wait_again, values).fetchall()
        except sqlite3.IntegrityError as error:
            raise JobConflictError.of(job_id) from error
        if not rows:
            return None
        self._revision.bump(connection)
        return to_job(rows[0])

    @transaction
    def _delete(
        self, connection: sqlite3.Connection, job_ids: Collection[ObjectId]
    ) -> dict[ObjectId, Gone]:
        """Remove jobs that do not run; return which."""
        rows = [
            row
            for job_id in job_ids
            for row in connection.execute(self._remove_one, (job_id.binary,)).fetchall()
        ]
        if rows:
            self._old.forget(connection, [row[:4] for row in rows])
            self._revision.bump(connection)
        return {
            ObjectId(id): Gone(bool(followed), None if group is None else ObjectId(group))
            for id, followed, _, _, group in rows
        }

    async def _prune(
        self, before: datetime, limit: int, errored_before: datetime | None
    ) -> tuple[int, list[ObjectId]]:
        """Remove what was settled before a time, in small transactions; return how many."""
        await self._kills.prune()
        await self._rollups.prune()
        await self._rates.prune()
        if errored_before is None:
            await self._groups.prune(before)
            return await self._old.remove(before, limit)
        await self._groups.prune(min(before, errored_before))
        others, followed = await self._old.remove(before, limit, errored=False)
        errored, more = await self._old.remove(errored_before, limit - others, errored=True)
        return others + errored, [*followed, *more]

    def _rows(self, connection: sqlite3.Connection, ids: Iterable[bytes]) -> list[Job]:
        rows = (connection.execute(self._by_id, (id,)).fetchone() for id in ids)
        return [to_job(row) for row in rows if row is not None]
