"""What went wrong in SQLite, in our own errors and words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from job_processor.errors import (
    StoreError,
    StoreRefusedError,
    StoreSetupError,
    StoreUnavailableError,
    shorten,
)

_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY: "another connection has kept it locked for too long",
    sqlite3.SQLITE_LOCKED: "another connection has kept it locked for too long",
    sqlite3.SQLITE_PROTOCOL: "too many processes open it at the same moment",
    sqlite3.SQLITE_NOMEM: "there is not enough memory",
    sqlite3.SQLITE_INTERRUPT: "somebody interrupted the statement",
    sqlite3.SQLITE_FULL: "the disk is full; it continues when there is space again",
    sqlite3.SQLITE_READONLY: "this process may not write it: the file, its folder or its file "
    "system is read-only, or the file was moved away",
    sqlite3.SQLITE_IOERR: "the file system failed to read or write it",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: does it exist, and may this process read and "
    "write it and its folder?",
}
"""What may pass by itself or with somebody's help, by primary result code."""

_LASTING = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_ERROR})
"""What does not pass by itself; who sets up should hear of it at once."""

_OF_THE_VALUES = frozenset(
    {sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH}
)
"""What a row brings upon itself: its size, a trigger or an index of the user's, a type."""

_REOPEN = frozenset(
    {
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    }
)


def explain(error: sqlite3.Error, address: str) -> StoreError:
    """Return our error for one of SQLite's, naming the file."""
    code = _primary_code(error)
    detail = f"{error} ({getattr(error, 'sqlite_errorname', type(error).__name__)})"
    if code in _UNAVAILABLE:
        return StoreUnavailableError(f"{address}: {_UNAVAILABLE[code]}; SQLite says: {detail}")
    if code == sqlite3.SQLITE_ERROR and str(error).startswith("no such table"):
        return StoreUnavailableError(
            f"{address} has lost its tables; put the right file back, or set it up again by "
            f"starting a worker; SQLite says: {detail}"
        )
    if code == sqlite3.SQLITE_NOTADB:
        return StoreSetupError(
            f"{address} is not an SQLite database; give the path of another file"
        )
    if code == sqlite3.SQLITE_CORRUPT:
        return StoreError(
            f"{address} is damaged: restore it from a copy, or rescue what can be read with the "
            f"`.recover` command of the program sqlite3; SQLite says: {detail}"
        )
    if code in _OF_THE_VALUES:
        return StoreRefusedError(f"{address} cannot store this: {detail}")
    return StoreError(f"{address}: {detail}")


def unstorable(error: Exception) -> str | None:
    """Return why a row can never be stored, None where the row is not why.

    What Python raises before SQLite is asked is about the row: no encoding, no type, no number of
    more than 64 bits.
    """
    if isinstance(error, MemoryError) or (
        isinstance(error, sqlite3.Error)
        and _primary_code(error) not in _OF_THE_VALUES
        and not str(error).startswith("Error binding parameter")
    ):
        return None
    return f"{type(error).__name__}: {shorten(str(error), 200)}"


def unbindable(values: Iterable[object]) -> str | None:
    """Return why a row of these values cannot even be given to SQLite, None where it can."""
    for value in values:
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                return unstorable(error)
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            return "OverflowError: it has a number of more than 64 bits"
    return None


def explain_setup(error: StoreError) -> StoreError:
    """Return the error to raise while setting up: what does not pass by itself cannot serve."""
    cause = error.__cause__
    passes = isinstance(error, StoreUnavailableError) and not (
        isinstance(cause, sqlite3.Error) and _primary_code(cause) in _LASTING
    )
    if passes or isinstance(error, StoreSetupError):
        return error
    return StoreSetupError(str(error))


def needs_reopening(error: sqlite3.Error) -> bool:
    """Tell whether a new connection may succeed where this one would go on to fail."""
    return _primary_code(error) in _REOPEN


def is_full(error: sqlite3.Error) -> bool:
    """Tell whether there was no room on the disk."""
    return _primary_code(error) == sqlite3.SQLITE_FULL


def is_busy(error: sqlite3.Error) -> bool:
    """Tell whether another connection was in the way."""
    return _primary_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _primary_code(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF  # the upper bits refine it
