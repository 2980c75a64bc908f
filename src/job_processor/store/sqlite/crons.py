"""Crons: their pointer to the next occurrence, and the occurrences that stand in the queue."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from datetime import datetime

from bson import ObjectId

from job_processor.clock import from_ms, to_ms
from job_processor.models import Cron, Output, SkipMetadata, occurrence_id
from job_processor.store.desks.crons import Crons
from job_processor.store.sqlite.connections import (
    Plumbing,
    SqliteDesk,
    call,
    transaction,
    verb,
)
from job_processor.store.sqlite.rows import encode_output
from job_processor.store.sqlite.tables import AT_REST, OUT_OF_LANE, WAITING

_COLUMNS = "name,id,cron_string,scheduled_for,created_at,updated_at"
_EARLIEST_MS = -(2**63)


class SqliteCrons(SqliteDesk, Crons):
    """Creates, moves and removes crons, and removes occurrences that no longer stand."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        tables = plumbing.tables
        self._list = f"SELECT {_COLUMNS} FROM {tables.crons} ORDER BY name"
        self._put = f"""
            INSERT INTO {tables.crons} ({_COLUMNS}) VALUES (?,?,?,?,?,?) ON CONFLICT DO NOTHING"""
        self._move = f"""
            UPDATE {tables.crons} SET cron_string=?, scheduled_for=?, updated_at=?
            WHERE name=? AND cron_string=? AND scheduled_for=?"""
        self._drop = f"DELETE FROM {tables.crons} WHERE name=?"
        # A first attempt at its own time: a retry has another number, or another time.
        self._planned = f"""
            SELECT id, scheduled_for FROM {tables.jobs} INDEXED BY {tables.history}
            WHERE type='cron_task' AND name=? AND status='pending' AND {AT_REST}
                AND scheduled_for>? AND attempt=1 AND planned_for IS NULL AND due IS NULL"""
        self._pointer = f"SELECT scheduled_for FROM {tables.crons} WHERE name=?"
        self._skip = f"""
            UPDATE {tables.jobs} INDEXED BY {tables.history}
            SET status='skipped', output=?, updated_at=?, ended_at=?, {OUT_OF_LANE}
            WHERE type='cron_task' AND name=? AND {WAITING} AND {AT_REST}"""
        self._remove_task = f"DELETE FROM {tables.jobs} WHERE id=? AND status='pending'"

    @verb
    @call
    def all(self, connection: sqlite3.Connection) -> list[Cron]:
        """Return all crons by name."""
        return [
            Cron(
                id=ObjectId(id),
                name=name,
                cron_string=cron_string,
                scheduled_for=from_ms(scheduled_for),
                created_at=from_ms(created_at),
                updated_at=from_ms(updated_at),
            )
            for name, id, cron_string, scheduled_for, created_at, updated_at in connection.execute(
                self._list
            ).fetchall()
        ]

    @verb
    @call
    def create(self, connection: sqlite3.Connection, cron: Cron) -> bool:
        """Add a cron; False when its name is there."""
        row = (
            cron.name,
            cron.id.binary,
            cron.cron_string,
            to_ms(cron.scheduled_for),
            to_ms(cron.created_at),
            to_ms(cron.updated_at),
        )
        return connection.execute(self._put, row).rowcount == 1

    @verb
    @call
    def update(
        self,
        connection: sqlite3.Connection,
        cron: Cron,
        cron_string: str,
        scheduled_for: datetime,
        now: datetime,
    ) -> bool:
        """Move a cron's pointer, if it has not moved since it was read."""
        change = (cron_string, to_ms(scheduled_for), to_ms(now))
        guard = (cron.name, cron.cron_string, to_ms(cron.scheduled_for))
        return connection.execute(self._move, (*change, *guard)).rowcount == 1

    @verb
    @transaction
    def remove(self, connection: sqlite3.Connection, name: str) -> None:
        """Remove a cron with its pending occurrences that were planned by us."""
        connection.execute(self._drop, (name,))
        self._remove_planned(connection, name, _EARLIEST_MS, frozenset())

    @verb
    @transaction
    def remove_occurrences(
        self,
        connection: sqlite3.Connection,
        name: str,
        after: datetime,
        keep: Collection[ObjectId],
    ) -> int:
        """Remove the pending occurrences later than a time; return how many."""
        first = to_ms(after) + 1
        for (pointer,) in connection.execute(self._pointer, (name,)).fetchall():
            if occurrence_id(name, from_ms(pointer)) not in keep:
                first = max(first, pointer)  # the caller knows an old one
        return self._remove_planned(connection, name, first - 1, keep)

    @transaction
    def _skip_waiting(self, connection: sqlite3.Connection, name: str, now: datetime) -> int:
        """Let what waits of a cron end as skipped; return how many."""
        output = encode_output(Output("--", None, None, SkipMetadata("other", None, now)))
        skipped = connection.execute(self._skip, (output, to_ms(now), to_ms(now), name)).rowcount
        if skipped:
            self._revision.bump(connection)
        return skipped

    def _remove_planned(
        self, connection: sqlite3.Connection, name: str, after: int, keep: Collection[ObjectId]
    ) -> int:
        planned = connection.execute(self._planned, (name, after)).fetchall()
        superfluous = [
            (id,)
            for id, scheduled_for in planned
            if ObjectId(id) == occurrence_id(name, from_ms(scheduled_for))
            and ObjectId(id) not in keep
        ]
        if not superfluous:
            return 0
        return connection.executemany(self._remove_task, superfluous).rowcount
