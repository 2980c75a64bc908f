"""Of many idle workers one tries at once for a new job, the others after it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from bson import ObjectId

from job_processor.models import WorkerInfo
from job_processor.store.base import ANYTHING, Hint
from job_processor.store.mongo import MongoStore, open_mongo, turns
from job_processor.store.mongo.turns import STEP, Turns
from tests.store.mongo.listening import Listener
from tests.store.mongo.samples import NOW, WORKER, simple, worker

WORKERS = 6


def named(*names: str, tags: tuple[str, ...] | None = None) -> WorkerInfo:
    """Return a worker of its own."""
    return replace(worker(), id=ObjectId(), names=names or ("resize",), tags=tags)


def taking_part(workers: list[WorkerInfo]) -> list[Turns]:
    """Return what each of some workers knows, all of them of all."""
    parts = [Turns() for _ in workers]
    for part, own in zip(parts, workers, strict=True):
        part.join(own)
        part.see(workers)
    return parts


@pytest.mark.parametrize("name", ["resize", None])
def test_all_agree_on_the_order_without_asking(name: str | None) -> None:
    """Each has a turn of its own for a job, and another order for another job."""
    parts = taking_part([named() for _ in range(WORKERS)])
    orders = set()
    for _ in range(100):
        job = ObjectId()
        delays = [part.delay([(job, name)]) for part in parts]
        assert sorted(delays) == pytest.approx([STEP * i for i in range(WORKERS)])
        orders.add(delays.index(0))
    assert len(orders) == WORKERS


def test_nobody_waits_for_those_that_do_not_take_the_job() -> None:
    """Not for workers of other tags, of other names, for those that left, or for itself."""
    workers = [named(), named("other"), named(tags=("video",))]
    parts = taking_part(workers)
    for _ in range(20):
        assert parts[0].delay([(ObjectId(), "resize")]) == 0
        assert parts[2].delay([(ObjectId(), "resize")]) == 0
    alone = Turns()
    assert alone.delay([(ObjectId(), "resize")]) == 0
    alone.join(workers[0])
    alone.see([replace(workers[0]), named(), named()])
    assert any(alone.delay([(ObjectId(), "resize")]) for _ in range(100))
    alone.leave(ObjectId())
    assert any(alone.delay([(ObjectId(), "resize")]) for _ in range(100))
    alone.leave(workers[0].id)
    assert not any(alone.delay([(ObjectId(), "resize")]) for _ in range(100))


def test_enough_jobs_are_for_everybody() -> None:
    """When there is one for each, nobody waits."""
    jobs = [(ObjectId(), "resize") for _ in range(WORKERS)]
    for part in taking_part([named() for _ in range(WORKERS)]):
        assert part.delay(jobs) == 0


@pytest.fixture
async def idle(store: MongoStore, mongo_db_url: str) -> AsyncIterator[list[Listener]]:
    """Idle workers, each with a store of its own, that know of each other."""
    async with AsyncExitStack() as stack:
        stores = [open_mongo(mongo_db_url) for _ in range(3)]
        listeners = []
        for each in stores:
            stack.push_async_callback(each.close)
            await each.register(named())
            listener = Listener()
            each.subscribe(listener)
            await listener.until(ANYTHING)
            listeners.append(listener)
        for each in stores:
            await each.registrations()
        yield listeners


@pytest.mark.mongo
async def test_one_worker_is_told_at_once(
    store: MongoStore, idle: list[Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others hear of all else meanwhile."""
    monkeypatch.setattr(turns, "STEP", 1000.0)
    await store.insert([simple()])
    await store.request_kill(ObjectId(), WORKER, NOW)
    heard = [await listener.until(Hint.KILL) for listener in idle]
    assert [Hint.WORK in each for each in heard].count(True) == 1


@pytest.mark.mongo
async def test_the_others_are_told_later(store: MongoStore, idle: list[Listener]) -> None:
    """In their turn: the first one may be busy, or dead."""
    await store.insert([simple()])
    for listener in idle:
        await listener.until(Hint.WORK)
