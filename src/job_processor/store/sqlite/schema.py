"""Tables and indexes: made, brought up to date and verified, by many processes at once.

The version stands in our own `<prefix>_meta`, since SQLite's `user_version` belongs to the
application whose file this may be.
"""

from __future__ import annotations

import sqlite3
import time

from job_processor.errors import StoreSetupError
from job_processor.store.sqlite.errors import is_busy
from job_processor.store.sqlite.location import BUSY_TIMEOUT
from job_processor.store.sqlite.tables import (
    ACTIVE,
    AT_REST,
    EXPIRY,
    HAS_FAILED,
    HAS_LINE,
    HAS_PLACE,
    HAS_RATE_PLACE,
    HAS_TOPICS,
    HOLDING,
    IS_OPEN,
    IS_PARKED,
    IS_SLOTTED,
    IS_UNFINISHED,
    MAY_EXPIRE,
    OF_FLOW,
    OF_GROUP,
    OF_LANE,
    RUNNING,
    WAITING,
    Tables,
)

VERSION = 13
"""Of the schema below. A step to a later one is added to `_MIGRATIONS`."""

OLDEST_SQLITE = (3, 37, 0)  # the first with STRICT tables

_COLUMNS = {
    "jobs": """
        id BLOB NOT NULL UNIQUE,
        type TEXT NOT NULL,
        name TEXT NOT NULL,
        status TEXT NOT NULL,
        payload TEXT,
        scheduled_for INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        started_at INTEGER,
        ended_at INTEGER,
        worker_id BLOB,
        output TEXT,
        exclusive INTEGER NOT NULL DEFAULT 0,
        attempt INTEGER NOT NULL DEFAULT 1,
        crashes INTEGER NOT NULL DEFAULT 0,
        priority INTEGER NOT NULL DEFAULT 0,
        sync INTEGER NOT NULL DEFAULT 0,
        sentry_id TEXT,
        planned_for INTEGER,
        extra TEXT,
        unique_key TEXT,
        unique_until INTEGER,
        notes TEXT,
        state TEXT,
        steps TEXT,
        lane TEXT,
        slot TEXT,
        ordered TEXT,
        due INTEGER,
        parked TEXT,
        line TEXT,
        ready INTEGER,
        waiting_for TEXT,
        followed INTEGER,
        topics TEXT,
        rate_lane TEXT,
        group_id BLOB,
        open_in BLOB,
        failed_in BLOB,
        flow BLOB,
        labels TEXT""",
    "waits": """
        tag TEXT NOT NULL,
        job BLOB NOT NULL,
        open INTEGER NOT NULL,
        PRIMARY KEY (tag, job)""",
    "crons": """
        name TEXT NOT NULL PRIMARY KEY,
        id BLOB NOT NULL,
        cron_string TEXT NOT NULL,
        scheduled_for INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL""",
    "workers": """
        id BLOB NOT NULL PRIMARY KEY,
        hostname TEXT NOT NULL,
        last_seen INTEGER NOT NULL,
        tags TEXT,
        timeout_s REAL,
        service TEXT,
        names TEXT NOT NULL,
        crons TEXT NOT NULL,
        pid INTEGER,
        version TEXT,
        concurrency INTEGER,
        started_at INTEGER,
        memory INTEGER,
        limits TEXT,
        rates TEXT""",
    "signals": """
        job_id BLOB NOT NULL,
        worker_id BLOB NOT NULL,
        created_at INTEGER NOT NULL,
        ack INTEGER NOT NULL DEFAULT 0""",
    "settings": """
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (kind, name)""",
    "rollups": """
        seconds INTEGER NOT NULL,
        start INTEGER NOT NULL,
        data TEXT NOT NULL,
        PRIMARY KEY (seconds, start)""",
    "name_rollups": """
        seconds INTEGER NOT NULL,
        start INTEGER NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        data TEXT NOT NULL,
        PRIMARY KEY (seconds, start, kind, name)""",
    "errors": """
        start INTEGER NOT NULL,
        name TEXT NOT NULL,
        text TEXT NOT NULL,
        count INTEGER NOT NULL,
        job BLOB,
        at INTEGER NOT NULL,
        PRIMARY KEY (start, name, text)""",
    "lanes": """
        name TEXT NOT NULL PRIMARY KEY,
        tat REAL NOT NULL,
        held_until REAL NOT NULL,
        held_for REAL NOT NULL,
        interval REAL NOT NULL,
        burst INTEGER NOT NULL,
        grants TEXT,
        expires_at REAL NOT NULL""",
    "schedules": """
        name TEXT NOT NULL PRIMARY KEY,
        job TEXT NOT NULL,
        token BLOB NOT NULL,
        due INTEGER,
        moved_at INTEGER NOT NULL,
        ended_at INTEGER,
        value TEXT NOT NULL""",
    "messages": """
        topic TEXT NOT NULL PRIMARY KEY,
        id BLOB NOT NULL,
        payload TEXT NOT NULL,
        sent_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL""",
    "groups": """
        id BLOB NOT NULL PRIMARY KEY,
        created_at INTEGER NOT NULL,
        touched_at INTEGER NOT NULL,
        sealed INTEGER NOT NULL DEFAULT 0,
        broken TEXT,
        callbacks TEXT NOT NULL,
        round INTEGER NOT NULL DEFAULT 1,
        completed_at INTEGER,
        failed INTEGER,
        unfinished INTEGER NOT NULL DEFAULT 1""",
    "labels": """
        label TEXT NOT NULL,
        job BLOB NOT NULL,
        PRIMARY KEY (label, job)""",
    "meta": """
        key TEXT NOT NULL PRIMARY KEY,
        value INTEGER NOT NULL""",
}

_INDEXES = {
    # The state comes last, so that a look at the waiting jobs never has to read the jobs.
    "due": ("", "jobs", f"(name, priority DESC, scheduled_for, status) WHERE {WAITING}"),
    # Without the running ones: a job enters it when it is made and when it is settled, no more.
    "history": ("", "jobs", f"(type, name, status, id) WHERE {AT_REST}"),
    "running": ("", "jobs", f"(worker_id) WHERE {RUNNING}"),
    "ended": ("", "jobs", "(ended_at) WHERE ended_at IS NOT NULL"),
    "exclusive": ("UNIQUE ", "jobs", f"(type, name) WHERE exclusive=1 AND {ACTIVE}"),
    "unique_key": ("UNIQUE ", "jobs", f"(name, unique_key) WHERE {HOLDING}"),
    "slots": ("UNIQUE ", "jobs", f"(slot) WHERE {IS_SLOTTED}"),
    "line": ("", "jobs", f"(line, priority DESC, ready) WHERE {HAS_LINE}"),
    "lane": ("", "jobs", f"(lane, parked, priority DESC, due, id) WHERE {HAS_PLACE}"),
    "parked": ("", "jobs", f"(name) WHERE {IS_PARKED}"),
    "expiring": ("", "jobs", f"({EXPIRY}) WHERE {MAY_EXPIRE}"),
    "lane_history": ("", "jobs", f"(lane, id) WHERE {OF_LANE}"),
    "flow_history": ("", "jobs", f"(flow, id) WHERE {OF_FLOW}"),
    "open_waits": ("", "waits", "(tag, job) WHERE open=1"),
    "waits_of": ("", "waits", "(job)"),
    "schedules_due": ("", "schedules", "(job, due) WHERE due IS NOT NULL"),
    "schedules_moved": ("", "schedules", "(moved_at)"),
    "schedules_ended": ("", "schedules", "(ended_at) WHERE ended_at IS NOT NULL"),
    "topics": ("", "jobs", f"(topics) WHERE {HAS_TOPICS}"),
    "timeouts": ("", "jobs", f"(due, id) WHERE {HAS_TOPICS}"),
    "kept_messages": ("", "messages", "(expires_at)"),
    "rate_lane": (
        *("", "jobs"),
        f"(rate_lane, parked, priority DESC, due, id) WHERE {HAS_RATE_PLACE}",
    ),
    "members": ("", "jobs", f"(group_id, id) WHERE {OF_GROUP}"),
    "open_members": ("", "jobs", f"(open_in) WHERE {IS_OPEN}"),
    "failed_members": ("", "jobs", f"(failed_in) WHERE {HAS_FAILED}"),
    "unfinished": ("", "groups", f"(id) WHERE {IS_UNFINISHED}"),
    "ended_groups": ("", "groups", "(completed_at) WHERE completed_at IS NOT NULL"),
    "labels_of": ("", "labels", "(job)"),
    "open_kills": ("UNIQUE ", "signals", "(job_id, worker_id) WHERE ack=0"),
}

_MIGRATIONS: dict[int, tuple[str, ...]] = {
    2: ("ALTER TABLE {tables.jobs} ADD COLUMN steps TEXT",),
    3: (),  # a table more
    4: (
        *(
            f"ALTER TABLE {{tables.jobs}} ADD COLUMN {column}"
            for column in (
                *("lane TEXT", "slot TEXT", "ordered TEXT", "due INTEGER", "parked TEXT"),
                *("line TEXT", "ready INTEGER"),
            )
        ),
        "ALTER TABLE {tables.workers} ADD COLUMN limits TEXT",
    ),
    5: (
        "ALTER TABLE {tables.jobs} ADD COLUMN waiting_for TEXT",
        "ALTER TABLE {tables.jobs} ADD COLUMN followed INTEGER",
    ),
    6: (),  # a table more
    7: ("ALTER TABLE {tables.jobs} ADD COLUMN topics TEXT",),
    8: (
        "ALTER TABLE {tables.jobs} ADD COLUMN rate_lane TEXT",
        "ALTER TABLE {tables.workers} ADD COLUMN rates TEXT",
    ),
    9: tuple(
        f"ALTER TABLE {{tables.jobs}} ADD COLUMN {column} BLOB"
        for column in ("group_id", "open_in", "failed_in")
    ),
    10: ("ALTER TABLE {tables.jobs} ADD COLUMN flow BLOB",),
    11: ("ALTER TABLE {tables.jobs} ADD COLUMN labels TEXT",),
    12: (),  # two tables more
    13: (
        "DROP INDEX IF EXISTS {tables.slots}",  # it is created again: see `tables.IS_SLOTTED`
        "ALTER TABLE {tables.lanes} ADD COLUMN grants TEXT",
    ),
}
"""Statements that lead to a version from the one before it, with `{tables.jobs}` for the name of a
table. New tables, and indexes that are missing, are made anyway. A worker of that version goes on
beside us until it ends: its statements name columns and indexes, so none is taken away."""


def setup(connection: sqlite3.Connection, tables: Tables, address: str, is_file: bool) -> None:
    """Make and verify what the store needs; raises StoreSetupError when that cannot be."""
    _check_sqlite()
    _version(connection, tables, address)  # what is refused stays as it is, to the byte
    if is_file:
        _switch_to_wal(connection, address)
    connection.execute("BEGIN IMMEDIATE")
    found = _version(connection, tables, address)
    if found is None:
        _create(connection, tables)
    elif found < VERSION:
        _migrate(connection, tables, found)
    for index in index_statements(tables):
        connection.execute(index)
    # Even where it is there: a file that may only be read is found out now, not by a first job.
    connection.execute(
        f"INSERT OR REPLACE INTO {tables.meta} (key, value) VALUES ('version', ?)", (VERSION,)
    )
    _verify(connection, tables, address)
    connection.execute("COMMIT")


def table_statements(tables: Tables) -> list[str]:
    """Return what makes the tables."""
    return [
        f"CREATE TABLE {getattr(tables, name)} ({' '.join(columns.split())}) STRICT"
        for name, columns in _COLUMNS.items()
    ]


def index_statements(tables: Tables) -> list[str]:
    """Return what makes the indexes that are missing."""
    return [
        f"CREATE {unique}INDEX IF NOT EXISTS {getattr(tables, name)} "
        f"ON {getattr(tables, table)} {definition}"
        for name, (unique, table, definition) in _INDEXES.items()
    ]


def _check_sqlite() -> None:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StoreSetupError(
            f"the SQLite library of this Python is {sqlite3.sqlite_version}; needed is at least "
            f"{'.'.join(map(str, OLDEST_SQLITE))}"
        )


def _switch_to_wal(connection: sqlite3.Connection, address: str) -> None:
    """Turn the write-ahead log on, for good; while others do so, SQLite does not wait by itself."""
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
            continue
        if mode == "wal":
            return
        raise StoreSetupError(
            f"{address}: SQLite cannot keep a write-ahead log there (journal mode {mode!r}); put "
            "the file on a local disk"
        )


def _version(connection: sqlite3.Connection, tables: Tables, address: str) -> int | None:
    """Return the version of the tables that are there, None when there are none of these names.

    Raises StoreSetupError for those of another program, or of a newer version of ours.
    """
    names = [_unquoted(getattr(tables, name)) for name in (*_COLUMNS, *_INDEXES)]
    marks = ",".join("?" * len(names))
    taken = connection.execute(f"SELECT name FROM sqlite_master WHERE name IN ({marks})", names)
    present = sorted(name for (name,) in taken)
    if not present:
        return None
    found = _column_names(_COLUMNS["meta"]) <= _present_columns(connection, _unquoted(tables.meta))
    row = (
        found
        and connection.execute(f"SELECT value FROM {tables.meta} WHERE key='version'").fetchone()
    )
    if not row:
        raise StoreSetupError(
            f"{address}: it has {present[0]!r}, which job-processor did not make; use another "
            "file, or keep the two apart by a `collection_prefix`"
        )
    version: int = row[0]
    if version > VERSION:
        raise StoreSetupError(
            f"{address} was written by a newer job-processor (its tables {tables.jobs} … have "
            f"version {version}, this one knows {VERSION}); update this installation"
        )
    return version


def _migrate(connection: sqlite3.Connection, tables: Tables, found: int) -> None:
    """Lead the tables of a version to the present one."""
    made = _add_tables(connection, tables)
    for version in range(found + 1, VERSION + 1):
        for statement in (each.format(tables=tables) for each in _MIGRATIONS[version]):
            if not any(f"TABLE {table} " in statement for table in made):
                connection.execute(statement)


def _add_tables(connection: sqlite3.Connection, tables: Tables) -> list[str]:
    """Make the tables that are missing, as they are at present; return which those were."""
    missing = [
        table
        for table in (getattr(tables, name) for name in _COLUMNS)
        if not _present_columns(connection, _unquoted(table))
    ]
    for statement in table_statements(tables):
        connection.execute(statement.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1))
    return missing


def _create(connection: sqlite3.Connection, tables: Tables) -> None:
    for statement in table_statements(tables):
        connection.execute(statement)
    connection.execute(f"INSERT INTO {tables.meta} (key, value) VALUES ('revision', 0)")


def _verify(connection: sqlite3.Connection, tables: Tables, address: str) -> None:
    """Compare what is there with what every statement of ours relies on."""
    for table, columns in _COLUMNS.items():
        name = _unquoted(getattr(tables, table))
        missing = _column_names(columns) - _present_columns(connection, name)
        if missing:
            raise _differs(address, name, f"it lacks the columns {', '.join(sorted(missing))}")
    for wanted in index_statements(tables):
        name = wanted.split('"')[1]
        (sql,) = connection.execute(
            "SELECT sql FROM sqlite_master WHERE type='index' AND name=?", (name,)
        ).fetchone()
        if _normal(sql) != _normal(wanted):
            raise _differs(address, name, f"it is {sql!r} and has to be {wanted!r}")


def _differs(address: str, name: str, how: str) -> StoreSetupError:
    return StoreSetupError(
        f"{address}: {name!r} is not what job-processor made: {how}. Rename or drop it, and run "
        "again"
    )


def _present_columns(connection: sqlite3.Connection, table: str) -> set[str]:
    rows = connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
    return {name for (name,) in rows}


def _column_names(columns: str) -> set[str]:
    lines = (line.split() for line in columns.strip().splitlines())
    return {words[0] for words in lines if words[0] != "PRIMARY"}


def _unquoted(name: str) -> str:
    return name[1:-1]


def _normal(sql: str) -> str:
    return " ".join(sql.replace("IF NOT EXISTS ", "").split())
