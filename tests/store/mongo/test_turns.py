"""Of many idle workers one tries at once for a new job, the others after it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from zlib import crc32

import pytest
from bson import ObjectId

from job_processor.models import WorkerInfo
from job_processor.settings import Settings
from job_processor.store import contention
from job_processor.store.contention import FIRST, LAST, TURN, TURN_MAX, Turns
from job_processor.store.hints import ANYTHING, Hint
from job_processor.store.mongo import MongoStore, open_mongo
from tests.processors import eventually
from tests.samples import NOW, WORKER, claim, simple, worker
from tests.store.mongo.listening import Listener

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
        assert sorted(delays) == pytest.approx([TURN * i for i in range(WORKERS)])
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


@pytest.mark.parametrize("size", [2, WORKERS, 20, 100, 300])
def test_one_idle_worker_among_busy_ones_tries_soon(size: int) -> None:
    """However many are busy, it waits for a quarter of the default poll interval at the most."""
    workers = [named() for _ in range(size)]
    (idle,) = taking_part(workers)[:1]
    delays = sorted(idle.delay([(ObjectId(), "resize")]) for _ in range(1000))
    assert delays[-1] <= LAST <= Settings().poll_interval / 4
    assert delays[0] == 0 or size > 20


@pytest.mark.parametrize("size", [20, 100])
def test_idle_workers_come_one_after_the_other(size: int) -> None:
    """One of many is first, and no two of them try at the same moment."""
    parts = taking_part([named() for _ in range(size)])
    delays = sorted(part.delay([(ObjectId(b"the same job"), "resize")]) for part in parts)
    assert delays[0] == 0
    assert len(set(delays)) == size
    assert delays[:FIRST] == pytest.approx([TURN * i for i in range(FIRST)])
    assert delays[FIRST] >= TURN * FIRST  # by then it is told who has the job


def test_turns_are_as_far_apart_as_it_takes_to_hear_of_a_claim() -> None:
    """Where that takes longer than usual; and all have had theirs within the same time still."""
    parts = taking_part([named() for _ in range(50)])
    for part in parts:
        for _ in range(50):
            part.note_taken(10.0)
    delays = sorted(part.delay([(ObjectId(b"the same job"), "resize")]) for part in parts)
    assert delays[:FIRST] == pytest.approx([TURN_MAX * i for i in range(FIRST)], abs=0.001)
    assert delays[-1] <= LAST


def test_as_many_try_at_a_time_as_there_are_jobs() -> None:
    """Each batch has an order of its own, in which they take turns by so many."""
    parts = taking_part([named() for _ in range(WORKERS)])
    for _ in range(20):
        jobs = [(ObjectId(), "resize"), (ObjectId(), "resize")]
        delays = sorted(part.delay(jobs) for part in parts)
        assert delays == pytest.approx([TURN * i for i in (0, 0, 1, 1, 2, 2)])


def test_a_batch_costs_a_hash_of_each_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not one for each of its jobs, too: a batch comes at once, to all idle workers."""
    workers = [named() for _ in range(300)]
    (part,) = taking_part(workers)[:1]
    hashed = 0

    def count(data: bytes) -> int:
        nonlocal hashed
        hashed += 1
        return crc32(data)

    monkeypatch.setattr(contention, "crc32", count)
    part.delay([(ObjectId(), "resize") for _ in range(299)])
    assert hashed == 300


@pytest.fixture
async def idle_stores(store: MongoStore, mongo_db_url: str) -> AsyncIterator[list[MongoStore]]:
    """Stores of idle workers that know of each other."""
    del store  # it sets the database up
    async with AsyncExitStack() as stack:
        stores = [open_mongo(mongo_db_url) for _ in range(3)]
        for each in stores:
            stack.push_async_callback(each.close)
            await each.workers.register(named())
        for each in stores:
            await each.workers.registrations()
        yield stores


@pytest.fixture
async def idle(idle_stores: list[MongoStore]) -> list[Listener]:
    """Who listens in each of them, as workers do."""
    listeners = []
    for each in idle_stores:
        listener = Listener()
        each.subscribe(listener, ends=False)
        await listener.until(ANYTHING)
        listeners.append(listener)
    return listeners


@pytest.mark.mongo
async def test_one_worker_is_told_at_once(
    store: MongoStore, idle: list[Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others hear of all else meanwhile."""
    monkeypatch.setattr(contention, "TURN", 1000.0)
    await store.intake.insert([simple()])
    await store.kills.request(ObjectId(), WORKER, NOW)
    heard = [await listener.until(Hint.KILL) for listener in idle]
    assert [Hint.WORK in each for each in heard].count(True) == 1


@pytest.mark.mongo
async def test_whoever_hears_that_somebody_has_the_job_does_not_try(
    store: MongoStore,
    idle_stores: list[MongoStore],
    idle: list[Listener],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its turn passes; where another job came meanwhile, it stands for that one."""
    monkeypatch.setattr(contention, "TURN", 1000.0)
    first, second = simple(), simple()

    def turns(count: int) -> Callable[[], Awaitable[bool]]:
        async def there() -> bool:
            return sum(each._watch._turn is not None for each in idle_stores) == count

        return there

    await store.intake.insert([first])
    await eventually(turns(2), "the turns of all but one")

    async def told() -> bool:
        return any(Hint.WORK in listener.heard for listener in idle)

    await eventually(told, "the one whose turn it is")
    for listener in idle:
        listener.forget()
    await store.queue.claim(claim(1))
    await eventually(turns(0), "turns that have passed")
    assert not any(Hint.WORK in listener.heard for listener in idle)
    await store.intake.insert([second])
    await eventually(turns(2), "the turns of all but one")


@pytest.mark.mongo
async def test_nobody_waits_for_the_dead(store: MongoStore) -> None:
    """Whose heartbeats have stopped has no turn any more, registered or not."""
    await store.workers.register(named())
    for _ in range(50):
        await store.workers.register(replace(named(), timeout_s=-1.0))
    registrations = await store.workers.registrations()
    assert len(registrations.workers) == 51
    own = next(each for each in registrations.workers if not each.is_dead(registrations.now))
    store._turns.join(own)
    assert not any(store._turns.delay([(ObjectId(), "resize")]) for _ in range(100))


@pytest.mark.mongo
async def test_the_others_are_told_later(store: MongoStore, idle: list[Listener]) -> None:
    """In their turn: the first one may be busy, or dead."""
    await store.intake.insert([simple()])
    for listener in idle:
        await listener.until(Hint.WORK)
