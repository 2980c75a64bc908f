"""How often a job of a lane is written, and what the sweep costs, counted by SQLite itself."""

from __future__ import annotations

import pytest

from job_processor.store.lanes import LaneClaim, LimitBook
from job_processor.store.sqlite import SqliteStore
from tests.samples import SOON, WORKER, claim, end, simple

_TALLY = (
    "CREATE TABLE tally AS SELECT 0 AS written",
    """CREATE TRIGGER count_writes AFTER UPDATE ON job_processor_jobs
       BEGIN UPDATE tally SET written=written+1; END""",
)


async def tallied(store: SqliteStore) -> int:
    """Return how often a row of a job was written since the last look; the first one begins."""

    def look(connection: object) -> int:
        execute = connection.execute  # type: ignore[attr-defined]  # of the store's own
        if not execute("SELECT 1 FROM sqlite_master WHERE name='tally'").fetchone():
            for statement in _TALLY:
                execute(statement)
        written: int = execute("SELECT written FROM tally").fetchone()[0]
        execute("UPDATE tally SET written=0")
        return written

    return await store._connections.writer.call(look)


@pytest.mark.parametrize(
    ("lane", "limit", "extra"),
    [
        (None, 1, 0),
        ("sync", 20, 0),
        ("sync", 2, 0),
        ("sync:a", 20, 0),
        ("sync:a", 2, 2),
    ],
    ids=["none", "free", "full, without a key", "free, with a key", "full, with a key"],
)
async def test_a_job_is_written_twice_more_where_it_is_parked(
    store: SqliteStore, lane: str | None, limit: int, extra: int
) -> None:
    """A claim and an end are a write each; parked and admitted two more, and nothing else is."""
    store.lanes.book = LimitBook(lambda: {"sync": limit}, lambda: ["sync"], lambda: SOON)
    count = 12
    await store.intake.insert([simple("sync", lane=lane) for _ in range(count)])
    await tallied(store)
    ended = 0
    while ended < count:
        taken = await store.lanes.claim(LaneClaim(WORKER, ("sync",), count, SOON))
        runs = taken.jobs or await store.queue.claim(claim(count, "sync"))
        ended += len((await store.runs.settle([end(run) for run in runs])).won)
    assert await tallied(store) == 2 * count + extra * (count - limit if extra else 0)
