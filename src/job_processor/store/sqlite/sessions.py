"""Statements in a caller's transaction.

A caller's own connection to the same file is a `sqlite3.Connection`, or one of `aiosqlite`, whose
methods have the same names and are awaited.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from job_processor.errors import InvalidArgumentError
from job_processor.store.sqlite.rows import Row

_ALLOWED = "allowed is a connection of sqlite3 or aiosqlite to the file of this processor"


async def write_in(connection: Any, path: Path | None, statement: str, rows: Sequence[Row]) -> int:
    """Run a statement with each of the rows in the caller's transaction; return what it changed.

    Raises InvalidArgumentError when the connection is none, is one to another file, or commits each
    statement by itself.
    """
    if not hasattr(connection, "executemany") or not hasattr(connection, "in_transaction"):
        raise InvalidArgumentError("session", connection, _ALLOWED)
    if path is None:
        refused = "a database in memory has no other connection; use a file"
        raise InvalidArgumentError("session", connection, refused)
    cursor = await answer(connection.execute("PRAGMA database_list"))
    files = [row[2] for row in await answer(cursor.fetchall()) if row[1] == "main"]
    if not files or not _is_same(path, files[0]):
        raise InvalidArgumentError("session", connection, f"{_ALLOWED}: {path}")
    # It begins a transaction, if the connection is one that begins any. How that was asked for
    # (isolation_level, autocommit) differs by the version of Python, and is hidden by aiosqlite.
    await answer(connection.executemany(statement, ()))
    if not connection.in_transaction:
        refused = "it commits each statement by itself; execute BEGIN IMMEDIATE first"
        raise InvalidArgumentError("session", connection, refused)
    cursor = await answer(connection.executemany(statement, rows))
    changed: int = cursor.rowcount
    return changed


def _is_same(path: Path, other: str) -> bool:
    """True when the two are one file, by whatever name."""
    try:
        return path.samefile(other)
    except OSError:
        return False


async def answer(call: Any) -> Any:
    """Return what a call of either driver answers."""
    return await call if inspect.isawaitable(call) else call
