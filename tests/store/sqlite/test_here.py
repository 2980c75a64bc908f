"""A lone insert in the thread of the event loop: when it is, and whatever might be waited for."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from job_processor.errors import StoreError
from job_processor.store.sqlite import SqliteStore, link, location
from tests.processors import WAIT
from tests.samples import NOW, claim, read, simple


@pytest.fixture(autouse=True)
def _no_disk_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long an insert takes on a busy machine says nothing here."""
    monkeypatch.setattr(link, "SLOW", 3600.0)


def threads_of(store: SqliteStore) -> list[str]:
    """Return a list that gets the name of the thread of each insert from now on."""
    seen: list[str] = []
    for name in ("_write", "_write_one"):
        setattr(store.intake, name, watched(getattr(store.intake, name), seen))
    return seen


def watched(write: Callable[..., Any], seen: list[str]) -> Callable[..., Any]:
    """Return the function with a note of each call's thread."""

    def call(*arguments: Any) -> Any:
        seen.append(threading.current_thread().name)
        return write(*arguments)

    return call


def is_here(name: str) -> bool:
    """Tell whether that is the thread of the test's event loop."""
    return name == threading.current_thread().name


async def test_a_lone_insert_needs_no_other_thread(store: SqliteStore) -> None:
    """It is committed when it returns, for every connection."""
    seen = threads_of(store)
    jobs = [simple() for _ in range(5)]
    for job in jobs:
        assert await store.intake.put(job)
    assert len(seen) == 5
    assert all(map(is_here, seen))
    assert await read(store, *jobs) == jobs


async def test_many_are_inserted_by_the_thread(store: SqliteStore) -> None:
    """All that come after the first of them, in one transaction."""
    seen = threads_of(store)
    async with asyncio.timeout(WAIT):
        await asyncio.gather(*(store.intake.put(simple()) for _ in range(50)))
    assert [is_here(name) for name in seen] == [True, False]


async def test_the_event_loop_goes_on_while_somebody_else_writes(
    store: SqliteStore, path: Path
) -> None:
    """The insert waits for that in the thread, and is stored then."""
    seen = threads_of(store)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        job = simple()
        waiting = asyncio.create_task(store.intake.put(job))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not waiting.done()
        other.execute("COMMIT")
    async with asyncio.timeout(WAIT):
        assert await waiting
    assert [is_here(name) for name in seen] == [True, False]
    assert await read(store, job) == [job]


async def test_the_connection_waits_for_nothing_here_and_as_ever_elsewhere(
    store: SqliteStore,
) -> None:
    """No lock of another writer is waited for, and no commit moves the log into the file."""

    def patience(connection: sqlite3.Connection, *_: Any) -> list[Any]:
        found = [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("busy_timeout", "wal_autocheckpoint")
        ]
        seen.append(found)
        return []

    seen: list[list[int]] = []
    store.intake._write_one = patience  # type: ignore[attr-defined]
    usual = [location.BUSY_TIMEOUT * 1000, location.WAL_PAGES]
    for _ in range(2):
        assert await store.intake.put(simple())
        await store._connections.writer.call(patience)
    assert seen == [[0, 0], usual, [0, 0], usual]


async def test_an_insert_stands_behind_what_was_called_before(store: SqliteStore) -> None:
    """As all that is asked of a store in one event loop: it overtakes nothing."""
    seen = threads_of(store)
    may_go, order = threading.Event(), list[str]()

    def stand(_: sqlite3.Connection) -> None:
        may_go.wait(WAIT)
        order.append("before")

    before = store._connections.writer.call(stand)
    job = asyncio.create_task(store.intake.put(simple()))
    await asyncio.sleep(0)
    may_go.set()
    async with asyncio.timeout(WAIT):
        await before
        assert await job
    assert not any(map(is_here, seen))
    assert order == ["before"]


async def test_what_must_survive_a_power_cut_waits_for_the_disk_elsewhere(
    open_store: Callable[..., Any],
) -> None:
    """With `synchronous=full` each commit is flushed."""
    store = await open_store(synchronous="full")
    seen = threads_of(store)
    assert await store.intake.put(simple())
    assert not any(map(is_here, seen))


async def test_a_database_in_memory_is_written_here(open_store: Callable[..., Any]) -> None:
    """There is nothing to wait for."""
    store = await open_store(None)
    seen, job = threads_of(store), simple()
    assert await store.intake.put(job)
    assert all(map(is_here, seen))
    assert await read(store, job) == [job]


async def test_the_log_is_moved_into_the_file_by_the_thread(
    open_store: Callable[..., Any], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long nothing else is asked for: every so many inserts one of them goes there."""
    monkeypatch.setattr(location, "WAL_PAGES", 40)
    monkeypatch.setattr(link, "RUNS_HERE", 30)
    store = await open_store()
    seen = threads_of(store)
    log = path.with_name(f"{path.name}-wal")
    sizes = []
    for _ in range(400):
        assert await store.intake.put(simple(payload={"text": "x" * 1000}))
        sizes.append(log.stat().st_size)
    there = [n for n, name in enumerate(seen) if not is_here(name)]
    assert there == list(range(30, 400, 31))
    assert max(sizes[200:]) < 2 * max(sizes[:200])  # it is begun anew again and again


async def test_a_slow_disk_gets_a_thread_for_a_while(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has held the event loop up twice."""
    seen = threads_of(store)
    monkeypatch.setattr(link, "SLOW", -1.0)
    for _ in range(3):
        assert await store.intake.put(simple())
    monkeypatch.setattr(store._connections._link, "_not_here_until", 0.0)  # that while is over
    assert await store.intake.put(simple())
    assert [is_here(name) for name in seen] == [True, True, False, True]


async def test_a_file_that_is_gone_is_told_as_ever(store: SqliteStore, path: Path) -> None:
    """Nothing is written to a file that nobody finds any more."""
    seen = threads_of(store)
    assert await store.intake.put(simple())
    path.rename(path.with_name("elsewhere.db"))
    with pytest.raises(StoreError):
        await store.intake.put(simple())
    assert len(seen) == 1


async def test_after_a_failure_here_no_transaction_is_open(store: SqliteStore) -> None:
    """It is undone, and asked for again in the thread."""
    write = store.intake._write  # type: ignore[attr-defined]
    calls: list[bool] = []

    here = threading.current_thread()

    def fails_here(connection: sqlite3.Connection, jobs: Any) -> Any:
        calls.append(connection.in_transaction)
        result = write(connection, jobs)
        if threading.current_thread() is here:
            raise RuntimeError("no")
        return result

    store.intake._write = fails_here  # type: ignore[attr-defined]
    jobs = [simple(after=(f"j:{simple().id}",), on_parent_failure="run") for _ in range(2)]
    for job in jobs:
        assert await store.intake.put(job)
    assert calls == [True] * 4
    assert await read(store, *jobs) == jobs


async def test_a_claim_right_after_such_an_insert_needs_no_other_thread(
    store: SqliteStore, path: Path
) -> None:
    """What the insert has woken goes on here; another claim, or one that has to wait, does not."""
    threads: list[str] = []
    take = store.queue._take  # type: ignore[attr-defined]

    def watched(*arguments: Any) -> Any:
        threads.append(threading.current_thread().name)
        return take(*arguments)

    store.queue._take = watched  # type: ignore[attr-defined]
    job = simple()
    assert await store.intake.put(job)
    assert [run.id for run in await store.queue.claim(claim(5))] == [job.id]
    await store.intake.insert([simple()])
    assert len(await store.queue.claim(claim(5))) == 1
    assert await store.intake.put(simple())
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        claimed = asyncio.create_task(store.queue.claim(claim(5)))
        await asyncio.sleep(0.02)
        assert not claimed.done()
        other.execute("COMMIT")
    async with asyncio.timeout(WAIT):
        assert len(await claimed) == 1
    assert [is_here(name) for name in threads] == [True, False, True, False]


async def test_a_claim_in_between_waits_as_long_as_ever(store: SqliteStore, path: Path) -> None:
    """An insert that does not wait for others leaves no impatience behind."""
    assert await store.intake.put(simple(at=NOW))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        claimed = asyncio.create_task(store.queue.claim(claim(1)))
        await asyncio.sleep(0.02)
        other.execute("COMMIT")
    async with asyncio.timeout(WAIT):
        assert len(await claimed) == 1
