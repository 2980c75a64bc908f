"""Real connections that remember their statements, and what SQLite plans for each."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, ClassVar

from job_processor.store.sqlite.slots import Slots

LIFE = ("BEGIN", "COMMIT", "PRAGMA", "ROLLBACK")


class Recorder(sqlite3.Connection):
    """A connection that remembers what it executed."""

    statements: ClassVar[list[tuple[str, Any]]] = []

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Execute and remember."""
        if not sql.startswith(LIFE):
            self.statements.append((sql, parameters))
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        """Execute and remember, with the first parameters."""
        rows = list(parameters)
        self.statements.append((sql, rows[0]))
        return super().executemany(sql, rows)


def plan_of(connection: sqlite3.Connection, sql: str, parameters: Any) -> list[str]:
    """Return the steps of the query plan of a statement."""
    Slots().give(connection, {})  # what they call
    rows = connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)
    return [detail for _, _, _, detail in rows]
