"""Several processes on one file: they see each other's writes, and wait for each other."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from job_processor import StoreUnavailableError
from job_processor.store.sqlite import SqliteStore, location
from tests.samples import NOW, WORKER, claim, end, simple, worker
from tests.store.sqlite.peer import Peer

MOMENT = 2.0
"""Seconds for which another process keeps the write lock."""


async def test_each_sees_what_the_other_acknowledged(store: SqliteStore, peer: Peer) -> None:
    """An acknowledged write is there for every process, and a run is given to one of them."""
    ours = [simple() for _ in range(20)]
    await store.intake.insert(ours)
    assert await peer.ask("has", ours[0].id) == "True"
    await peer.ask("insert", "mail", 3)
    assert len(await store.queue.claim(claim(10, "mail"))) == 3
    runs = await store.queue.claim(claim(5, "resize"))
    theirs = (await peer.ask("work")).split(",")
    assert {str(run.id) for run in runs}.isdisjoint(theirs)
    assert len(runs) + len(theirs) == 20


async def test_nothing_fails_while_another_process_keeps_the_lock(
    store: SqliteStore, peer: Peer
) -> None:
    """A write waits for that of another process, a read does not, and nobody gets an error."""
    waiting, running, killed, new = (
        simple(),
        simple(),
        simple("other", due_in=60),
        simple("new", due_in=60),
    )
    await store.intake.insert([running])
    [run] = await store.queue.claim(claim(10))
    await store.intake.insert([waiting, killed])
    await store.workers.register(worker(id=WORKER))
    pulse = store.open_pulse()
    peer.order("lock", MOMENT)
    assert await peer.answer() == "locked"
    assert await store.history.get(run.id) == run
    async with asyncio.TaskGroup() as together:
        refused = together.create_task(store.intake.insert([new]))
        claimed = together.create_task(store.queue.claim(claim(10)))
        settled = together.create_task(store.runs.settle([end(run)]))
        dead = together.create_task(store.kills.kill_waiting(killed.id, NOW))
        together.create_task(store.kills.request(waiting.id, WORKER, NOW))
        pruned = together.create_task(store.history.prune(NOW - timedelta(days=1), 10))
        beaten = together.create_task(asyncio.to_thread(pulse.beat, WORKER))
    assert time.monotonic() >= float(await peer.answer())  # they did wait
    assert refused.result() == []
    assert [run.id for run in claimed.result()] == [waiting.id]
    assert settled.result().won == {run.id}
    assert dead.result() is not None
    assert pruned.result() == 0
    assert beaten.result()
    assert await store.history.get(new.id) == new
    assert await store.kills.requested([waiting.id]) == {waiting.id}
    pulse.close()


async def test_a_lock_that_is_kept_for_too_long_is_told(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is one for what may pass, names the path, and the same call succeeds later."""
    monkeypatch.setattr(location, "BUSY_TIMEOUT", 0.05)
    impatient = SqliteStore(path)
    await impatient.setup()
    ours = simple()
    await impatient.intake.insert([ours])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for call in (
            lambda: impatient.intake.insert([simple()]),
            lambda: impatient.queue.claim(claim(10)),
            lambda: impatient.workers.register(worker(id=WORKER)),
        ):
            with pytest.raises(StoreUnavailableError, match="locked for too long") as caught:
                await call()
            assert str(path) in str(caught.value)
        assert await impatient.history.get(ours.id) == ours  # readers never wait
        other.execute("COMMIT")
    [run] = await impatient.queue.claim(claim(10))
    assert run.id == ours.id
    await impatient.close()


async def test_a_claim_never_misses_what_came_between_its_two_statements(
    store: SqliteStore, peer: Peer
) -> None:
    """Two processes that claim and insert at once end with every job run once."""
    theirs: set[str] = set()
    ours: set[str] = set()
    for _ in range(30):
        peer.order("insert", "resize", 4)
        peer.order("work")
        await store.intake.insert([simple() for _ in range(4)])
        runs = await store.queue.claim(claim(1000))
        ours |= {str(id) for id in (await store.runs.settle([end(run) for run in runs])).won}
        await peer.answer()
        theirs |= set((await peer.answer()).split(",")) - {""}
    runs = await store.queue.claim(claim(1000))
    ours |= {str(id) for id in (await store.runs.settle([end(run) for run in runs])).won}
    assert ours.isdisjoint(theirs)
    assert len(ours) + len(theirs) == 30 * 8
