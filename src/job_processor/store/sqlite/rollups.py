"""Rollups: counts of spans of time, added up."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId

from job_processor.clock import from_ms, to_ms
from job_processor.store.desks.rollups import Rollups
from job_processor.store.error_groups import ERRORS_KEPT, GROUPS_KEPT, ErrorGroup
from job_processor.store.name_rollups import Kind, NameRollup, by_name
from job_processor.store.rollups import KEPT, OTHERS, Rollup
from job_processor.store.sqlite.connections import (
    Plumbing,
    SqliteDesk,
    call,
    page,
    transaction,
    verb,
)
from job_processor.store.sqlite.tables import NOW_MS


class SqliteRollups(SqliteDesk, Rollups):
    """Adds counts, and reads them."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        tables = plumbing.tables
        table, named, errors = tables.rollups, tables.name_rollups, tables.errors
        self._get = f"SELECT data FROM {table} WHERE seconds=? AND start=?"
        self._put = f"INSERT OR REPLACE INTO {table} (seconds, start, data) VALUES (?, ?, ?)"
        self._from = f"SELECT start, data FROM {table} WHERE seconds=? AND start>=? ORDER BY start"
        self._get_named = (
            f"SELECT data FROM {named} WHERE seconds=? AND start=? AND kind=? AND name=?"
        )
        self._put_named = (
            f"INSERT OR REPLACE INTO {named} (seconds, start, kind, name, data) "
            "VALUES (?, ?, ?, ?, ?)"
        )
        self._of = (
            f"SELECT seconds, name, start, data FROM json_each(?) AS wanted CROSS JOIN {named} "
            "ON seconds=json_extract(wanted.value,'$[0]') "
            "AND start=json_extract(wanted.value,'$[1]') AND kind=? AND name=? "
            "ORDER BY seconds, start"
        )
        self._all = (
            f"SELECT name, start, data FROM {named} WHERE seconds=?1 AND start>=?2 AND kind=?3 "
            "AND (?4='[]' OR EXISTS (SELECT 1 FROM json_each(?4) WHERE instr(data, value))) "
            "ORDER BY start"
        )
        self._put_error = _error_statement(errors)
        # Of the columns that are not summed up, SQLite takes the row that has the maximum.
        self._errors = (
            f"SELECT name, min(start), text, sum(count), job, max(at) FROM {errors} "
            "WHERE start IN (SELECT value FROM json_each(?1)) AND (?2 IS NULL OR name=?2) "
            "GROUP BY name, text ORDER BY sum(count) DESC, name, text LIMIT ?3"
        )
        self._drop = [f"DELETE FROM {each} WHERE seconds=? AND start<?" for each in (table, named)]
        self._drop_errors = f"DELETE FROM {errors} WHERE start<?"
        self._now = f"SELECT {NOW_MS}"

    @transaction
    def _add(
        self,
        connection: sqlite3.Connection,
        rollups: Sequence[Rollup],
        named: Sequence[NameRollup],
        errors: Sequence[ErrorGroup],
    ) -> None:
        """Add counts, inside an immediate transaction: nobody writes in between."""
        for rollup in rollups:
            key = (rollup.seconds, to_ms(rollup.start))
            row = connection.execute(self._get, key).fetchone()
            if row is not None:
                rollup = _read(rollup.seconds, rollup.start, row[0]).plus(rollup)  # noqa: PLW2901  # the sum is what counts
            data = {name: getattr(rollup, name) for name in ("counts", "failures", "delays")}
            connection.execute(self._put, (*key, json.dumps(data)))
        for each in named:
            start = to_ms(each.start)
            of = (each.seconds, start, each.kind, each.name)
            row = connection.execute(self._get_named, of).fetchone()
            there = (
                None if row is None else _named(each.kind, each.seconds, each.name, start, row[0])
            )
            whole = each if there is None else there.plus(each)
            connection.execute(self._put_named, (*of, _text(whole)))
        if errors:
            connection.executemany(self._put_error, map(_error_row, errors))

    @verb
    @page
    def since(self, connection: sqlite3.Connection, seconds: int, since: datetime) -> list[Rollup]:
        """Return the rollups of a span from a time on."""
        rows = connection.execute(self._from, (seconds, to_ms(since))).fetchall()
        return [_read(seconds, from_ms(start), data) for start, data in rows]

    @verb
    @page
    def of(
        self,
        connection: sqlite3.Connection,
        kind: Kind,
        name: str,
        spans: Mapping[int, Sequence[datetime]],
    ) -> list[NameRollup]:
        """Return those of a name or tag that begin at these times."""
        wanted = [(length, to_ms(start)) for length, starts in spans.items() for start in starts]
        rows = connection.execute(self._of, (json.dumps(wanted), kind, name)).fetchall()
        return [_named(kind, *row) for row in rows]

    @verb
    @page
    def sums(
        self,
        connection: sqlite3.Connection,
        kind: Kind,
        seconds: int,
        since: datetime,
        having: Sequence[str] = (),
    ) -> list[NameRollup]:
        """Return what those from a time on add up to, by name."""
        values = (seconds, to_ms(since), kind, json.dumps([f'"{each}"' for each in having]))
        rows = connection.execute(self._all, values).fetchall()
        return by_name(_named(kind, seconds, *row) for row in rows)

    @verb
    @page
    def errors(
        self,
        connection: sqlite3.Connection,
        starts: Sequence[datetime],
        name: str | None,
        limit: int,
    ) -> list[ErrorGroup]:
        """Return the errors of some hours, the most frequent first."""
        rows = connection.execute(self._errors, (_moments(starts), name, limit)).fetchall()
        return [_error(*row) for row in rows]

    @call
    def prune(self, connection: sqlite3.Connection) -> None:
        """Drop what is too old."""
        ((now,),) = connection.execute(self._now).fetchall()
        for seconds, kept in KEPT.items():
            for statement in self._drop:
                connection.execute(statement, (seconds, now - int(kept.total_seconds() * 1000)))
        connection.execute(self._drop_errors, (now - int(ERRORS_KEPT.total_seconds() * 1000),))


def _error_statement(table: str) -> str:
    """Return what adds to the errors of a name and hour, as many as are kept apart."""
    same = "start=?1 AND name=?2"
    text = (
        f"CASE WHEN EXISTS (SELECT 1 FROM {table} WHERE {same} AND text=?3) "
        f"OR (SELECT count(*) FROM {table} WHERE {same} AND text<>'{OTHERS}') < {GROUPS_KEPT} "
        f"THEN ?3 ELSE '{OTHERS}' END"
    )
    return (
        f"INSERT INTO {table} (start, name, text, count, job, at) "
        f"SELECT ?1, ?2, {text}, ?4, ?5, ?6 WHERE true "
        "ON CONFLICT (start, name, text) DO UPDATE SET count=count+excluded.count, "
        "job=CASE WHEN excluded.at<at THEN job ELSE excluded.job END, at=max(at, excluded.at)"
    )


def _read(seconds: int, start: datetime, text: str) -> Rollup:
    data: dict[str, Any] = json.loads(text)
    return Rollup(seconds, start, data["counts"], data["failures"], _classes(data["delays"]))


def _named(kind: Kind, seconds: int, name: str, start: int, text: str) -> NameRollup:
    data: dict[str, Any] = json.loads(text)
    delays, durations = _classes(data["delays"]), _classes(data["durations"])
    return NameRollup(kind, name, seconds, from_ms(start), data["counts"], delays, durations)


def _text(rollup: NameRollup) -> str:
    data = {name: getattr(rollup, name) for name in ("counts", "delays", "durations")}
    return json.dumps(data, separators=(",", ":"))


def _classes(counts: dict[str, int]) -> dict[int, int]:
    return {int(index): count for index, count in counts.items()}


def _moments(starts: Sequence[datetime]) -> str:
    return json.dumps([to_ms(start) for start in starts])


def _error_row(group: ErrorGroup) -> tuple[int, str, str, int, bytes | None, int]:
    job = None if group.last_job is None else group.last_job.binary
    return to_ms(group.start), group.name, group.text, group.count, job, to_ms(group.last_at)


def _error(name: str, start: int, text: str, count: int, job: bytes | None, at: int) -> ErrorGroup:
    last_job = None if job is None else ObjectId(job)
    return ErrorGroup(name, from_ms(start), text, count, last_job, from_ms(at))
