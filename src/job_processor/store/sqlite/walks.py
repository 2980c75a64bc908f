"""Selections of jobs, walked in the order of their ids and no further than they are asked for.

The index by (type, name, state, id) is walked in branches, one for each type, name and state, and
the branches are merged as far as the limit. Running jobs are not in it; they are few.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from heapq import merge, nlargest, nsmallest
from itertools import islice
from operator import itemgetter
from typing import Any, TypeAlias, get_args

from job_processor.models import JobStatus, JobType
from job_processor.settings import LOOK_THROUGH
from job_processor.store.requests import JobQuery
from job_processor.store.sqlite.conditions import condition_of
from job_processor.store.sqlite.counting import STATUSES_AT_REST
from job_processor.store.sqlite.selections import (
    BEHIND_EVERY_ID,
    NOT_PLANNED,
    Source,
    Sources,
    branches_in_turn,
    branches_statement,
    newest_of_branches,
    of_some,
)
from job_processor.store.sqlite.tables import AT_REST, RUNNING, Tables

MERGED_BRANCHES = 256
"""Branches that one statement merges at most; SQLite takes 4 ms to prepare it, once."""

TYPES: tuple[JobType, ...] = get_args(JobType)
_LOOKED_AT_ONCE = 500  # jobs; so few that a look that was given up ends soon
_NO_BRANCH = (None, None, None)
_PLANNED = (JobStatus.PENDING, JobStatus.PAUSED)  # states of an occurrence that has not begun

Branch: TypeAlias = tuple[str, str, str]
"""Type, name and state."""


class Walks:
    """The statements that walk, each within somebody's reading."""

    def __init__(self, tables: Tables) -> None:
        self._table = tables.jobs
        self._of_some = Sources.of(tables)
        at_rest = f"{tables.jobs} AS job INDEXED BY {tables.history}"
        running = f"{tables.jobs} AS job INDEXED BY {tables.running}"
        self._running_ids = f"""
            SELECT id, rowid AS place FROM {running}
            WHERE {RUNNING} AND id<?1 AND id>?2 AND (?3 IS NULL OR type=?3)
                AND (?4 IS NULL OR name IN (SELECT value FROM json_each(?4)))
            ORDER BY id {{order}} LIMIT ?5"""
        self.kinds = f"""
            WITH RECURSIVE kind(type, name) AS (
                SELECT given.value, (
                    SELECT min(job.name) FROM {at_rest}
                    WHERE job.type=given.value AND {AT_REST}
                ) FROM json_each('{json.dumps(TYPES)}') AS given
                UNION ALL
                SELECT kind.type, (
                    SELECT min(job.name) FROM {at_rest}
                    WHERE job.type=kind.type AND job.name>kind.name AND {AT_REST}
                ) FROM kind WHERE kind.name IS NOT NULL
                LIMIT ?1
            )
            SELECT type, name FROM kind WHERE name IS NOT NULL"""
        """Gives the types and names that there are, at most ?1 of them."""
        self._newest = newest_of_branches(tables)
        self._running_of = f"""
            SELECT type, name, id FROM {running}
            WHERE {RUNNING} AND name IN (SELECT value FROM json_each(?))"""
        self._in_turn = branches_in_turn(at_rest)
        self._branches = lru_cache(partial(branches_statement, at_rest))

    def ids(self, connection: sqlite3.Connection, query: JobQuery, limit: int) -> list[bytes]:
        """Return the first ids of a selection, in its order."""
        if query.looks_through:
            return list(islice(self._matching(connection, query), limit))
        ids: list[bytes] = []
        for source, values in self._sources(connection, query, limit):
            ids += [id for id, _ in connection.execute(source, values)]
        return nsmallest(limit, ids) if query.oldest_first else nlargest(limit, ids)

    def newest(
        self, connection: sqlite3.Connection, names: Sequence[tuple[JobType, str]], limit: int
    ) -> dict[tuple[str, str], list[bytes]]:
        """Return the ids of the newest jobs of each type and name."""
        branches = [(*name, status.value) for name in names for status in STATUSES_AT_REST]
        rows = connection.execute(self._newest, (json.dumps(branches), limit)).fetchall()
        named = json.dumps([name for _, name in names])
        rows += connection.execute(self._running_of, (named,)).fetchall()
        found: dict[tuple[str, str], list[bytes]] = {name: [] for name in names}
        for type, name, id in rows:
            if (type, name) in found:
                found[type, name].append(id)
        return {name: nlargest(limit, ids) for name, ids in found.items()}

    def source(self, connection: sqlite3.Connection, query: JobQuery, limit: int) -> Source | None:
        """Return what alone selects the first jobs of a selection; None where it takes more."""
        if query.looks_through:
            return None
        found = list(islice(self._sources(connection, query, limit), 2))
        return found[0] if len(found) == 1 else None

    def count(self, connection: sqlite3.Connection, query: JobQuery, cap: int) -> int:
        """Return how many jobs a selection has, up to `cap`."""
        if query.looks_through:
            return sum(1 for _ in islice(self._matching(connection, query), cap))
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

    def reach(self, connection: sqlite3.Connection, query: JobQuery) -> bytes | None:
        """Return the last job that is looked at, where there are more."""
        last = list(islice(self._in_order(connection, query), LOOK_THROUGH - 1, LOOK_THROUGH + 1))
        return last[0][0] if len(last) > 1 else None

    def _matching(self, connection: sqlite3.Connection, query: JobQuery) -> Iterator[bytes]:
        """Give the ids of a selection that no index tells, in its order."""
        condition, conditions = condition_of(query)
        statement = f"""
            SELECT job.rowid FROM {self._table} AS job NOT INDEXED
            WHERE job.rowid IN (SELECT value FROM json_each(?)) AND {condition}"""
        places = islice(self._in_order(connection, query), LOOK_THROUGH)
        while chunk := list(islice(places, _LOOKED_AT_ONCE)):
            rows = json.dumps([row for _, row in chunk])
            matching = {row for (row,) in connection.execute(statement, (rows, *conditions))}
            yield from (id for id, row in chunk if row in matching)

    def _in_order(
        self, connection: sqlite3.Connection, query: JobQuery
    ) -> Iterator[tuple[bytes, int]]:
        """Give the ids and rows that indexes tell of a selection, as far as one may look.

        Each statement gives its jobs in order and no sooner than they are asked for.
        """
        found = [
            connection.execute(*each) for each in self._sources(connection, query, LOOK_THROUGH + 1)
        ]
        return merge(*found, key=itemgetter(0), reverse=not query.oldest_first)

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
        names = query.names if query.name is None else (query.name,)
        running, values = "", list[Any]()
        if query.status in (None, JobStatus.RUNNING):
            running = self._running_ids.format(order=order)
            named = None if names is None else json.dumps(names)
            values = [below, above, query.type, named, limit]
        branches = self._branches_of(connection, query)
        if running and (counts or not branches):
            yield running, values
        if counts:
            yield self._in_turn, [json.dumps(branches), below, above, limit]
            return
        for start in range(0, len(branches), MERGED_BRANCHES):
            part = branches[start : start + MERGED_BRANCHES]
            size = 1 << (len(part) - 1).bit_length()  # few sizes, so few statements
            for branch in part + [_NO_BRANCH] * (size - len(part)):
                values += [*branch, below, above]
            yield self._branches(size, order, running), [*values, limit]
            running, values = "", []  # they are merged with the first ones

    def _branches_of(self, connection: sqlite3.Connection, query: JobQuery) -> list[Branch]:
        """Return the branches that a query's jobs may be in."""
        if query.status is JobStatus.RUNNING:
            return []
        statuses = STATUSES_AT_REST if query.status is None else (query.status,)
        names = (query.name,) if query.name is not None else query.names
        if names is not None:
            kinds = [(type, name) for type in TYPES for name in names]
        else:
            kinds = connection.execute(self.kinds, (-1,)).fetchall()
        return [
            (type, name, status.value)
            for type, name in kinds
            for status in statuses
            if query.type in (None, type)
            and (query.planned or type != "cron_task" or status not in _PLANNED)
        ]


def _is_of_all(query: JobQuery) -> bool:
    """True where nothing selects but the ids."""
    named = (query.name, query.names, query.status, query.type)
    return named == (None, None, None, None) and not query.is_of_some
