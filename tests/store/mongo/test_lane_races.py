"""Two workers at one lane of MongoDB, each write of whom meets the other's at the worst moment."""

from __future__ import annotations

import asyncio

import pytest
from bson import ObjectId

from job_processor.models import FOR_A_SLOT, Job, JobStatus
from job_processor.store.lanes import LaneClaim, LimitBook
from job_processor.store.mongo import MongoStore
from job_processor.store.requests import Outcome, Settlement
from tests.samples import MS, NOW, SOON, WORKER, simple
from tests.store.mongo.conftest import Commands
from tests.store.mongo.racing import before


@pytest.fixture
def limited(store: MongoStore) -> MongoStore:
    """A store whose process knows a limit of one for each key."""
    store.lanes.book = LimitBook(lambda: {"sync": 1}, lambda: ["sync"], lambda: SOON)
    return store


async def claim(store: MongoStore, worker_id: ObjectId = WORKER) -> list[Job]:
    """Claim what is in line."""
    return (await store.lanes.claim(LaneClaim(worker_id, ("sync",), 10, SOON))).jobs


async def finish(store: MongoStore, job: Job) -> None:
    """Settle a run."""
    end = Settlement(job, Outcome(JobStatus.FINISHED, SOON), job.worker_id or WORKER)
    assert (await store.runs.settle([end])).won == {job.id}


async def test_a_slot_that_is_freed_while_a_job_is_parked_is_seen(
    limited: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever parks a job looks afterwards: it gets a slot that nobody handed over."""
    jobs = [simple("sync", at=NOW + n * MS, lane="sync:a") for n in range(2)]
    await limited.intake.insert(jobs[:1])
    (running,) = await claim(limited)
    await limited.intake.insert(jobs[1:])

    async def finish_and_die() -> None:
        book, limited.lanes.book = limited.lanes.book, LimitBook()
        await finish(limited, running)
        limited.lanes.book = book

    before(monkeypatch, "_in_line", finish_and_die)
    await claim(limited)
    found = await limited.history.get(jobs[1].id)
    assert found is not None
    assert (found.parked, found.slot) == (None, "sync:a#0")


async def test_a_slot_that_somebody_else_took_first_is_not_taken_twice(
    limited: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that see one slot free and take it: the index refuses the second, who changes nothing."""
    jobs = [simple("sync", at=NOW + n * MS, lane="sync:a") for n in range(2)]
    await limited.intake.insert(jobs)
    other = ObjectId()
    first: list[Job] = []

    async def take() -> None:
        first.extend(await claim(limited, other))

    before(monkeypatch, "_start", take)
    mine = await claim(limited)
    assert [job.id for job in first] == [jobs[0].id]
    assert mine == []
    waiting = await limited.history.get(jobs[1].id)
    assert waiting is not None
    assert (waiting.status, waiting.parked) == (JobStatus.PENDING, FOR_A_SLOT)


async def test_many_workers_never_share_a_slot(limited: MongoStore) -> None:
    """Eight workers at five lanes with two slots each: ten run, each with a slot of its own."""
    limited.lanes.book = LimitBook(lambda: {"sync": 2}, lambda: ["sync"], lambda: SOON)
    jobs = [simple("sync", at=NOW + n * MS, lane=f"sync:{n % 5}") for n in range(60)]
    await limited.intake.insert(jobs)
    found = await asyncio.gather(*(claim(limited, ObjectId()) for _ in range(8)))
    running = [job for taken in found for job in taken]
    assert len({job.slot for job in running}) == len(running) == 10


async def test_a_hand_over_whose_job_is_killed_meanwhile_looks_again(
    limited: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else would: whoever kills a job that waits for a slot frees none."""
    jobs = [simple("sync", at=NOW + n * MS, lane="sync:a", parked=FOR_A_SLOT) for n in range(2)]
    await limited.intake.insert(jobs)

    async def kill_the_next() -> None:
        assert await limited.kills.kill_waiting(jobs[0].id, SOON) is not None

    before(monkeypatch, "_let_in", kill_the_next)
    assert await limited.lanes.hand_over(["sync:a"]) == 1
    found = await limited.history.get(jobs[1].id)
    assert found is not None
    assert found.slot == "sync:a#0"


async def test_a_hand_over_of_which_all_is_written_looks_once(
    watched_store: MongoStore, commands: Commands
) -> None:
    """Is anybody parked, which slots are free, whose turn is it (in line, parked), let them in."""
    store = watched_store
    store.lanes.book = LimitBook(lambda: {"sync": 1}, lambda: ["sync"], lambda: SOON)
    await store.intake.insert([simple("sync", lane="sync:a", parked=FOR_A_SLOT) for _ in range(2)])
    commands.sent.clear()
    assert await store.lanes.hand_over(["sync:a"]) == 1
    assert commands.names == [*["find"] * 4, "update"]


async def test_a_hand_over_in_a_lane_of_many_slots_fills_all_of_them(limited: MongoStore) -> None:
    """Though it asks about some of the slots at a time."""
    limited.lanes.book = LimitBook(lambda: {"sync": 100}, lambda: ["sync"], lambda: SOON)
    jobs = [simple("sync", at=NOW + n * MS, lane="sync:a", parked=FOR_A_SLOT) for n in range(101)]
    await limited.intake.insert(jobs)
    assert await limited.lanes.hand_over(["sync:a"]) == 100


@pytest.mark.parametrize("wanted", [1, 3])
async def test_a_claim_asks_of_no_more_ordered_lanes_than_it_may_start(
    watched_store: MongoStore, commands: Commands, wanted: int
) -> None:
    """Whose turn it is in a lane is two questions: not of each of all the lanes that it meets."""
    store, keys = watched_store, 20
    store.lanes.book = LimitBook(lambda: {"sync": 1}, lambda: ["sync"], lambda: SOON)
    jobs = [
        simple("sync", at=NOW + n * MS, lane=f"sync:{n % keys}", ordered="continue")
        for n in range(2 * keys)
    ]
    await store.intake.insert(jobs)
    commands.sent.clear()
    taken = await store.lanes.claim(LaneClaim(WORKER, ("sync",), wanted, SOON))
    assert [job.id for job in taken.jobs] == [job.id for job in jobs[:wanted]]
    turns = [sent for name, sent in commands.sent if name == "find" and "due" in sent["filter"]]
    assert len(turns) == 2 * wanted


async def test_a_claim_asks_of_further_ordered_lanes_where_others_are_let_in(
    limited: MongoStore,
) -> None:
    """Lanes whose next is of another's name give it a slot, and do not keep this claim from its."""
    book = LimitBook(lambda: {"all": 1}, lambda: ["sync", "other"], lambda: SOON)
    limited.lanes.book = book
    lanes = [f"all:{n}" for n in range(8)]
    others = [
        simple("other", at=NOW + n * MS, lane=lane, ordered="continue")
        for n, lane in enumerate(lanes[:-1])
    ]
    mine = [
        simple("sync", at=NOW + (10 + n) * MS, lane=lane, ordered="continue")
        for n, lane in enumerate(lanes)
    ]
    await limited.intake.insert([*others, *mine])
    taken = await limited.lanes.claim(LaneClaim(WORKER, ("sync",), 1, SOON))
    assert [job.id for job in taken.jobs] == [mine[-1].id]
