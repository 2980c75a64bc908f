"""Which waiting jobs come next: claim them, or look at them.

The index over the waiting jobs is ordered by (name, priority descending, scheduled_for), so within
one line (the jobs of one name and priority) the due ones stand in front, whatever waits behind.
First the heads of the lines are read, one look a line; then the lines whose head is due are merged
as far as the limit. Neither depends on how many jobs wait, wait for later, or are of other names.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import lru_cache, partial
from operator import attrgetter
from typing import NamedTuple

from job_processor.clock import from_ms, to_ms
from job_processor.models import Job
from job_processor.redaction import Redaction
from job_processor.store.desks.queue import Queue
from job_processor.store.requests import Claim
from job_processor.store.sqlite.claimed import ALL, FEW, FRESH, FreshRows, Shape, plain_jobs
from job_processor.store.sqlite.connections import Plumbing, SqliteDesk, call, following, page
from job_processor.store.sqlite.due import (
    OF_NAMES,
    claim_statement,
    lines_of_names,
    of_all_but,
)
from job_processor.store.sqlite.lanes import SqliteLanes
from job_processor.store.sqlite.overdue import Overdue
from job_processor.store.sqlite.reading import to_jobs
from job_processor.store.sqlite.rows import COLUMNS, Row
from job_processor.store.sqlite.summaries import Summaries
from job_processor.store.sqlite.tables import AHEAD, WAITING
from job_processor.store.summaries import JobSummary

MERGED_LINES = 64
"""Lines that one statement merges at most; a round up to a power of two keeps statements few."""

_NO_LINE = (None, None)  # stands in where a statement merges more lines than there are


class Line(NamedTuple):
    """The waiting jobs of one name and priority; `head` is the earliest `scheduled_for`, in ms."""

    name: str
    priority: int
    head: int


class SqliteQueue(SqliteDesk, Queue):
    """Reads the waiting jobs line by line."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        self._in_line: SqliteLanes = self.desk("lanes")
        tables = plumbing.tables
        self._shown = Summaries(tables)
        source = f"{tables.jobs} AS job INDEXED BY {tables.due}"
        self._heads = _lines_statement(source, OF_NAMES)
        self._all_heads = _lines_statement(source, of_all_but(source))
        self._due_of_line = f"""
            SELECT count(*) FROM (
                SELECT 1 FROM {source}
                WHERE job.name=? AND job.priority=? AND job.scheduled_for<=? AND {WAITING} LIMIT ?
            )"""
        self._shape = FEW
        self._take = lru_cache(partial(claim_statement, tables))
        self._whole = f"""
            SELECT {COLUMNS} FROM {tables.jobs} NOT INDEXED
            WHERE rowid IN (SELECT value FROM json_each(?))"""
        self._overdue = Overdue(tables, self._in_line)

    @following
    def _claim(self, connection: sqlite3.Connection, claim: Claim) -> Sequence[Job]:
        """Move what is due to running; writes nothing when there is nothing."""
        now, due_by = to_ms(claim.now), to_ms(claim.due_by)
        by_time = claim.overdue_since is not None
        lines = self._due_lines(connection, _as_json(claim.names), due_by)
        if by_time:
            lines.sort(key=lambda line: line.head)
        lines = lines[:MERGED_LINES]
        if not lines:
            return []
        excluded = json.dumps([id.binary.hex().upper() for id in claim.exclude])
        merged = _rounded(len(lines))
        # A single statement is an immediate transaction of its own.
        shape = FRESH if claim.together and self._shape is FEW else self._shape
        rows: list[Row] = connection.execute(
            self._take(merged, bool(claim.exclude), by_time, shape.columns, int(claim.suspects)),
            (due_by, claim.limit, claim.worker_id.binary, excluded, now, *_flat(lines, merged)),
        ).fetchall()
        rows.sort(key=shape.by_time)
        if not by_time and merged > 1:
            rows.sort(key=shape.by_priority, reverse=True)  # what is equal stays in that order
        return self._jobs(connection, rows, shape, claim)

    def _jobs(
        self, connection: sqlite3.Connection, rows: list[Row], shape: Shape, claim: Claim
    ) -> Sequence[Job]:
        """Return the jobs of what was claimed, in the same order."""
        others = [row[-1] for row in rows if row[-1] is not None]
        self._shape = ALL if 2 * len(others) > len(rows) else FEW
        if shape is ALL:
            return to_jobs([row[:-1] for row in rows])
        if shape is FRESH:
            fresh = FreshRows(claim, [row for row in rows if row[-1] is None] if others else rows)
            if not others:
                return fresh
            jobs = list(fresh)
        else:
            jobs = plain_jobs(rows, claim.worker_id)
        if not others:
            return jobs
        jobs += to_jobs(connection.execute(self._whole, (json.dumps(others),)).fetchall())
        of_id = {job.id.binary: job for job in jobs}
        return [of_id[row[0]] for row in rows if row[0] in of_id]

    @call
    def _next_due(self, connection: sqlite3.Connection, names: Collection[str]) -> datetime | None:
        """Return when the first waiting job of these names is due."""
        return self._first_due(connection, names)

    @page
    def _due(
        self,
        connection: sqlite3.Connection,
        now: datetime,
        limit: int,
        leaving_out: Collection[str],
        redaction: Redaction | None,
    ) -> list[JobSummary]:
        """Return what is shown of the due jobs, the earliest first."""
        found = [
            job
            for source in self._overdue.sources(connection, to_ms(now), limit, leaving_out)
            for job in self._shown.of(connection, source, redaction)
        ]
        return sorted(found, key=attrgetter("scheduled_for"))[:limit]

    @page
    def _count_due(
        self, connection: sqlite3.Connection, names: Collection[str], now: datetime, cap: int
    ) -> dict[str, int]:
        """Count what is due of each name, line by line."""
        moment, counts = to_ms(now), Counter[str]()
        for line in self._due_lines(connection, _as_json(tuple(names)), moment):
            arguments = (line.name, line.priority, moment, cap)
            counts[line.name] += connection.execute(self._due_of_line, arguments).fetchone()[0]
        for name, count in self._in_line.count_ready(connection, names, moment, cap):
            counts[name] += count
        return {name: min(count, cap) for name, count in counts.items() if count}

    def _first_due(self, connection: sqlite3.Connection, names: Collection[str]) -> datetime | None:
        return _first_of(self._lines(connection, _as_json(tuple(names))))

    def due_since(
        self, connection: sqlite3.Connection, now: datetime, leaving_out: Collection[str]
    ) -> datetime | None:
        """Return when the first due job was to begin, but for some names; None: none is due."""
        first = _first_of(self._all_lines(connection, leaving_out))
        in_line = self._in_line.first_ready(connection, leaving_out)
        found = [each for each in (first, in_line) if each is not None and each <= now]
        return min(found, default=None)

    def _all_lines(
        self, connection: sqlite3.Connection, leaving_out: Collection[str]
    ) -> list[Line]:
        """Return the lines of all names but some."""
        rows = connection.execute(self._all_heads, (json.dumps([*leaving_out]),)).fetchall()
        return [Line(*row) for row in rows]

    def _lines(self, connection: sqlite3.Connection, names: str) -> list[Line]:
        return [Line(*row) for row in connection.execute(self._heads, (names,)).fetchall()]

    def _due_lines(self, connection: sqlite3.Connection, names: str, now: int) -> list[Line]:
        """Return the lines with something due, the highest priority and the longest wait first."""
        lines = [line for line in self._lines(connection, names) if line.head <= now]
        if len(lines) > 1:
            lines.sort(key=lambda line: (-line.priority, line.head))
        return lines


def _lines_statement(due: str, names: str) -> str:
    return f"""
        {lines_of_names(due, names)}
        SELECT name, priority, (
            SELECT min(job.scheduled_for) FROM {due}
            WHERE job.name=line.name AND {WAITING} AND job.priority=line.priority
        ) FROM line WHERE priority IS NOT NULL"""


def _first_of(lines: Iterable[Line]) -> datetime | None:
    first = min((line.head for line in lines), default=AHEAD)
    return from_ms(first) if first < AHEAD else None  # what is behind waits in a lane


@lru_cache(maxsize=256)
def _as_json(names: tuple[str, ...]) -> str:
    return json.dumps(names)


def _rounded(count: int) -> int:
    return 1 << (count - 1).bit_length()


def _flat(lines: list[Line], count: int) -> list[str | int | None]:
    values: list[str | int | None] = []
    for line in lines:
        values += (line.name, line.priority)
    values.extend(_NO_LINE * (count - len(lines)))
    return values
