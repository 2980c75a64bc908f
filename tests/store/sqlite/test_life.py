"""Threads, connections and files of a store: when they begin, and that they end."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from job_processor import NotSetUpError
from job_processor.models import SimpleJob
from job_processor.store.requests import JobQuery
from job_processor.store.sqlite import SqliteStore
from tests.processors import WAIT
from tests.samples import WORKER, claim, simple, worker

before: set[threading.Thread] = set()
"""The threads of other tests, such as those of a client that a whole session has."""
watches_before = 0
"""Their watches of files."""


@pytest.fixture(autouse=True)
def _others() -> None:
    """Remember what other tests have left."""
    global before, watches_before  # the helpers below are called everywhere
    before, watches_before = set(threading.enumerate()), len(_watches())


def threads() -> list[threading.Thread]:
    """Return our threads that live."""
    mine = set(threading.enumerate()) - before
    return [each for each in mine if each.name.startswith("job-processor")]


def open_files(folder: Path) -> list[str]:
    """Return what this process has open in a folder, and the test's watches of files."""
    files = [file for file in _open_files() if file.startswith(str(folder))]
    return files + _watches()[watches_before:]


def _watches() -> list[str]:
    return [file for file in _open_files() if "inotify" in file]


def _open_files() -> list[str]:
    files = []
    for fd in Path("/proc/self/fd").iterdir() if sys.platform == "linux" else ():
        try:
            files.append(str(fd.readlink()))
        except FileNotFoundError:  # that of the listing itself
            continue
    return files


has_proc = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, which Linux has")


async def use(store: SqliteStore) -> None:
    """Use every connection of a store."""
    await store.setup()
    await store.intake.insert([simple()])
    await store.history.find(JobQuery())
    told = asyncio.Event()
    store.subscribe(lambda _: told.set())
    async with asyncio.timeout(WAIT):
        await told.wait()


async def test_a_store_that_is_not_used_has_no_thread(path: Path) -> None:
    """Making a store opens nothing, and closing it then is allowed."""
    store = SqliteStore(path)
    assert threads() == []
    await store.close()
    assert not path.exists()


@has_proc
@pytest.mark.parametrize("in_memory", [False, True])
async def test_nothing_is_left_open(path: Path, in_memory: bool) -> None:
    """After close() there is no thread, no connection and no watch, listeners or not."""
    store = SqliteStore(None if in_memory else path)
    if in_memory:
        await store.setup()
        await store.intake.insert([simple()])
    else:
        await use(store)
    pulse = store.open_pulse()
    await store.workers.register(worker(id=WORKER))
    assert await asyncio.to_thread(pulse.beat, WORKER)
    assert {thread.name for thread in threads()} == (
        {"job-processor-sqlite-writer"}
        if in_memory
        else {"job-processor-sqlite-writer", "job-processor-sqlite-pages"}
    )
    assert bool(open_files(path.parent)) is not in_memory
    pulse.close()
    await store.close()
    assert threads() == []
    assert open_files(path.parent) == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


@has_proc
async def test_a_setup_that_was_refused_leaves_nothing_open(path: Path) -> None:
    """The file of somebody else is let go at once."""
    path.write_bytes(b"x" * 5000)
    store = SqliteStore(path)
    with pytest.raises(Exception, match="not an SQLite"):
        await store.setup()
    assert open_files(path.parent) == []
    await store.close()
    assert threads() == []


async def test_closing_finishes_what_was_called(path: Path, store: SqliteStore) -> None:
    """Calls under way are answered, and what they wrote is there."""
    jobs = [simple() for _ in range(100)]
    writes = [asyncio.create_task(store.intake.insert([each])) for each in jobs]
    reads = [asyncio.create_task(store.history.get(each.id)) for each in jobs]
    await asyncio.sleep(0)  # each task calls
    await store.close()
    assert [await write for write in writes] == [[]] * 100
    for read in reads:
        assert await read is None or isinstance(read.result(), SimpleJob)
    again = SqliteStore(path)
    await again.setup()
    assert len(await again.history.get_many([each.id for each in jobs])) == 100
    await again.close()


async def test_calls_after_closing_are_refused(store: SqliteStore) -> None:
    """They say that it was closed, and none waits for ever."""
    await store.close()
    calls: list[Callable[[], Any]] = [
        store.ping,
        lambda: store.intake.insert([simple()]),
        lambda: store.queue.claim(claim(10)),
        lambda: store.history.find(JobQuery()),
        store.setup,
    ]
    for call in calls:
        with pytest.raises(NotSetUpError, match="closed"):
            await asyncio.wait_for(call(), WAIT)
    await store.close()
    assert threads() == []


async def test_closing_twice_at_once_waits_twice(path: Path, store: SqliteStore) -> None:
    """Whoever closes may rely on it: the files are free when close() returns."""
    writes = [asyncio.create_task(store.intake.insert([simple()])) for _ in range(50)]
    await asyncio.sleep(0)  # each task calls

    async def close() -> bool:
        await store.close()
        return threads() == []

    assert all(await asyncio.gather(close(), close()))
    await asyncio.gather(*writes)


async def test_a_caller_that_is_cancelled_leaves_its_write_whole(store: SqliteStore) -> None:
    """A call that began is carried out, its result dropped; the next one is not disturbed."""
    ours = [simple() for _ in range(10)]
    write = asyncio.create_task(store.intake.insert(ours))
    await asyncio.sleep(0)  # the task calls
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write
    await store.ping()  # behind it in the same queue
    assert len(await store.history.get_many([each.id for each in ours])) == 10


async def test_a_call_that_fails_leaves_no_transaction(store: SqliteStore) -> None:
    """Half of a write is taken back, whatever went wrong, and others may write."""
    good, bad = simple(), simple(payload={"key": object()})
    with pytest.raises(TypeError):
        await store.intake.insert([good, bad])
    assert await store.history.get(good.id) is None
    await store.intake.insert([good])
    assert not await store._connections.writer.call(lambda connection: connection.in_transaction)


def test_a_loop_that_ends_under_a_call(path: Path) -> None:
    """What was called is carried out, and the store can be used and closed from the next loop."""
    store = SqliteStore(path)
    ours = [simple() for _ in range(100)]

    async def begin() -> None:
        await store.setup()
        writes = [asyncio.create_task(store.intake.insert([each])) for each in ours]
        await asyncio.sleep(0)  # each task calls
        assert not any(write.done() for write in writes)

    async def end() -> int:
        await store.ping()
        found = len(await store.history.get_many([each.id for each in ours]))
        await store.close()
        return found

    asyncio.run(begin())
    assert asyncio.run(end()) == 100
    assert threads() == []


@has_proc
def test_a_loop_that_ends_under_a_watch(path: Path) -> None:
    """A listener that was never ended goes with its loop."""
    store = SqliteStore(path)
    asyncio.run(use(store))
    assert [file for file in open_files(path.parent) if "inotify" in file] == []
    asyncio.run(store.close())
    assert threads() == []


async def test_a_store_that_is_forgotten_ends_its_threads(path: Path) -> None:
    """Without close() a thread does not outlive the store that it served."""
    store = SqliteStore(path)
    await store.setup()
    await store.history.find(JobQuery())
    served = threads()
    assert len(served) == 2
    del store
    gc.collect()
    for thread in served:
        await asyncio.to_thread(thread.join, WAIT)
        assert not thread.is_alive()


PROGRAM = """
import asyncio, sys
from job_processor import JobProcessor

async def main():
    processor = JobProcessor(sys.argv[1])
    processor.job("work")(lambda: None)
    await processor.setup()
    print((await processor.schedule_job("work")).id)

asyncio.run(main())
"""


async def test_a_program_that_forgets_to_close_ends(path: Path) -> None:
    """It does not hang, and what was acknowledged is there."""
    url = f"sqlite:///{path}"
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", PROGRAM, url],
        check=True,
        capture_output=True,
        text=True,
        timeout=WAIT,
    )
    assert ended.stderr == ""
    store = SqliteStore(path)
    await store.setup()
    found = await store.history.find(JobQuery())
    assert [str(each.id) for each in found] == [ended.stdout.strip()]
    await store.close()
