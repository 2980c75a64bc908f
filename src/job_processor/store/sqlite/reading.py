"""Reading jobs for people: by id, newest first, by name, counted.

Nothing here reads more than it returns, or than there are names: the history may be long. The index
by (type, name, state, id) is walked in branches, one for each type, name and state, newest first,
and the branches are merged as far as the limit. Running jobs are not in it; they are few.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from heapq import nlargest, nsmallest
from typing import Any, TypeAlias, get_args

from bson import ObjectId

from job_processor.models import Job, JobQuery, JobStatus, JobType
from job_processor.settings import LOOK_THROUGH
from job_processor.store.base import NameCount
from job_processor.store.sqlite.rows import COLUMNS, to_job
from job_processor.store.sqlite.tables import ACTIVE, AT_REST, RUNNING, Tables

MERGED_BRANCHES = 64
"""Branches that one statement merges at most."""

TYPES: tuple[JobType, ...] = get_args(JobType)
STATUSES_AT_REST = tuple(
    status for status in JobStatus if status not in (JobStatus.RUNNING, JobStatus.ACTIVE)
)
_BEHIND_EVERY_ID = b"\xff" * 13  # an id has 12 bytes
_NO_BRANCH = (None, None, None)

Branch: TypeAlias = tuple[str, str, str]
"""Type, name and state."""


class Reading:
    """The statements that read jobs; what takes several runs in one snapshot."""

    def __init__(self, tables: Tables) -> None:
        jobs = tables.jobs
        self._at_rest = f"{jobs} AS job INDEXED BY {tables.history}"
        self._running = f"{jobs} AS job INDEXED BY {tables.running}"
        self._get = f"SELECT {COLUMNS} FROM {jobs} WHERE id=?"
        self._table = jobs
        self._running_ids = f"""
            SELECT id FROM {self._running}
            WHERE {RUNNING} AND id<?1 AND (?2 IS NULL OR type=?2) AND (?3 IS NULL OR name=?3)
                AND id>?5
            ORDER BY id {{order}} LIMIT ?4"""
        self._exclusive_id = f"""
            SELECT id FROM {jobs} INDEXED BY {tables.exclusive}
            WHERE type=? AND name=? AND exclusive=1 AND {ACTIVE}"""
        self._running_counts = f"""
            SELECT type, name, count(*) FROM {self._running} WHERE {RUNNING} GROUP BY type, name"""
        self._names = f"""
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
                LIMIT ?
            )
            SELECT type, name FROM kind WHERE name IS NOT NULL"""
        self._count = f"""
            SELECT count(*) FROM (
                SELECT 1 FROM {self._at_rest} WHERE type=? AND name=? AND status=? AND {AT_REST}
                LIMIT ?
            )"""
        self._branches = lru_cache(self._branches_statement)

    def get_many(self, connection: sqlite3.Connection, job_ids: Collection[ObjectId]) -> list[Job]:
        """Return the jobs of these ids that exist, in the given order."""
        return self._rows(connection, (job_id.binary for job_id in job_ids))

    def find(self, connection: sqlite3.Connection, query: JobQuery) -> list[Job]:
        """Return the newest jobs of a selection, or the oldest."""
        if not query.looks_through:
            return self._rows(connection, self._ids(connection, query, query.limit))
        ids = self._ids(connection, query, LOOK_THROUGH)
        jobs: list[Job] = []
        condition, values = _condition(query)
        statement = f"{self._get} AND {condition}"
        for id in ids:
            row = connection.execute(statement, (id, *values)).fetchone()
            if row is not None:
                jobs.append(to_job(row))
            if len(jobs) == query.limit:
                break
        return jobs

    def count_matching(self, connection: sqlite3.Connection, query: JobQuery, cap: int) -> int:
        """Count a selection, up to `cap`."""
        if query.looks_through:
            return len(self.find(connection, replace(query, limit=cap)))
        return len(self._ids(connection, query, cap))

    def _ids(self, connection: sqlite3.Connection, query: JobQuery, limit: int) -> list[bytes]:
        """Return the first ids of a selection, in its order."""
        order = "ASC" if query.oldest_first else "DESC"
        below = _BEHIND_EVERY_ID if query.after is None else query.after.binary
        above = b"" if query.above is None else query.above.binary
        if (query.name, query.names, query.status, query.type) == (None, None, None, None):
            statement = (
                f"SELECT id FROM {self._table} WHERE id<? AND id>? ORDER BY id {order} LIMIT ?"
            )
            return [id for (id,) in connection.execute(statement, (below, above, limit))]
        ids: list[bytes] = []
        if query.status in (None, JobStatus.RUNNING):
            statement = self._running_ids.format(order=order)
            for name in query.names if query.names is not None else (query.name,):
                arguments = (below, query.type, name, limit, above)
                ids += [id for (id,) in connection.execute(statement, arguments)]
        branches = self._branches_of(connection, query)
        for start in range(0, len(branches), MERGED_BRANCHES):
            part = branches[start : start + MERGED_BRANCHES]
            ids += self._first_of(connection, part, (below, above), limit, order)
        return nsmallest(limit, ids) if query.oldest_first else nlargest(limit, ids)

    def find_active(self, connection: sqlite3.Connection, type: JobType, name: str) -> Job | None:
        """Return a pending, running or paused job; an exclusive one before others."""
        branches = [(type, name, status) for status in (JobStatus.PENDING, JobStatus.PAUSED)]
        arguments = (_BEHIND_EVERY_ID, type, name, 1, b"")
        ids = [id for (id,) in connection.execute(self._exclusive_id, (type, name))]
        if not ids:
            statement = self._running_ids.format(order="DESC")
            ids += [id for (id,) in connection.execute(statement, arguments)]
            ids += self._first_of(connection, branches, (_BEHIND_EVERY_ID, b""), 1, "DESC")
        return next(iter(self._rows(connection, ids)), None)

    def names(self, connection: sqlite3.Connection, limit: int) -> list[tuple[JobType, str]]:
        """Return the distinct types and names, in that order."""
        # The types take turns, and each has an end of its own.
        found = set(connection.execute(self._names, (len(TYPES) * (limit + 1),)))
        found |= {(type, name) for type, name, _ in connection.execute(self._running_counts)}
        return sorted(found)[:limit]

    def count(
        self, connection: sqlite3.Connection, names: Sequence[tuple[JobType, str]], cap: int
    ) -> list[NameCount]:
        """Count jobs by name and state, each count up to `cap`; what is 0 is left out."""
        running = {
            (type, name): count for type, name, count in connection.execute(self._running_counts)
        }
        counts = []
        for type, name in names:
            for status in STATUSES_AT_REST:
                arguments = (type, name, status.value, cap)
                (count,) = connection.execute(self._count, arguments).fetchone()
                counts.append(NameCount(name, type, status, count))
            count = min(running.get((type, name), 0), cap)
            counts.append(NameCount(name, type, JobStatus.RUNNING, count))
        return [each for each in counts if each.count]

    def _branches_of(self, connection: sqlite3.Connection, query: JobQuery) -> list[Branch]:
        """Return the branches that a query's jobs may be in."""
        if query.status is JobStatus.RUNNING:
            return []
        statuses = STATUSES_AT_REST if query.status is None else (query.status,)
        names = (query.name,) if query.name is not None else query.names
        if names is not None:
            kinds = [(type, name) for type in TYPES for name in names]
        else:
            kinds = connection.execute(self._names, (-1,)).fetchall()
        return [
            (type, name, status.value)
            for type, name in kinds
            for status in statuses
            if query.type in (None, type)
        ]

    def _first_of(
        self,
        connection: sqlite3.Connection,
        branches: Sequence[Branch],
        between: tuple[bytes, bytes],
        limit: int,
        order: str,
    ) -> list[bytes]:
        """Return the first ids of at most `MERGED_BRANCHES` branches, between two ids."""
        if not branches:
            return []
        merged = 1 << (len(branches) - 1).bit_length()  # few sizes, so few statements
        values: list[str | None] = [value for branch in branches for value in branch]
        values += _NO_BRANCH * (merged - len(branches))
        below, above = between
        found = connection.execute(self._branches(merged, order), (below, limit, above, *values))
        return [id for (id,) in found]

    def _branches_statement(self, merged: int, order: str) -> str:
        terms = [
            f"SELECT id FROM {self._at_rest} "
            f"WHERE type=?{4 + 3 * i} AND name=?{5 + 3 * i} AND status=?{6 + 3 * i} "
            f"AND {AT_REST} AND id<?1 AND id>?3"
            for i in range(merged)
        ]
        return f"{' UNION ALL '.join(terms)} ORDER BY id {order} LIMIT ?2"

    def _rows(self, connection: sqlite3.Connection, ids: Iterable[bytes]) -> list[Job]:
        rows = (connection.execute(self._get, (id,)).fetchone() for id in ids)
        return [to_job(row) for row in rows if row is not None]


def _condition(query: JobQuery) -> tuple[str, list[Any]]:
    """Return what no index tells as a condition, with its values."""
    terms: list[str] = []
    values: list[Any] = []
    if query.worker_id is not None:
        terms.append("worker_id=?")
        values.append(query.worker_id.binary)
    if query.error is not None:
        terms.append("instr(lower(json_extract(output, '$.error')), lower(?))>0")
        values.append(query.error)
    if query.payload is not None:
        path, value = query.payload
        names = "".join('."' + name.replace('"', "") + '"' for name in path)
        terms.append("CAST(json_extract(payload, ?) AS TEXT)=?")
        values += [f"${names}", value]
    return " AND ".join(terms), values
