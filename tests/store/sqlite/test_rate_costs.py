"""What a backlog of one key costs: how often each of its jobs is written."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from job_processor.store.rates import Pace
from job_processor.store.sqlite import SqliteStore
from job_processor.store.tokens import KeyedRate
from tests.clocks_of_lanes import DatabaseClock
from tests.samples import NOW
from tests.store.contract.rated import Lanes

JOBS = 2000


def count_writes(connection: sqlite3.Connection) -> None:
    """Count the writes of each job from now on."""
    connection.execute("CREATE TABLE writes (id BLOB PRIMARY KEY, count INTEGER NOT NULL)")
    connection.execute("INSERT INTO writes SELECT id, 0 FROM job_processor_jobs")
    connection.execute(
        "CREATE TRIGGER counted AFTER UPDATE ON job_processor_jobs BEGIN "
        "UPDATE writes SET count=count+1 WHERE id=new.id; END"
    )


def counted(connection: sqlite3.Connection) -> list[int]:
    """Return how often each job was written."""
    return [count for (count,) in connection.execute("SELECT count FROM writes")]


async def test_a_backlog_is_written_twice_a_job_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once when it is parked, once when it gets its date; then it is claimed. No other waits."""
    store = SqliteStore(tmp_path / "jobs.db")
    await store.setup()
    lanes = Lanes(store, DatabaseClock(store, NOW, monkeypatch))
    lanes.rates["call"] = KeyedRate(Pace(10.0, 1, 2000.0))
    await lanes.add(JOBS)
    await store._connections.writer.call(count_writes)
    started = len(await lanes.claim())
    (other,) = await lanes.add(1, "other")
    assert [job.id for job in await lanes.claim()] == [other.id]
    while started < JOBS:
        lanes.clock.move(0.01)
        taken = len(await lanes.claim())
        assert taken == 1
        started += taken
    writes = await store._connections.writer.call(counted)
    assert len(writes) == JOBS
    assert max(writes) <= 3
    await store.close()
