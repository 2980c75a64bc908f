"""All jobs, for people: by id, newest first, by name, counted; what ended put back or removed.

Nothing here reads more than it returns, or than there are names: the history may be long. The index
by (type, name, state, id) is walked in branches, one for each type, name and state, newest first,
and the branches are merged as far as the limit. Running jobs are not in it; they are few.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache, partial
from heapq import merge, nlargest, nsmallest
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, TypeAlias, get_args

from bson import ObjectId

from job_processor.clock import FAR, to_ms
from job_processor.errors import JobConflictError
from job_processor.models import Job, JobStatus, JobType
from job_processor.redaction import Redaction
from job_processor.settings import LOOK_THROUGH
from job_processor.store.desks.history import Gone, History, State
from job_processor.store.desks.lazily import Lazily
from job_processor.store.requests import JobQuery, NameCount
from job_processor.store.sqlite.conditions import condition_of
from job_processor.store.sqlite.connections import (
    Plumbing,
    SqliteDesk,
    page,
    read,
    selection,
    transaction,
    verb,
)
from job_processor.store.sqlite.counting import STATUSES_AT_REST, states_statement
from job_processor.store.sqlite.pruning import OldJobs
from job_processor.store.sqlite.reading import to_job
from job_processor.store.sqlite.rows import COLUMNS, steps_before
from job_processor.store.sqlite.selections import (
    BEHIND_EVERY_ID,
    NOT_PLANNED,
    Source,
    Sources,
    branches_statement,
    of_some,
)
from job_processor.store.sqlite.summaries import Summaries
from job_processor.store.sqlite.tables import ACTIVE, AT_REST, LINE, RUNNING, SETTLED
from job_processor.store.summaries import JobSummary

if TYPE_CHECKING:
    from job_processor.store.sqlite.groups import SqliteGroups
    from job_processor.store.sqlite.kills import SqliteKills
    from job_processor.store.sqlite.rates import SqliteRates
    from job_processor.store.sqlite.rollups import SqliteRollups

MERGED_BRANCHES = 64
"""Branches that one statement merges at most."""

TYPES: tuple[JobType, ...] = get_args(JobType)
_LOOKED_AT_ONCE = 500  # jobs; so few that a look that was given up ends soon
_NO_BRANCH = (None, None, None)
_PLANNED = (JobStatus.PENDING, JobStatus.PAUSED)  # states of an occurrence that has not begun

Branch: TypeAlias = tuple[str, str, str]
"""Type, name and state."""


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
        self._at_rest = f"{jobs} AS job INDEXED BY {tables.history}"
        self._running = f"{jobs} AS job INDEXED BY {tables.running}"
        self._of_some = Sources.of(tables)
        self._by_id = f"SELECT {COLUMNS} FROM {jobs} WHERE id=?"
        self._state_of = f"SELECT id, status, attempt FROM {jobs} WHERE id=?"
        self._table = jobs
        self._old = OldJobs(plumbing)
        self._running_ids = f"""
            SELECT id, rowid AS place FROM {self._running}
            WHERE {RUNNING} AND id<? AND id>? AND (? IS NULL OR type=?) AND (? IS NULL OR name=?)
            ORDER BY id {{order}} LIMIT ?"""
        self._exclusive_id = f"""
            SELECT id FROM {jobs} INDEXED BY {tables.exclusive}
            WHERE type=? AND name=? AND exclusive=1 AND {ACTIVE}"""
        self._running_counts = f"""
            SELECT type, name, count(*) FROM {self._running} WHERE {RUNNING} GROUP BY type, name"""
        self._kinds = f"""
            WITH RECURSIVE kind(type, name) AS (
                SELECT given.value, (
                    SELECT min(job.name) FROM {self._at_rest}
                    WHERE job.type=given.value AND {AT_REST}
                ) FROM json_each('{json.dumps(TYPES)}') AS given
                UNION ALL
                SELECT kind.type, (
                    SELECT min(job.name) FROM {self._at_rest}
                    WHERE job.type=kind.type AND job.name>kind.name AND {AT_REST}
                ) FROM kind WHERE kind.name IS NOT NULL
                LIMIT ?1
            )
            SELECT type, name FROM kind WHERE name IS NOT NULL"""
        self._count_states = states_statement(self._kinds, self._at_rest, self._running)
        self._count_of = f"""
            SELECT count(*) FROM (
                SELECT 1 FROM {self._at_rest} WHERE type=? AND name=? AND status=? AND {AT_REST}
                LIMIT ?
            )"""
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
        self._branches = lru_cache(partial(branches_statement, self._at_rest))

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
        for id in self._ids(connection, query, query.limit):
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
        if query.looks_through:
            return sum(1 for _ in islice(self._looked_through(connection, query), cap))
        if not query.planned and _is_of_all(query):  # the index of ids alone tells how many all are
            planned_of = replace(query, type="cron_task", planned=True)
            planned = sum(
                self._counted(connection, replace(planned_of, status=status), cap)
                for status in _PLANNED
            )
            all_of_them = self._counted(connection, query, cap + planned)
            return min(all_of_them - planned, cap)
        return self._counted(connection, query, cap)

    def _counted(self, connection: sqlite3.Connection, query: JobQuery, cap: int) -> int:
        """Return how many jobs an index has of a selection, up to `cap`."""
        counted = 0
        for source, values in self._sources(connection, query, cap, counts=True):
            statement = f"SELECT count(*) FROM ({source})"
            counted += connection.execute(statement, values).fetchone()[0]
            if counted >= cap:
                return cap
        return counted

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
        ids = self._ids(connection, query, query.limit)
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
        queries = (JobQuery(type=type, name=name, limit=limit) for type, name in names)
        return [self._show(connection, query, redaction) for query in queries]

    def _looked_through(self, connection: sqlite3.Connection, query: JobQuery) -> Iterator[bytes]:
        """Give the ids of a selection that no index tells, in its order.

        All of its statements together look at no more jobs than `LOOK_THROUGH`: each gives its jobs
        in order and no sooner than they are asked for, and they are merged as far as that.
        """
        condition, conditions = condition_of(query)
        statement = f"""
            SELECT job.rowid FROM {self._table} AS job NOT INDEXED
            WHERE job.rowid IN (SELECT value FROM json_each(?)) AND {condition}"""
        sources = self._sources(connection, query, LOOK_THROUGH)
        found = [connection.execute(source, values) for source, values in sources]
        merged = merge(*found, key=itemgetter(0), reverse=not query.oldest_first)
        places = islice(merged, LOOK_THROUGH)
        while chunk := list(islice(places, _LOOKED_AT_ONCE)):
            rows = json.dumps([row for _, row in chunk])
            matching = {row for (row,) in connection.execute(statement, (rows, *conditions))}
            yield from (id for id, row in chunk if row in matching)

    def _sources(
        self, connection: sqlite3.Connection, query: JobQuery, limit: int, *, counts: bool = False
    ) -> Iterator[Source]:
        """Give statements that select the first jobs of a selection, each in its order.

        counts: nobody wants their order, and of all jobs nothing is read besides their ids, so that
            those that are planned are among them.
        """
        order = "ASC" if query.oldest_first else "DESC"
        below = BEHIND_EVERY_ID if query.after is None else query.after.binary
        above = b"" if query.above is None else query.above.binary
        if query.is_of_some:
            yield of_some(query, self._of_some, limit)
            return
        if _is_of_all(query):
            statement = f"""
                SELECT id, rowid AS place FROM {self._table} AS job
                WHERE id<? AND id>? {"" if counts or query.planned else NOT_PLANNED}
                ORDER BY id {order} LIMIT ?"""
            yield statement, [below, above, limit]
            return
        if query.status in (None, JobStatus.RUNNING):
            for name in query.names if query.names is not None else (query.name,):
                values = [below, above, query.type, query.type, name, name, limit]
                yield self._running_ids.format(order=order), values
        branches = self._branches_of(connection, query)
        for start in range(0, len(branches), MERGED_BRANCHES):
            part = branches[start : start + MERGED_BRANCHES]
            size = 1 << (len(part) - 1).bit_length()  # few sizes, so few statements
            values = []
            for branch in part + [_NO_BRANCH] * (size - len(part)):
                values += [*branch, below, above]
            yield self._branches(size, None if counts else order), [*values, limit]

    def _ids(self, connection: sqlite3.Connection, query: JobQuery, limit: int) -> list[bytes]:
        """Return the first ids of a selection, in its order."""
        if query.looks_through:
            return list(islice(self._looked_through(connection, query), limit))
        ids: list[bytes] = []
        for source, values in self._sources(connection, query, limit):
            ids += [id for id, _ in connection.execute(source, values)]
        return nsmallest(limit, ids) if query.oldest_first else nlargest(limit, ids)

    @verb
    @read
    def find_active(self, connection: sqlite3.Connection, type: JobType, name: str) -> Job | None:
        """Return a pending, running or paused job; an exclusive one before others."""
        ids = [id for (id,) in connection.execute(self._exclusive_id, (type, name))]
        for status in () if ids else (JobStatus.RUNNING, JobStatus.PENDING, JobStatus.PAUSED):
            ids += self._ids(connection, JobQuery(name=name, type=type, status=status), 1)
        return next(iter(self._rows(connection, ids)), None)

    @page
    def _names(self, connection: sqlite3.Connection, limit: int) -> list[tuple[JobType, str]]:
        """Return the distinct types and names, in that order."""
        # The types take turns, and each has an end of its own.
        found = set(connection.execute(self._kinds, (len(TYPES) * (limit + 1),)))
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
        running: dict[tuple[str, str], int] = {}
        if JobStatus.RUNNING in wanted:
            for type, name, count in connection.execute(self._running_counts):
                running[type, name] = count
        counts = []
        for type, name in names:
            for status in filter(wanted.__contains__, STATUSES_AT_REST):
                arguments = (type, name, status.value, cap)
                (count,) = connection.execute(self._count_of, arguments).fetchone()
                counts.append(NameCount(name, type, status, count))
            count = min(running.get((type, name), 0), cap)
            counts.append(NameCount(name, type, JobStatus.RUNNING, count))
        return [each for each in counts if each.count]

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

    def _branches_of(self, connection: sqlite3.Connection, query: JobQuery) -> list[Branch]:
        """Return the branches that a query's jobs may be in."""
        if query.status is JobStatus.RUNNING:
            return []
        statuses = STATUSES_AT_REST if query.status is None else (query.status,)
        names = (query.name,) if query.name is not None else query.names
        if names is not None:
            kinds = [(type, name) for type in TYPES for name in names]
        else:
            kinds = connection.execute(self._kinds, (-1,)).fetchall()
        return [
            (type, name, status.value)
            for type, name in kinds
            for status in statuses
            if query.type in (None, type)
            and (query.planned or type != "cron_task" or status not in _PLANNED)
        ]

    def _rows(self, connection: sqlite3.Connection, ids: Iterable[bytes]) -> list[Job]:
        rows = (connection.execute(self._by_id, (id,)).fetchone() for id in ids)
        return [to_job(row) for row in rows if row is not None]


def _is_of_all(query: JobQuery) -> bool:
    """True where nothing selects but the ids."""
    named = (query.name, query.names, query.status, query.type)
    return named == (None, None, None, None) and not query.is_of_some
