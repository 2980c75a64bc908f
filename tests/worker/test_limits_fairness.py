"""Keys that share workers: a large one does not keep the small ones waiting."""

from __future__ import annotations

import asyncio

import pytest

from job_processor import JobDef, Limit
from job_processor.models import Job, JobStatus
from job_processor.store.lanes import LaneClaim, LimitBook
from job_processor.store.mongo import lanes as mongo_lanes
from job_processor.store.requests import Outcome, Settlement
from job_processor.store.sqlite import SqliteStore
from job_processor.store.sqlite import lanes as sqlite_lanes
from tests.processors import WAIT, Processors
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
        more = True
        while more and len(running) < SLOTS:
            claim = LaneClaim(WORKER, ("sync",), SLOTS - len(running), SOON)
            taken = await store.lanes.claim(claim)
            running, more = running + taken.jobs, taken.more
        job = running.pop(0)
        end = Settlement(job, Outcome(JobStatus.FINISHED, SOON), WORKER)
        assert (await store.runs.settle([end])).won == {job.id}
        ended[job.lane == "sync:large"] += 1
    await store.close()
    assert ended[True] <= large / 20


async def test_what_stands_behind_many_of_a_full_key_is_reached_at_once(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim looks at so many; one that has met none that may start goes on where it stopped."""
    for lanes in (sqlite_lanes, mongo_lanes):
        monkeypatch.setattr(lanes, "PARKED_AT_ONCE", 2)
    inside, leave = asyncio.Event(), asyncio.Event()

    async def sync(tenant: str) -> None:
        if tenant == "large":
            inside.set()
            await leave.wait()

    jobs = {"sync": JobDef(sync, limit=Limit(1, key="tenant"))}
    worker, _ = await processors.start(jobs=jobs, concurrency=1)
    first = await worker.schedule_job("sync", {"tenant": "large"})
    async with asyncio.timeout(WAIT):
        await inside.wait()
    await worker.schedule_jobs([("sync", {"tenant": "large"})] * 100)
    small = await worker.schedule_job("sync", {"tenant": "small"})
    burst = await processors.make(jobs=jobs)
    await burst.run_worker(burst=True)
    found = await worker.get_job(small.id)
    assert found is not None
    assert found.status is JobStatus.FINISHED
    await worker.act_on_jobs("delete", status="pending")
    leave.set()
    await worker.wait_for_job(first.id)
