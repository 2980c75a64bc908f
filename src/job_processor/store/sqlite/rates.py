"""Lanes of jobs that share a rate: read, worked out and written in one transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from job_processor.store.desks.rates import Rates
from job_processor.store.rates import (
    KEYED_RATE,
    KEYLESS_RATE,
    LAST_CHARACTER,
    Grant,
    Lane,
    LaneState,
    Pace,
    Reservation,
    new_id,
)
from job_processor.store.sqlite.connections import (
    Plumbing,
    SqliteDesk,
    call,
    read,
    transaction,
    verb,
)
from job_processor.store.sqlite.tables import NOW_MS

_FIELDS = "tat,held_until,held_for,interval,burst,grants"


class SqliteRates(SqliteDesk, Rates):
    """Reserves starts by the clock of the machine, which is the database's."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        lanes = plumbing.tables.lanes
        self._read = f"""
            SELECT {NOW_MS}, {_FIELDS} FROM (SELECT ?1 AS wanted)
            LEFT JOIN {lanes} ON name=wanted"""
        self._all = f"""
            SELECT {NOW_MS}, name, {_FIELDS} FROM {lanes}
            WHERE name>=?1 AND name<?1||'{LAST_CHARACTER}' ORDER BY name LIMIT ?2"""
        self._write = f"""
            INSERT OR REPLACE INTO {lanes} (name,{_FIELDS},expires_at) VALUES (?,?,?,?,?,?,?,?)"""
        self._drop = f"DELETE FROM {lanes} WHERE expires_at<{NOW_MS}"

    @transaction
    def _reserve(
        self, connection: sqlite3.Connection, lane: str, pace: Pace, count: int
    ) -> Reservation:
        """Grant up to so many starts; nobody reserves in between."""
        return self.take(connection, lane, pace, count)

    def take(
        self, connection: sqlite3.Connection, lane: str, pace: Pace, count: int
    ) -> Reservation:
        """Do so within a transaction."""
        present, now = self._find(connection, lane)
        changed, reservation = (present or Lane()).reserved(pace, count, now, new_id())
        if changed != present:
            self._put(connection, lane, changed, now)
        return reservation

    @transaction
    def _give_back(
        self, connection: sqlite3.Connection, lane: str, reserved: Reservation, unused: int
    ) -> bool:
        """Take starts back."""
        present, now = self._find(connection, lane)
        changed = None if present is None else present.given_back(reserved, unused)
        if changed is not None:
            self._put(connection, lane, changed, now)
        return changed is not None

    @transaction
    def _hold(
        self, connection: sqlite3.Connection, lane: str, seconds: float, at_least: bool
    ) -> None:
        """Let nothing start for so many seconds."""
        present, now = self._find(connection, lane)
        self._put(connection, lane, (present or Lane()).held(seconds, now, at_least=at_least), now)
        self._revision.bump(connection)

    @verb
    @read
    def states(
        self, connection: sqlite3.Connection, limit: int, prefix: str = KEYLESS_RATE
    ) -> dict[str, LaneState]:
        """Return how they stand."""
        dates = prefix.startswith(KEYED_RATE)
        rows = connection.execute(self._all, (prefix, limit)).fetchall()
        return {name: _lane(values).state(float(now), dates=dates) for now, name, *values in rows}

    def held(self, connection: sqlite3.Connection, lane: str) -> tuple[float, bool]:
        """Return the present time, and whether a lane is held, within a transaction."""
        present, now = self._find(connection, lane)
        return now, present is not None and min(present.held_until, now + present.held_for) > now

    def _find(self, connection: sqlite3.Connection, name: str) -> tuple[Lane | None, float]:
        """Return a lane, None where there is none, and the present time."""
        now, *values = connection.execute(self._read, (name,)).fetchone()
        return (None if values[0] is None else _lane(values)), float(now)

    def _put(self, connection: sqlite3.Connection, name: str, lane: Lane, now: float) -> None:
        values = name, lane.tat, lane.held_until, lane.held_for, lane.interval, lane.burst
        grants = json.dumps(lane.grants) if lane.grants else None
        connection.execute(self._write, (*values, grants, lane.kept_until(now)))

    async def prune(self) -> None:
        """Remove lanes that say nothing any more."""
        await self._prune()

    @call
    def _prune(self, connection: sqlite3.Connection) -> None:
        connection.execute(self._drop)


def _lane(values: Sequence[Any]) -> Lane:
    """Return the lane of a row of `_FIELDS`."""
    tat, held_until, held_for, interval, burst, grants = values
    known = tuple(Grant(*each) for each in json.loads(grants or "[]"))
    return Lane(tat, held_until, held_for, interval, burst, known)
