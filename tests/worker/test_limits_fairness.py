"""Keys that share workers: a large one does not keep the small ones waiting."""

from __future__ import annotations

import pytest

from job_processor.models import Job, JobStatus
from job_processor.store.lanes import LaneClaim, LimitBook
from job_processor.store.requests import Outcome, Settlement
from job_processor.store.sqlite import SqliteStore
from tests.samples import NOW, SOON, WORKER, simple

SLOTS = 10
"""Jobs that run at a time."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("large", "small", "each"),
    [(4_000, 20, 10), pytest.param(100_000, 99, 10, marks=pytest.mark.soak)],
)
async def test_a_large_key_leaves_room_for_the_small_ones(
    large: int, small: int, each: int
) -> None:
    """Whoever came first with how many: the others end while it has ended a twentieth."""
    store = SqliteStore(None)
    await store.setup()
    store.lanes.book = LimitBook(lambda: {"sync": 3}, lambda: ["sync"], lambda: SOON)
    await store.intake.insert([simple("sync", at=NOW, lane="sync:large") for _ in range(large)])
    await store.intake.insert(
        [simple("sync", at=NOW, lane=f"sync:{n % small}") for n in range(small * each)]
    )
    ended = {True: 0, False: 0}
    running: list[Job] = []
    while ended[False] < small * each:
        claim = LaneClaim(WORKER, ("sync",), SLOTS - len(running), SOON)
        running += (await store.lanes.claim(claim)).jobs
        job = running.pop(0)
        end = Settlement(job, Outcome(JobStatus.FINISHED, SOON), WORKER)
        assert (await store.runs.settle([end])).won == {job.id}
        ended[job.lane == "sync:large"] += 1
    await store.close()
    assert ended[True] <= large / 20
