"""What tests do to lanes: move the database's clock, as far as a lane can tell."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import cast

import pytest
from bson import Int64

from job_processor.clock import to_ms
from job_processor.store import Store
from job_processor.store.mongo import MongoStore
from job_processor.store.mongo import rates as mongo_rates
from job_processor.store.rates import Lane
from job_processor.store.sqlite import SqliteStore
from job_processor.store.sqlite.rates import SqliteRates
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


class DatabaseClock:
    """The clock by which all lanes of a store's rates go, from now on: it goes as a test says."""

    def __init__(self, store: Store, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = now
        while isinstance(store, Between):
            store = store._before
        if isinstance(store, SqliteStore):
            monkeypatch.setattr(store.rates, "_find", self._finding(store))
        elif isinstance(store, MongoStore):
            self._monkeypatch = monkeypatch
        else:
            monkeypatch.setattr(store.rates, "_now", lambda: float(to_ms(self.now)))
        self._is_mongo = isinstance(store, MongoStore)
        self.to(now)

    def to(self, now: datetime) -> datetime:
        """Let it be so late; return that."""
        self.now = now
        if self._is_mongo:
            self._monkeypatch.setattr(mongo_rates, "_NOW", {"$toLong": Int64(to_ms(now))})
        return now

    def move(self, seconds: float) -> datetime:
        """Let so many seconds pass; return how late it is then."""
        return self.to(self.now + timedelta(seconds=seconds))

    def _finding(self, store: SqliteStore) -> Callable[..., tuple[Lane | None, float]]:
        find = cast(SqliteRates, store.rates)._find

        def found(connection: sqlite3.Connection, name: str) -> tuple[Lane | None, float]:
            lane, _ = find(connection, name)
            return lane, float(to_ms(self.now))

        return found
