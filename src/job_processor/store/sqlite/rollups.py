"""Rollups: counts of spans of time, added up."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from job_processor.clock import from_ms, to_ms
from job_processor.store.desks.rollups import Rollups
from job_processor.store.rollups import KEPT, Rollup
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
        table = tables.rollups
        self._get = f"SELECT data FROM {table} WHERE seconds=? AND start=?"
        self._put = f"INSERT OR REPLACE INTO {table} (seconds, start, data) VALUES (?, ?, ?)"
        self._from = f"SELECT start, data FROM {table} WHERE seconds=? AND start>=? ORDER BY start"
        self._drop = f"DELETE FROM {table} WHERE seconds=? AND start<{NOW_MS}-?"

    @transaction
    def _add(self, connection: sqlite3.Connection, rollups: Sequence[Rollup]) -> None:
        """Add counts, inside an immediate transaction: nobody writes in between."""
        for rollup in rollups:
            key = (rollup.seconds, to_ms(rollup.start))
            row = connection.execute(self._get, key).fetchone()
            if row is not None:
                rollup = _read(rollup.seconds, rollup.start, row[0]).plus(rollup)  # noqa: PLW2901  # the sum is what counts
            data = {name: getattr(rollup, name) for name in ("counts", "failures", "delays")}
            connection.execute(self._put, (*key, json.dumps(data)))

    @verb
    @page
    def since(self, connection: sqlite3.Connection, seconds: int, since: datetime) -> list[Rollup]:
        """Return the rollups of a span from a time on."""
        rows = connection.execute(self._from, (seconds, to_ms(since))).fetchall()
        return [_read(seconds, from_ms(start), data) for start, data in rows]

    @call
    def prune(self, connection: sqlite3.Connection) -> None:
        """Drop what is too old."""
        for seconds, kept in KEPT.items():
            connection.execute(self._drop, (seconds, int(kept.total_seconds() * 1000)))


def _read(seconds: int, start: datetime, text: str) -> Rollup:
    data: dict[str, Any] = json.loads(text)
    delays = {int(index): count for index, count in data["delays"].items()}
    return Rollup(seconds, start, data["counts"], data["failures"], delays)
