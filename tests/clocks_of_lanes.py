"""What tests do to lanes: move the database's clock, as far as a lane can tell."""

from __future__ import annotations

import sqlite3
from typing import cast

from job_processor.store import Store
from job_processor.store.mongo import MongoStore
from job_processor.store.sqlite import SqliteStore
from tests.desks import Between
from tests.store.dictionaries.rates import DictionaryRates


async def turn_clock(store: Store, lane: str, seconds: float) -> None:
    """Let the database's clock have stepped by so many seconds since a lane was written."""
    ms = seconds * 1000.0
    while isinstance(store, Between):
        store = store._before
    if isinstance(store, SqliteStore):
        await store._connections.writer.call(_move, store._tables.lanes, lane, ms)
    elif isinstance(store, MongoStore):
        change = {"$inc": {"tat": -ms, "held_until": -ms}}
        await store._handles.lanes.update_one({"_id": lane}, change)
    else:
        await cast(DictionaryRates, store.rates).move(lane, -ms)


def _move(connection: sqlite3.Connection, table: str, lane: str, ms: float) -> None:
    moved = f"UPDATE {table} SET tat=tat-?1, held_until=held_until-?1 WHERE name=?2"  # noqa: S608  # of tests
    connection.execute(moved, (ms, lane))
