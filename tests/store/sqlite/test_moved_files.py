"""A file that is moved, deleted or replaced while it is open.

SQLite would go on with the old file and acknowledge what nobody ever reads.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from job_processor import JobStatus, StoreError, StoreUnavailableError
from job_processor.store.sqlite import SqliteStore
from tests.processors import WAIT, Processors, eventually
from tests.samples import WORKER, claim, end, simple, worker


def move(path: Path, to: Path) -> None:
    """Move a database with what belongs to it, as `mv jobs.db* …` does."""
    for suffix in ("", "-wal", "-shm"):
        if (file := path.with_name(path.name + suffix)).exists():
            file.rename(to.with_name(to.name + suffix))


async def make_another(path: Path, *jobs: Any) -> None:
    """Make a database of ours, closed, with some jobs."""
    store = SqliteStore(path)
    await store.setup()
    await store.intake.insert(jobs)
    await store.close()


async def assert_unavailable(path: Path, *calls: Callable[[], Awaitable[object]]) -> None:
    """Each call fails with the error for what may pass, and names the path."""
    for call in calls:
        with pytest.raises(StoreUnavailableError) as caught:
            await call()
        assert str(path) in str(caught.value)


async def test_a_file_that_is_away_is_missed_and_found_again(
    store: SqliteStore, path: Path, tmp_path: Path
) -> None:
    """Nothing is acknowledged meanwhile, nothing is made in its place, and then all goes on."""
    ours, late = simple(), simple()
    await store.intake.insert([ours])
    [run] = await store.queue.claim(claim(10))
    await store.workers.register(worker(id=WORKER))
    pulse = store.open_pulse()
    assert pulse.beat(WORKER)
    for _ in range(2):
        move(path, tmp_path / "away")
        await assert_unavailable(
            path,
            lambda: store.intake.insert([late]),
            lambda: store.queue.claim(claim(10)),
            lambda: store.runs.settle([end(run)]),
            lambda: store.history.get(ours.id),
            lambda: asyncio.to_thread(pulse.beat, WORKER),
        )
        assert not path.exists()
        move(tmp_path / "away", path)
        assert (await store.history.get(ours.id)) == run
        assert await asyncio.to_thread(pulse.beat, WORKER)
    assert (await store.runs.settle([end(run)])).won == {ours.id}
    await store.intake.insert([late])
    assert await store.history.get(late.id) == late
    pulse.close()


@pytest.mark.parametrize("first", ["", "-wal", "-shm"])
async def test_a_file_whose_parts_come_one_by_one(
    store: SqliteStore, path: Path, tmp_path: Path, first: str
) -> None:
    """Nobody opens it before its log is there: SQLite would make an empty one, and go on so."""
    ours = simple()
    await store.intake.insert([ours])
    move(path, tmp_path / "away")
    await assert_unavailable(
        path, lambda: _by_reader(store, ours.id), lambda: _by_writer(store, ours.id)
    )
    parts = sorted(["", "-wal", "-shm"], key=lambda part: part != first)
    asking: list[asyncio.Task[Any]] = []
    for part in parts:
        (tmp_path / f"away{part}").rename(path.with_name(path.name + part))
        asking += [asyncio.create_task(ask(store, ours.id)) for ask in (_by_reader, _by_writer)]
        await asyncio.sleep(0.02)  # so long they have for doing it wrong
    await asyncio.gather(*asking, return_exceptions=True)
    assert await store.history.get(ours.id) == ours
    late = simple()
    await store.intake.insert([late])
    other = SqliteStore(path)
    assert await other.history.get(late.id) == late
    await other.close()


async def _by_reader(store: SqliteStore, job_id: ObjectId) -> object:
    return await store.history.get(job_id)


async def _by_writer(store: SqliteStore, job_id: ObjectId) -> object:
    return await store.history.delete([ObjectId()])


async def test_a_deleted_file_is_not_made_anew(store: SqliteStore, path: Path) -> None:
    """An empty database in its place would hide the loss."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink()
    await assert_unavailable(path, lambda: store.intake.insert([simple()]), store.ping)
    assert list(path.parent.iterdir()) == []


async def test_a_file_put_in_its_place_is_the_database_from_then_on(
    store: SqliteStore, path: Path, tmp_path: Path
) -> None:
    """A copy that is restored under a running process is used at once, by each connection."""
    old, restored, new = simple(), simple(), simple()
    await store.intake.insert([old])
    await store.history.get(old.id)
    await make_another(tmp_path / "copy", restored)
    move(path, tmp_path / "away")
    move(tmp_path / "copy", path)
    assert await store.history.get(restored.id) == restored
    assert await store.history.get(old.id) is None
    await store.intake.insert([new])
    assert await store.history.get(new.id) == new
    away = SqliteStore(tmp_path / "away")
    await away.setup()
    assert await away.history.get(old.id) == old  # with its log, nothing of it is lost
    assert await away.history.get(new.id) is None
    await away.close()


@pytest.mark.parametrize("statement", ["SELECT 1", "CREATE TABLE theirs (x)"])
async def test_a_file_without_our_tables_in_its_place(
    store: SqliteStore, path: Path, tmp_path: Path, statement: str
) -> None:
    """A worker does not take its runs for refused then: it waits for the right file."""
    await store.intake.insert([simple()])
    [run] = await store.queue.claim(claim(10))
    move(path, tmp_path / "away")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
    await assert_unavailable(
        path, lambda: store.runs.settle([end(run)]), lambda: store.history.get(run.id)
    )
    path.unlink()
    move(tmp_path / "away", path)
    assert (await store.runs.settle([end(run)])).won == {run.id}


async def test_a_file_that_is_no_database_in_its_place(store: SqliteStore, path: Path) -> None:
    """It is told as such, and not written."""
    move(path, path.with_name("away"))
    path.write_bytes(b"junk" * 1000)
    with pytest.raises(StoreError, match="not an SQLite database") as caught:
        await store.intake.insert([simple()])
    assert str(path) in str(caught.value)
    assert path.read_bytes() == b"junk" * 1000


async def test_a_listener_is_told_of_what_a_replaced_file_holds(
    store: SqliteStore, path: Path, tmp_path: Path, told: asyncio.Queue[Any]
) -> None:
    """Whoever waits for work looks at the new file without being asked to."""
    await told.get()
    await make_another(tmp_path / "copy", simple())
    move(path, tmp_path / "away")
    while not told.empty():
        told.get_nowait()
    move(tmp_path / "copy", path)
    # The log belongs to the file, and is there as soon as anybody opens it.
    other = SqliteStore(path)
    await other.setup()
    async with asyncio.timeout(WAIT):
        await told.get()
        while not await store.queue.claim(claim(10)):
            await told.get()
    await other.close()


async def test_a_replaced_file_counts_as_changed(
    store: SqliteStore, path: Path, tmp_path: Path
) -> None:
    """SQLite counts for each connection anew, so that an equal number says nothing."""

    async def has_changed() -> bool:
        return await store._connections.writer.call(store._revision.has_changed)

    assert await has_changed()
    assert not await has_changed()
    await make_another(tmp_path / "copy", simple())
    move(path, tmp_path / "away")
    move(tmp_path / "copy", path)
    assert await has_changed()
    assert not await has_changed()


async def test_a_worker_outlives_the_absence_of_its_file(
    processors: Processors, path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its handlers go on, and what they did is settled when the file is back: no restart."""
    processor = await processors.make()
    begun, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @processor.job()
    async def wait() -> str:
        begun.set()
        await may_end.wait()
        ended.set()
        return "done"

    await processors.worker(processor)
    ours = await processor.schedule_job("wait")
    await begun.wait()
    move(path, tmp_path / "away")
    may_end.set()
    await ended.wait()

    async def complains() -> bool:
        return "settlement of 1" in caplog.text and "heartbeat" in caplog.text

    await eventually(complains)
    with pytest.raises(StoreUnavailableError):
        await processor.schedule_job("wait")
    move(tmp_path / "away", path)
    settled = await processor.wait_for_job(ours.id, timeout=WAIT)
    assert settled.status is JobStatus.FINISHED
    again = await processor.wait_for_job((await processor.schedule_job("wait")).id, timeout=WAIT)
    assert again.status is JobStatus.FINISHED


async def test_a_link_that_moves_on_is_followed(
    open_store: Callable[..., Any], tmp_path: Path
) -> None:
    """A path may be a symbolic link; what counts is the file that it leads to now."""
    for name in ("one", "two"):
        await make_another(tmp_path / name)
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "one")
    store = await open_store(link)
    first, second = simple(), simple()
    await store.intake.insert([first])
    link.unlink()
    link.symlink_to(tmp_path / "two")
    await store.intake.insert([second])
    assert await store.history.get(first.id) is None
    assert await store.history.get(second.id) == second
