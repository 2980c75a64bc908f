"""The write-ahead log stays small, however much is written."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from job_processor.store.requests import JobQuery
from job_processor.store.sqlite import SqliteStore, location
from tests.samples import claim, end, simple

MB = 1024 * 1024


def log_size(path: Path) -> int:
    return path.with_name(path.name + "-wal").stat().st_size


async def test_a_log_is_cut_back_after_a_reader_kept_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that takes its time lets the log grow; afterwards it shrinks to what is kept."""
    monkeypatch.setattr(location, "WAL_PAGES", 100)
    monkeypatch.setattr(location, "WAL_BYTES_KEPT", MB)
    store = SqliteStore(path)
    await store.setup()
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM job_processor_jobs").fetchall()
        for _ in range(20):
            await store.intake.insert([simple(payload={"filling": "x" * 200_000})])
        assert log_size(path) > 3 * MB
        reader.execute("COMMIT")
    for _ in range(3):
        await store.intake.insert([simple()])
    assert log_size(path) <= MB
    await store.close()


def overlap(path: Path, stop: threading.Event) -> None:
    """Read so that at every moment some reader is at it."""
    readers = [sqlite3.connect(path, isolation_level=None) for _ in range(2)]
    while not stop.wait(0.002):  # a reader's time
        readers[1].execute("BEGIN")
        readers[1].execute("SELECT count(*) FROM job_processor_meta").fetchall()
        if readers[0].in_transaction:
            readers[0].execute("COMMIT")
        readers.reverse()
    for reader in readers:
        reader.close()


async def test_readers_that_overlap_do_not_let_it_grow(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where never nobody reads, a writer waits for the readers at times, and none is disturbed."""
    monkeypatch.setattr(location, "WAL_PAGES", 100)
    monkeypatch.setattr(location, "WAL_BYTES_KEPT", MB)
    store = SqliteStore(path)
    await store.setup()
    stop, largest = threading.Event(), 0
    reading = asyncio.create_task(asyncio.to_thread(overlap, path, stop))
    for _ in range(80):
        await store.intake.insert([simple(payload={"filling": "x" * 200_000})])
        largest = max(largest, log_size(path))
    stop.set()
    await reading
    written = 80 * 200_000
    assert largest < written * 0.75
    await store.close()


async def test_a_worker_s_own_connections_never_keep_the_log(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No statement stays open between two calls: a forgotten reader would let the log grow."""
    monkeypatch.setattr(location, "WAL_PAGES", 50)
    store = SqliteStore(path)
    await store.setup()
    pulse = store.open_pulse()
    for _ in range(150):
        await store.intake.insert([simple(payload={"filling": "x" * 5_000})])
        runs = await store.queue.claim(claim(10))
        await store.runs.settle([end(run) for run in runs])
        await store.runs.settle([end(run) for run in runs])
        await store.history.find(JobQuery(name="resize", limit=2))
        await store.history.find_active("simple", "resize")
        await store.queue.due(runs[0].created_at, 2)
        await store.history.names(1)
        await store.history.count([("simple", "resize")], 3)
        await store.workers.registrations()
        await asyncio.to_thread(pulse.beat, runs[0].id)
    assert log_size(path) < 150 * 4096
    pulse.close()
    await store.close()


async def test_the_last_to_close_leaves_one_file(path: Path) -> None:
    """A closed database is one file, which may be copied."""
    stores = [SqliteStore(path) for _ in range(2)]
    for store in stores:
        await store.setup()
        await store.intake.insert([simple()])
        await store.history.find(JobQuery())
    for store in stores:
        await store.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
