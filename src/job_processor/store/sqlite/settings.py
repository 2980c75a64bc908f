"""The settings: small documents by kind and name, changed only by whoever knows the last value."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection

from job_processor.store.desks.settings import Setting, Settings
from job_processor.store.sqlite.codec import decode, encode
from job_processor.store.sqlite.connections import (
    Plumbing,
    SqliteDesk,
    call,
    transaction,
    verb,
)


class SqliteSettings(SqliteDesk, Settings):
    """Reads settings, and replaces them by compare-and-set."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        tables = plumbing.tables
        self._of_kind = f"SELECT name, value FROM {tables.settings} WHERE kind=?"
        self._several = (
            f"SELECT kind, name, value FROM {tables.settings} "
            "WHERE kind IN (SELECT value FROM json_each(?))"
        )
        self._get = f"SELECT value FROM {tables.settings} WHERE kind=? AND name=?"
        self._write = f"""
            INSERT OR REPLACE INTO {tables.settings} (kind, name, value) VALUES (?, ?, ?)"""
        self._drop = f"DELETE FROM {tables.settings} WHERE kind=? AND name=?"
        self._latest = f"{self._of_kind} ORDER BY name DESC LIMIT ?"
        self._drop_before = f"DELETE FROM {tables.settings} WHERE kind=? AND name<?"

    @verb
    @call
    def all(self, connection: sqlite3.Connection, kind: str) -> dict[str, Setting]:
        """Return the settings of a kind by name."""
        rows = connection.execute(self._of_kind, (kind,)).fetchall()
        return {name: decode(value) for name, value in rows}

    @verb
    @call
    def several(
        self, connection: sqlite3.Connection, kinds: Collection[str]
    ) -> dict[str, dict[str, Setting]]:
        """Return the settings of each of these kinds."""
        found: dict[str, dict[str, Setting]] = {kind: {} for kind in kinds}
        for kind, name, value in connection.execute(self._several, (json.dumps([*kinds]),)):
            found[kind][name] = decode(value)
        return found

    @verb
    @call
    def last(self, connection: sqlite3.Connection, kind: str, limit: int) -> dict[str, Setting]:
        """Return those settings of a kind whose names come last, the very last first."""
        rows = connection.execute(self._latest, (kind, limit)).fetchall()
        return {name: decode(value) for name, value in rows}

    @transaction
    def _put(
        self,
        connection: sqlite3.Connection,
        kind: str,
        name: str,
        value: Setting,
        expected: Setting | None,
    ) -> bool:
        """Replace a setting, inside an immediate transaction: nobody writes in between."""
        row = connection.execute(self._get, (kind, name)).fetchone()
        present = None if row is None else decode(row[0])
        if present != expected:
            return False
        connection.execute(self._write, (kind, name, encode(dict(value))))
        self._revision.bump(connection)
        return True

    @transaction
    def _remove(
        self, connection: sqlite3.Connection, kind: str, name: str, expected: Setting | None
    ) -> bool:
        """Remove a setting, if it is still as expected; inside an immediate transaction."""
        row = connection.execute(self._get, (kind, name)).fetchone()
        if row is None or expected not in (None, decode(row[0])):
            return False
        connection.execute(self._drop, (kind, name))
        self._revision.bump(connection)
        return True

    @transaction
    def _remove_before(self, connection: sqlite3.Connection, kind: str, name: str) -> None:
        """Remove the settings of a kind whose names come before one."""
        if connection.execute(self._drop_before, (kind, name)).rowcount:
            self._revision.bump(connection)
