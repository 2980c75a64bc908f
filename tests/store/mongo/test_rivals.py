"""Claims of one job beside other workers: each picks one of the first by chance."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from bson import ObjectId

from job_processor.models import Job, WorkerInfo
from job_processor.store import contention
from job_processor.store.contention import HEAD
from job_processor.store.mongo import MongoStore, open_mongo
from tests.samples import SOON, WORKER, claim, simple, worker
from tests.store.mongo.conftest import Commands

pytestmark = pytest.mark.mongo

ALONE = ["findAndModify"]
BESIDE_OTHERS = ["find", "findAndModify"]
OWN = replace(worker(), id=WORKER, names=("resize",))


def rival() -> WorkerInfo:
    """Return another worker of the same names."""
    return replace(OWN, id=ObjectId())


async def register(store: MongoStore, *workers: WorkerInfo) -> None:
    """Let a store take part as `OWN`, beside others; it has seen that they live."""
    for each in workers:
        await store.workers.register(each)
    await store.workers.register(OWN)
    await store.workers.registrations()


async def test_alone_a_claim_of_one_is_one_command(
    watched_store: MongoStore, commands: Commands
) -> None:
    """However many jobs wait: the first of them, in one round trip."""
    await register(watched_store)
    jobs = [simple() for _ in range(3)]
    await watched_store.intake.insert(jobs)
    for _ in jobs:
        commands.sent.clear()
        assert len(await watched_store.queue.claim(claim(1))) == 1
        assert commands.names == ALONE


async def test_beside_others_it_picks_once_there_is_a_backlog(
    watched_store: MongoStore, commands: Commands
) -> None:
    """The first job that comes is claimed at once; where it was not the only one, by its id."""
    await register(watched_store, rival())
    await watched_store.intake.insert([simple() for _ in range(3)])
    sent = []
    for _ in range(4):
        commands.sent.clear()
        await watched_store.queue.claim(claim(1))
        sent.append(commands.names)
    assert sent == [ALONE, BESIDE_OTHERS, BESIDE_OTHERS, ["find"]]
    await watched_store.intake.insert([simple()])
    commands.sent.clear()
    assert len(await watched_store.queue.claim(claim(1))) == 1
    assert commands.names == ALONE  # the claim before brought nothing: nobody waits for more


async def test_it_picks_by_chance_among_the_most_urgent(store: MongoStore) -> None:
    """None sooner than a more urgent one, and not always the first of them."""
    await register(store, rival())
    urgent, others = [simple(priority=5) for _ in range(3)], [simple() for _ in range(HEAD)]
    await store.intake.insert([*urgent, *others])
    order = [(await store.queue.claim(claim(1)))[0].id for _ in range(3 + HEAD)]
    assert set(order[:3]) == {job.id for job in urgent}
    assert set(order[3:]) == {job.id for job in others}


async def test_with_the_switch_off_it_takes_the_first(
    watched_store: MongoStore, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is what a measurement compares it with."""
    monkeypatch.setattr("job_processor.store.mongo.queue.ON", replace(contention.ON, crowd=False))
    await register(watched_store, rival())
    await watched_store.intake.insert([simple() for _ in range(3)])
    commands.sent.clear()
    for _ in range(3):
        await watched_store.queue.claim(claim(1))
    assert commands.names == ALONE * 3


async def test_many_at_once_get_a_job_each(mongo_db_url: str) -> None:
    """Whoever loses all that it picks takes the first, which cannot be lost while there is one."""
    stores = [open_mongo(mongo_db_url) for _ in range(8)]
    await stores[0].setup()
    workers = [rival() for _ in stores]
    for store, own in zip(stores, workers, strict=True):
        await store.workers.register(own)
    for store in stores:
        await store.workers.registrations()
    await stores[0].intake.insert([simple() for _ in range(3 * len(stores))])

    async def work(store: MongoStore, own: WorkerInfo) -> list[ObjectId]:
        found: list[Job] = []
        for _ in range(3):
            found += await store.queue.claim(claim(1, worker_id=own.id, now=SOON))
        return [job.id for job in found]

    claimed = await asyncio.gather(*map(work, stores, workers))
    assert [len(of_one) for of_one in claimed] == [3] * len(stores)
    assert len({job_id for of_one in claimed for job_id in of_one}) == 3 * len(stores)
    for store in stores:
        await store.close()
