"""The settings: small documents by kind and name, changed only by whoever knows the last value."""

from __future__ import annotations

import sqlite3

from job_processor.store.base import Setting
from job_processor.store.sqlite.codec import decode, encode
from job_processor.store.sqlite.revision import Revision
from job_processor.store.sqlite.tables import Tables


class Settings:
    """The statements of the settings."""

    def __init__(self, tables: Tables, revision: Revision) -> None:
        self._revision = revision
        self._all = f"SELECT name, value FROM {tables.settings} WHERE kind=?"
        self._get = f"SELECT value FROM {tables.settings} WHERE kind=? AND name=?"
        self._put = f"""
            INSERT OR REPLACE INTO {tables.settings} (kind, name, value) VALUES (?, ?, ?)"""
        self._remove = f"DELETE FROM {tables.settings} WHERE kind=? AND name=?"
        self._last = f"{self._all} ORDER BY name DESC LIMIT ?"
        self._remove_before = f"DELETE FROM {tables.settings} WHERE kind=? AND name<?"

    def all(self, connection: sqlite3.Connection, kind: str) -> dict[str, Setting]:
        """Return the settings of a kind by name."""
        rows = connection.execute(self._all, (kind,)).fetchall()
        return {name: decode(value) for name, value in rows}

    def last(self, connection: sqlite3.Connection, kind: str, limit: int) -> dict[str, Setting]:
        """Return those settings of a kind whose names come last, the very last first."""
        rows = connection.execute(self._last, (kind, limit)).fetchall()
        return {name: decode(value) for name, value in rows}

    def put(
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
        connection.execute(self._put, (kind, name, encode(dict(value))))
        self._revision.bump(connection)
        return True

    def remove(
        self, connection: sqlite3.Connection, kind: str, name: str, expected: Setting | None
    ) -> bool:
        """Remove a setting, if it is still as expected; inside an immediate transaction."""
        row = connection.execute(self._get, (kind, name)).fetchone()
        if row is None or expected not in (None, decode(row[0])):
            return False
        connection.execute(self._remove, (kind, name))
        self._revision.bump(connection)
        return True

    def remove_before(self, connection: sqlite3.Connection, kind: str, name: str) -> None:
        """Remove the settings of a kind whose names come before one."""
        if connection.execute(self._remove_before, (kind, name)).rowcount:
            self._revision.bump(connection)
