"""Hints: whoever subscribed is told to look, by this process and by others."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest
from bson import ObjectId

from job_processor.models import JobStatus
from job_processor.store import Store
from job_processor.store.hints import ANYTHING, Hint
from job_processor.store.requests import JobQuery
from tests.processors import WAIT
from tests.samples import NOW, WORKER, end, retry, run, run_one, simple
from tests.store.contract.conftest import Listener, OtherProcess, OtherProcesses


async def listening(store: Store) -> Listener:
    """Return who listens from now on: the first hint tells that the store watches the others.

    What this process wrote before is then known, and no reason for a hint any more.
    """
    listener = Listener()
    store.subscribe(listener)
    await listener.hears(ANYTHING)
    listener.forget()
    return listener


@pytest.fixture
async def listener(store: Store) -> Listener:
    """Who listens from the beginning."""
    return await listening(store)


@pytest.fixture
async def other(others: OtherProcesses, store: Store) -> OtherProcess:
    """Another process on the same database."""
    return await others.start()


async def test_our_own_insert_is_work(store: Store, listener: Listener) -> None:
    """Once an insert has returned, the listener knows that there may be work."""
    await store.intake.insert([simple()])
    assert Hint.WORK in listener.heard


async def test_our_own_kill_request_is_a_kill(store: Store, listener: Listener) -> None:
    """Once a kill was asked for, the listener knows that there may be one."""
    await store.kills.request(ObjectId(), WORKER, NOW)
    assert Hint.KILL in listener.heard


@pytest.mark.parametrize("status", ["finished", "errored", "killed", "skipped"])
async def test_our_own_settlement_is_an_end(store: Store, status: str) -> None:
    """Once a run has settled, the listener knows that one may have."""
    job = await run_one(store)
    listener = Listener()
    store.subscribe(listener)
    await store.runs.settle([end(job, JobStatus(status))])
    assert Hint.SETTLED in listener.heard


async def test_our_own_ends_are_told_by_id(store: Store) -> None:
    """Settled, killed while it waited or stored as ended: those, and no others."""
    first, second, again = await run(store, simple(), simple(), simple())
    waits, ended = simple(), simple(status=JobStatus.SKIPPED, ended_at=NOW)
    told: list[ObjectId] = []
    forget = store.on_ended(lambda ids: told.extend(ids or ()))
    await store.runs.settle([end(first), end(second, JobStatus.ERRORED), retry(again)])
    await store.intake.insert([waits, ended])
    await store.kills.kill_waiting(waits.id, NOW)
    assert set(told) >= {first.id, second.id, ended.id, waits.id}
    assert again.id not in told
    forget()
    told.clear()
    await store.runs.settle([end(again)])
    assert told == []


async def test_an_end_in_another_process_is_told(store: Store, other: OtherProcess) -> None:
    """By its id, or as one that may be any."""
    told = asyncio.Event()
    job = simple()
    await store.intake.insert([job])

    def listen(ids: Collection[ObjectId] | None) -> None:
        if ids is None or job.id in ids:
            told.set()

    store.on_ended(listen)
    async with asyncio.timeout(WAIT):
        await told.wait()  # that anything may have ended before it listened
        told.clear()
        assert await other.ask("run", "resize") == [str(job.id)]
        await told.wait()


async def test_what_we_put_back_is_work(store: Store, listener: Listener) -> None:
    """A paused run and a retry may be claimed again."""
    paused, again = await run(store, simple(), simple())
    for settlement in (end(paused, JobStatus.PAUSED), retry(again)):
        listener.forget()
        await store.runs.settle([settlement])
        assert Hint.WORK in listener.heard


async def test_our_own_kill_of_a_waiting_job_is_an_end(store: Store, listener: Listener) -> None:
    """Whoever waits for a job is told that it was killed."""
    job = simple()
    await store.intake.insert([job])
    listener.forget()
    await store.kills.kill_waiting(job.id, NOW)
    assert Hint.SETTLED in listener.heard


async def test_a_listener_that_fails_harms_nobody(store: Store, listener: Listener) -> None:
    """The write succeeds, and the others are told all the same."""

    def fail(hint: Hint) -> None:
        raise ValueError(hint)

    store.subscribe(fail)
    last = Listener()
    store.subscribe(last)
    await store.intake.insert([simple()])
    assert Hint.WORK in listener.heard & last.heard


async def test_an_ended_subscription_hears_nothing(store: Store, listener: Listener) -> None:
    """Of two subscriptions, the one that was ended is told nothing more; ending twice is fine."""
    ended = Listener()
    end_it = store.subscribe(ended)
    await store.intake.insert([simple()])
    assert Hint.WORK in ended.heard
    end_it()
    end_it()
    ended.forget()
    listener.forget()
    await store.intake.insert([simple()])
    assert Hint.WORK in listener.heard
    assert not ended.heard


async def test_one_listener_may_subscribe_twice(store: Store) -> None:
    """Ending one of its subscriptions leaves the other."""
    listener = Listener()
    end_it = store.subscribe(listener)
    store.subscribe(listener)
    end_it()
    await store.intake.insert([simple()])
    assert Hint.WORK in listener.heard


async def test_an_insert_of_another_process_is_work(store: Store, other: OtherProcess) -> None:
    """Whoever listens for work hears of it, and finds it; whoever stopped hears nothing more."""
    ended, listener = Listener(), await listening(store)
    end_it = store.subscribe(ended)
    first = await other.ask("insert", "resize")
    await listener.hears(Hint.WORK)
    assert Hint.WORK in ended.heard
    end_it()
    ended.forget()
    listener.forget()
    second = await other.ask("insert", "resize")
    await listener.hears(Hint.WORK)
    assert not ended.heard
    assert [str(job.id) for job in await store.history.find(JobQuery())] == [second, first]


async def test_a_settlement_of_another_process_is_an_end(store: Store, other: OtherProcess) -> None:
    """Whoever waits for a job hears of its end, and finds it settled."""
    job = simple()
    await store.intake.insert([job])
    listener = await listening(store)
    assert await other.ask("run", "resize") == [str(job.id)]
    await listener.hears(Hint.SETTLED)
    stored = await store.history.get(job.id)
    assert stored is not None
    assert stored.status is JobStatus.FINISHED


async def test_a_kill_request_of_another_process_is_a_kill(
    store: Store, other: OtherProcess
) -> None:
    """A worker hears of a kill, and finds the request."""
    job = await run_one(store)
    listener = await listening(store)
    await other.ask("request_kill", str(job.id), str(WORKER))
    await listener.hears(Hint.KILL)
    assert await store.kills.requested([job.id]) == {job.id}


async def test_a_subscription_after_the_last_one_ended_hears_again(
    store: Store, other: OtherProcess
) -> None:
    """The store watches again as soon as somebody listens again."""
    for _ in range(3):
        listener = Listener()
        end_it = store.subscribe(listener)
        await other.ask("insert", "resize")
        await listener.hears(Hint.WORK)
        end_it()
