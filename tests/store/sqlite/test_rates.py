"""Lanes that say nothing any more go with the history."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from job_processor.store.rates import Pace
from job_processor.store.sqlite import SqliteStore
from tests.samples import NOW


async def test_a_lane_that_says_nothing_any_more_is_removed(path: Path) -> None:
    """An hour after its last start would be due; others, and held ones, stay."""
    store = SqliteStore(path)
    await store.setup()
    for lane in ("rate:old", "rate:new"):
        await store.rates.reserve(lane, Pace.of(1, 60.0, 1), 1)
    await store.rates.hold("rate:held", 7200.0)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "UPDATE job_processor_lanes SET expires_at=expires_at-3700000 "
            "WHERE name IN ('rate:old', 'rate:held')"
        )
        connection.commit()
    await store.history.prune(NOW, 10)
    assert list(await store.rates.states(10)) == ["rate:held", "rate:new"]
    await store.close()
