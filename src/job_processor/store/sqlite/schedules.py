"""Schedules that were made at run time: one row each, found by when they are due."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId

from job_processor.clock import from_ms, to_ms
from job_processor.store.desks.schedules import Schedules
from job_processor.store.schedules import Schedule
from job_processor.store.sqlite.codec import decode, encode
from job_processor.store.sqlite.connections import (
    Plumbing,
    SqliteDesk,
    call,
    page,
    read,
    transaction,
    verb,
)

_FIELDS = "name,job,token,due,moved_at,ended_at,value"


class SqliteSchedules(SqliteDesk, Schedules):
    """Replaces a row where its token is still the one that was read."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        table, due = plumbing.tables.schedules, plumbing.tables.schedules_due
        select = f"SELECT value, token FROM {table}"
        self._get = f"{select} WHERE name=?"
        self._insert = f"INSERT OR IGNORE INTO {table} ({_FIELDS}) VALUES (?,?,?,?,?,?,?)"
        self._update = f"""
            UPDATE {table} SET ({_FIELDS})=(?1,?2,?3,?4,?5,?6,?7) WHERE name=?1 AND token=?8"""
        self._drop = f"DELETE FROM {table} WHERE name=?"
        self._by_name = f"{select} WHERE name>? ORDER BY name LIMIT ?"
        self._of_job = f"{select} WHERE name>? AND job=? ORDER BY name LIMIT ?"
        self._due_ones = f"""
            SELECT each.value, each.token FROM (
                SELECT rowid AS place FROM {table} INDEXED BY {due}
                WHERE job IN (SELECT value FROM json_each(?)) AND due IS NOT NULL AND due<=?
                ORDER BY due LIMIT ?)
            CROSS JOIN {table} AS each ON each.rowid=place"""
        self._first = f"""
            SELECT min((
                SELECT due FROM {table} INDEXED BY {due}
                WHERE job=each.value AND due IS NOT NULL ORDER BY due LIMIT 1))
            FROM json_each(?) AS each"""
        self._moved = f"{select} WHERE moved_at>? LIMIT ?"
        self._prune_ended = f"""
            DELETE FROM {table} WHERE rowid IN (
                SELECT rowid FROM {table} WHERE ended_at IS NOT NULL AND ended_at<? LIMIT ?)"""

    @verb
    @read
    def get(self, connection: sqlite3.Connection, name: str) -> Schedule | None:
        """Return a schedule."""
        row = connection.execute(self._get, (name,)).fetchone()
        return None if row is None else _schedule(row)

    @transaction
    def _put(
        self, connection: sqlite3.Connection, schedule: Schedule, expected: ObjectId | None
    ) -> bool:
        """Insert it, or replace the one with this token."""
        done = self._write(connection, schedule, expected)
        if done:
            self._revision.bump(connection)
        return done

    @verb
    @transaction
    def remove(self, connection: sqlite3.Connection, name: str) -> bool:
        """Remove a schedule; False where there is none."""
        return connection.execute(self._drop, (name,)).rowcount == 1

    @page
    def _page(
        self, connection: sqlite3.Connection, after: str, limit: int, job: str | None
    ) -> list[Schedule]:
        """Return schedules by name."""
        if job is None:
            return _schedules(connection.execute(self._by_name, (after, limit)))
        return _schedules(connection.execute(self._of_job, (after, job, limit)))

    @read
    def _due(
        self, connection: sqlite3.Connection, jobs: Collection[str], now: datetime, limit: int
    ) -> list[Schedule]:
        """Return what is due, the earliest first."""
        values = json.dumps(list(jobs)), to_ms(now), limit
        found = _schedules(connection.execute(self._due_ones, values))
        return sorted(found, key=lambda each: (each.due or now, each.name))

    @read
    def _next_due(self, connection: sqlite3.Connection, jobs: Collection[str]) -> datetime | None:
        """Return when the first is due."""
        (first,) = connection.execute(self._first, (json.dumps(list(jobs)),)).fetchone()
        return None if first is None else from_ms(first)

    @verb
    @read
    def moved_after(
        self, connection: sqlite3.Connection, moment: datetime, limit: int
    ) -> list[Schedule]:
        """Return those that were moved later."""
        return _schedules(connection.execute(self._moved, (to_ms(moment), limit)))

    @transaction
    def _advance(
        self, connection: sqlite3.Connection, moves: Sequence[tuple[Schedule, Schedule]]
    ) -> set[str]:
        """Replace those whose token is still the one that was read."""
        return {
            after.name for before, after in moves if self._write(connection, after, before.token)
        }

    @verb
    @call
    def prune(self, connection: sqlite3.Connection, before: datetime, limit: int) -> int:
        """Remove those that have ended before; return how many."""
        return connection.execute(self._prune_ended, (to_ms(before), limit)).rowcount

    def _write(
        self, connection: sqlite3.Connection, schedule: Schedule, expected: ObjectId | None
    ) -> bool:
        row = _row(schedule)
        if expected is None:
            return connection.execute(self._insert, row).rowcount == 1
        return connection.execute(self._update, (*row, expected.binary)).rowcount == 1


def _row(schedule: Schedule) -> tuple[Any, ...]:
    return (
        schedule.name,
        schedule.job,
        schedule.token.binary,
        _ms(schedule.due),
        to_ms(schedule.moved_at),
        _ms(schedule.ended_at),
        encode(schedule.values()),
    )


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(moment)


def _schedules(rows: sqlite3.Cursor) -> list[Schedule]:
    return [_schedule(row) for row in rows.fetchall()]


def _schedule(row: tuple[str, bytes]) -> Schedule:
    return Schedule.of(decode(row[0]), ObjectId(row[1]))
