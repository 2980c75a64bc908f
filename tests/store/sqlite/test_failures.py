"""Which error of ours says what SQLite raises: known to pass, about the row, or neither."""

from __future__ import annotations

import sqlite3

import pytest

from job_processor.errors import (
    StoreError,
    StoreRefusedError,
    StoreSetupError,
    StoreUnavailableError,
)
from job_processor.store.sqlite.errors import explain, explain_setup, unbindable, unstorable

PASSING = [
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PROTOCOL,
]
OF_THE_ROW = [sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH]
NEITHER = [sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_SCHEMA, 99]


def error(code: int, words: str = "words") -> sqlite3.Error:
    """Return what sqlite3 raises for a result code, refined as SQLite refines them."""
    raised = sqlite3.DatabaseError(words)
    raised.sqlite_errorcode = code | (2 << 8)
    raised.sqlite_errorname = f"SQLITE_{code}"
    return raised


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *((code, StoreUnavailableError) for code in PASSING),
        *((code, StoreRefusedError) for code in OF_THE_ROW),
        *((code, StoreError) for code in NEITHER),
        (sqlite3.SQLITE_NOTADB, StoreSetupError),
    ],
)
def test_each_code_has_its_error(code: int, kind: type[StoreError]) -> None:
    """The default is neither: nobody knows whether it passes, and the engine asks again."""
    ours = explain(error(code), "/data/jobs.db")
    assert type(ours) is kind
    assert "/data/jobs.db" in str(ours)


def test_while_setting_up_what_is_not_known_to_pass_is_a_setup_error() -> None:
    """So that whoever starts a worker hears of it at once."""
    for code in (*OF_THE_ROW, *NEITHER):
        assert type(explain_setup(explain(error(code), "there"))) is StoreSetupError
    assert type(explain_setup(explain(error(sqlite3.SQLITE_BUSY), "there"))) is (
        StoreUnavailableError
    )


@pytest.mark.parametrize(
    "raised",
    [
        UnicodeEncodeError("utf-8", "\udce9", 0, 1, "surrogates not allowed"),
        OverflowError("Python int too large to convert to SQLite INTEGER"),
        TypeError("a value of type object cannot be stored"),
        RecursionError("maximum recursion depth exceeded"),
        sqlite3.ProgrammingError("Error binding parameter 1: type 'object' is not supported"),
        *map(error, OF_THE_ROW),
    ],
)
def test_what_is_about_a_row(raised: Exception) -> None:
    """What Python raises before SQLite is asked, and what SQLite says of a row itself."""
    assert unstorable(raised)


@pytest.mark.parametrize(
    "raised",
    [
        MemoryError(),
        sqlite3.ProgrammingError("Cannot operate on a closed database."),
        *map(error, [*PASSING, *NEITHER]),
    ],
)
def test_what_is_about_no_row(raised: Exception) -> None:
    """It may pass, or is about the database."""
    assert unstorable(raised) is None


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (("text", 1, None, b"\xff", 2**63 - 1, -(2**63), "é"), None),
        (("fine", "caf\udce9"), "UnicodeEncodeError"),
        ((2**63,), "OverflowError"),
    ],
)
def test_a_row_is_looked_at_without_a_statement(
    values: tuple[object, ...], found: str | None
) -> None:
    """Which text and which number SQLite cannot be given is known before."""
    why = unbindable(values)
    assert (why is None) if found is None else (why is not None and why.startswith(found))
