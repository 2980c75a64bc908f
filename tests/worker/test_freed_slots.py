"""A slot of a lane without a key that is freed: who looks for it, and when."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from job_processor import JobDef, JobStatus, Limit
from job_processor.store.hints import Hint
from job_processor.store.lanes import LaneClaim, Taken
from job_processor.worker.freed_slots import FreedSlots
from tests.insides import store_of
from tests.processors import WAIT, Processors, eventually


class Looks:
    """Counts looks, and tells of them."""

    def __init__(self) -> None:
        self.count = 0
        self.seen = asyncio.Event()
        self.freed = FreedSlots(self.look)

    def look(self) -> None:
        """Count a look."""
        self.count += 1
        self.seen.set()

    def turn(self, *, left: bool) -> None:
        """Claim, and leave something in line or not."""
        self.freed.begin(of_lanes=True)
        self.freed.claimed(left=left)
        self.freed.end()


async def test_whoever_frees_a_slot_looks_at_once() -> None:
    """The process that frees a slot looks for whom it is without a pause."""
    looks = Looks()
    looks.turn(left=True)
    looks.freed.on_hint(Hint.FREED)
    assert looks.count == 1


async def test_others_look_once_for_many_slots() -> None:
    """Of many ends of runs elsewhere comes one look, a little later."""
    looks = Looks()
    looks.turn(left=True)
    for _ in range(50):
        looks.freed.on_hint(Hint.SETTLED)
    assert looks.count == 0
    async with asyncio.timeout(WAIT):
        await looks.seen.wait()
    assert looks.count == 1


async def test_where_nothing_is_in_line_nobody_looks() -> None:
    """Neither an end of a run nor a slot is worth a look where nobody waits for one."""
    looks = Looks()
    looks.turn(left=True)
    looks.turn(left=False)
    looks.freed.on_hint(Hint.FREED | Hint.SETTLED)
    looks.freed.begin(of_lanes=False)
    looks.freed.on_hint(Hint.FREED | Hint.SETTLED)
    assert looks.count == 0


async def test_a_slot_that_is_freed_during_a_claim_is_not_slept_through() -> None:
    """What is told while the answer of a claim is on its way counts."""
    looks = Looks()
    looks.freed.begin(of_lanes=True)
    looks.freed.on_hint(Hint.FREED)
    looks.freed.claimed(left=True)
    looks.freed.end()
    assert looks.count == 1


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
async def test_a_full_limit_costs_a_claim_for_each_end(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a limit is full, its worker claims when a run has freed its slot, and not before."""
    claims = 0

    async def work() -> None:
        await asyncio.sleep(0)

    processor, _ = await processors.start(
        db="sqlite://", jobs={"work": JobDef(work, limit=1)}, poll_interval=3600
    )
    desk = store_of(processor).lanes
    claim = desk.claim

    async def counted(wanted: LaneClaim) -> Taken:
        nonlocal claims
        claims += 1
        return await claim(wanted)

    monkeypatch.setattr(desk, "claim", counted)
    jobs = await processor.schedule_jobs(["work"] * 30)
    for job in jobs:
        assert (await processor.wait_for_job(job.id)).status is JobStatus.FINISHED
    assert claims <= 36


async def test_a_slot_that_another_process_freed_is_seen(processors: Processors) -> None:
    """A worker gets the slot of a run of another name, which another worker has ended."""
    gate, inside = asyncio.Event(), asyncio.Event()
    limit = Limit(1, group="both")

    async def first() -> None:
        inside.set()
        await gate.wait()

    async def second() -> None:
        """Do nothing."""

    options: dict[str, Any] = {"poll_interval": 3600}
    one, _ = await processors.start(jobs={"first": JobDef(first, limit=limit)}, **options)
    two, _ = await processors.start(jobs={"second": JobDef(second, limit=limit)}, **options)
    await one.schedule_job("first")
    await inside.wait()
    job = await two.schedule_job("second")

    async def is_due() -> bool:
        return bool(await store_of(two).queue.due(job.scheduled_for, 10))

    await eventually(is_due)
    gate.set()
    async with asyncio.timeout(WAIT):
        assert (await two.wait_for_job(job.id)).status is JobStatus.FINISHED
