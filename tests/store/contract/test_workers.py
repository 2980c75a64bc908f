"""Registrations and their heartbeats, by the clock of the database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from bson import ObjectId

from job_processor.models import JobStatus, WorkerInfo
from job_processor.store import Store
from tests.processors import WAIT
from tests.samples import MS, NOW, OTHER_WORKER, WORKER, end, run, run_one, simple, worker
from tests.store.contract.conftest import Stores

T = TypeVar("T")


async def registration(store: Store, worker_id: ObjectId) -> WorkerInfo | None:
    """Return the registration with this id."""
    workers = (await store.workers.registrations()).workers
    return next((each for each in workers if each.id == worker_id), None)


async def after(store: Store, info: WorkerInfo) -> None:
    """Return once the database's clock is past a registration's `last_seen`."""
    while await store.ping() <= info.last_seen:
        pass


def in_a_thread(work: Callable[[], T]) -> T:
    """Return what `work()` returns in a thread of its own, while the event loop is blocked."""
    results: list[T] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join(WAIT)
    return results[0]


async def test_a_registration_comes_back_as_given(store: Store) -> None:
    """All fields are kept, but for `last_seen`, which is the database's present time."""
    infos = [
        worker(),
        worker(
            tags=("gpu", "main"),
            timeout_s=60.0,
            service="media",
            names=("resize", "a.b", "$c"),
            crons={"nightly.export": "abc", "$hourly": "def"},
            pid=4711,
            version="1.2.3",
            concurrency=10,
            started_at=NOW - timedelta(hours=1),
        ),
        worker(tags=()),
    ]
    before = await store.ping()
    for info in infos:
        await store.workers.register(replace(info, last_seen=NOW - timedelta(days=1)))
    registrations = await store.workers.registrations()
    found = {each.id: each for each in registrations.workers}
    assert len(found) == 3
    for info in infos:
        last_seen = found[info.id].last_seen
        assert before <= last_seen <= registrations.now
        assert found[info.id] == replace(info, last_seen=last_seen)


async def test_registering_again_refreshes(store: Store) -> None:
    """The whole registration is replaced, and stays one."""
    info = worker(tags=("gpu",), service="media", names=("resize",), crons={"nightly": "abc"})
    await store.workers.register(info)
    first = await registration(store, info.id)
    assert first is not None
    await after(store, first)
    changed = replace(info, tags=None, service=None, names=("crop",), crons={}, pid=1)
    await store.workers.register(changed)
    (second,) = (await store.workers.registrations()).workers
    assert second == replace(changed, last_seen=second.last_seen)
    assert second.last_seen > first.last_seen


async def test_nobody_is_registered_at_first(store: Store) -> None:
    """An empty list comes with the database's time, too."""
    before = await store.ping()
    registrations = await store.workers.registrations()
    assert registrations.workers == ()
    assert before <= registrations.now <= await store.ping()


async def test_unregistering(store: Store) -> None:
    """Registered → absent; what is gone, or was never there, is no matter. Others stay."""
    gone, other = worker(), worker()
    await store.workers.register(gone)
    await store.workers.register(other)
    for worker_id in (gone.id, gone.id, ObjectId()):
        await store.workers.unregister(worker_id)
    assert [each.id for each in (await store.workers.registrations()).workers] == [other.id]


async def test_the_workers_of_runs_are_known_by_their_runs(store: Store) -> None:
    """Whoever holds a running job is listed, registered or not; who wrote an end is not."""
    await store.workers.register(worker())
    settled = await run_one(store, ObjectId())
    await store.runs.settle([end(settled)])
    for worker_id in (WORKER, WORKER, OTHER_WORKER):
        await run_one(store, worker_id)
    await store.intake.insert([simple(status=JobStatus.PAUSED), simple(status=JobStatus.RUNNING)])
    assert await store.runs.workers() == {WORKER, OTHER_WORKER}


async def test_a_dead_worker_is_removed_as_it_was_read(store: Store) -> None:
    """With the very `last_seen` that was read, a registration goes; a second time it is gone."""
    info, other = worker(), worker()
    await store.workers.register(info)
    await store.workers.register(other)
    read = await registration(store, info.id)
    assert read is not None
    for last_seen in (read.last_seen - MS, read.last_seen + MS):
        assert not await store.workers.remove_dead(replace(read, last_seen=last_seen))
    assert await store.workers.remove_dead(read)
    assert not await store.workers.remove_dead(read)
    assert [each.id for each in (await store.workers.registrations()).workers] == [other.id]


async def test_a_worker_that_moved_on_is_not_removed(store: Store) -> None:
    """A heartbeat between the look and the removal saves the worker."""
    info = worker()
    await store.workers.register(info)
    read = await registration(store, info.id)
    assert read is not None
    await after(store, read)
    pulse = store.open_pulse()
    assert pulse.beat(info.id)
    pulse.close()
    assert not await store.workers.remove_dead(read)
    assert await registration(store, info.id) is not None


async def test_a_heartbeat_moves_last_seen_while_the_loop_is_blocked(store: Store) -> None:
    """A beat from its own thread needs no event loop; it tells the time and the memory."""
    info = worker(tags=("gpu",), names=("resize",), crons={"nightly": "abc"}, timeout_s=60.0)
    await store.workers.register(info)
    first = await registration(store, info.id)
    assert first is not None
    await after(store, first)
    before = await store.ping()

    def beat_twice() -> list[bool]:
        pulse = store.open_pulse()
        try:
            return [pulse.beat(info.id, 4096 * 10_000), pulse.beat(info.id)]
        finally:
            pulse.close()

    assert in_a_thread(beat_twice) == [True, True]
    second = await registration(store, info.id)
    assert second is not None
    assert second == replace(info, last_seen=second.last_seen, memory=40_960_000)
    assert before <= second.last_seen <= await store.ping()


async def test_a_heartbeat_through_the_main_connection(store: Store) -> None:
    """It does what one from its own connection does, and never registers."""
    info = worker(names=("resize",), timeout_s=60.0)
    assert not await store.workers.beat(info.id, 4096)
    await store.workers.register(info)
    first = await registration(store, info.id)
    assert first is not None
    await after(store, first)
    assert await store.workers.beat(info.id, 40_960_000)
    second = await registration(store, info.id)
    assert second is not None
    assert second == replace(info, last_seen=second.last_seen, memory=40_960_000)
    assert second.last_seen > first.last_seen
    await store.workers.unregister(info.id)
    assert not await store.workers.beat(info.id, 4096)
    assert await registration(store, info.id) is None


async def test_runs_of_a_worker_but_those_that_are_known(store: Store) -> None:
    """However many are known, the others are found at once."""
    known = await run(store, *(simple() for _ in range(20)))
    (unknown,) = await run(store, simple())
    ids = {job.id for job in known}
    assert await store.runs.of_worker(WORKER, 1, ids) == [unknown]
    assert await store.runs.of_worker(WORKER, 30, {*ids, unknown.id}) == []
    assert len(await store.runs.of_worker(WORKER, 30)) == 21


async def test_a_heartbeat_never_registers(store: Store, stores: Stores) -> None:
    """Once the registration is gone a beat says so, each time, and does not bring it back."""
    gone, other = worker(), worker()
    await store.workers.register(gone)
    await store.workers.register(other)

    def beat(worker_id: ObjectId) -> bool:
        pulse = store.open_pulse()
        try:
            return pulse.beat(worker_id)
        finally:
            pulse.close()

    assert in_a_thread(lambda: beat(gone.id))
    await (await stores.open()).workers.unregister(gone.id)
    assert not in_a_thread(lambda: beat(gone.id))
    assert not in_a_thread(lambda: beat(gone.id))
    assert in_a_thread(lambda: beat(other.id))
    assert [each.id for each in (await store.workers.registrations()).workers] == [other.id]
