"""Whether other connections have written something that somebody waits for.

Every commit of another connection moves SQLite's `data_version`, a heartbeat's too, and those of
an application whose file we share. So what we write counts, too: an insert by the highest rowid,
anything else by a number that its transaction raises.
"""

from __future__ import annotations

import sqlite3

from job_processor.store.sqlite.tables import Tables


class Revision:
    """The number, and what was last seen of it; lives in one connection's thread."""

    def __init__(self, tables: Tables) -> None:
        self._bump = f"UPDATE {tables.meta} SET value=value+1 WHERE key='revision'"
        self._mark = f"""
            SELECT (SELECT max(rowid) FROM {tables.jobs}),
                (SELECT value FROM {tables.meta} WHERE key='revision')"""
        self._data_version: tuple[sqlite3.Connection, int] | None = None
        self._seen: tuple[int | None, int] | None = None

    def bump(self, connection: sqlite3.Connection) -> None:
        """Let other processes know, with the commit that follows."""
        connection.execute(self._bump)

    def has_changed(self, connection: sqlite3.Connection) -> bool:
        """Tell whether others have written since the last call; what we wrote may count too."""
        (data_version,) = connection.execute("PRAGMA data_version").fetchone()
        # Each connection counts for itself, and one that broke was made anew.
        if (connection, data_version) == self._data_version:
            return False
        self._data_version = connection, data_version
        mark: tuple[int | None, int] = connection.execute(self._mark).fetchone()
        changed, self._seen = mark != self._seen, mark
        return changed
