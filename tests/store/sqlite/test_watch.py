"""How a process notices what another one wrote."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from job_processor import JobStatus
from job_processor.store.hints import ANYTHING, Hint
from job_processor.store.sqlite import SqliteStore, watch
from job_processor.store.sqlite.inotify import Inotify
from tests.processors import WAIT, Processors
from tests.samples import simple
from tests.store.sqlite.peer import Peer

Told = asyncio.Queue[Hint]
NEVER = 3600.0  # seconds

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells by inotify")


async def next_of(told: Told) -> float:
    """Return when the next hint came, by the clock that all processes share."""
    async with asyncio.timeout(WAIT):
        assert await told.get() & Hint.WORK
    return time.monotonic()


async def delays(peer: Peer, told: Told, count: int) -> list[float]:
    """Return after how many seconds each of the peer's writes was noticed."""
    await next_of(told)  # the first look, which tells of what was before
    noticed = []
    for _ in range(count):
        await asyncio.sleep(2 * watch.LONGEST_PAUSE)  # until it waits again, which is no event
        written = float(await peer.ask("insert"))
        noticed.append(await next_of(told) - written)
    return noticed


@on_linux
async def test_the_kernel_tells_of_a_write_at_once(
    peer: Peer, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another process writes is noticed within milliseconds, and without looking.

    On a busy machine not each time.
    """
    monkeypatch.setattr(watch, "POLL_INTERVAL", NEVER)
    told: Told = asyncio.Queue()
    store.subscribe(told.put_nowait)
    assert min(await delays(peer, told, 5)) < 0.1


def no_instance_left() -> Inotify:
    raise OSError(24, "Too many open files")


class NoWatchLeft(Inotify):
    """The user has used up the watches of files."""

    def watch(self, path: Path) -> None:
        """Fail as Linux does."""
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("lack", [no_instance_left, NoWatchLeft])
async def test_looking_finds_a_write_where_the_kernel_does_not_tell(
    peer: Peer, store: SqliteStore, monkeypatch: pytest.MonkeyPatch, lack: Any
) -> None:
    """Elsewhere, and where a limit of inotify is reached, the file is looked at."""
    monkeypatch.setattr(watch, "Inotify", lack)
    told: Told = asyncio.Queue()
    store.subscribe(told.put_nowait)
    assert min(await delays(peer, told, 5)) < 0.5


async def test_heartbeats_of_others_wake_nobody(peer: Peer, told: Told) -> None:
    """However many workers beat, and whatever an application writes: only jobs count."""
    await next_of(told)
    for _ in range(4):
        await peer.ask("beat")
    await peer.ask("insert")
    await next_of(told)
    assert told.empty()


async def test_every_kind_of_write_is_noticed(peer: Peer, told: Told) -> None:
    """New jobs, their ends, kill requests and settings: somebody may wait for each."""
    await next_of(told)
    for command in (["insert"], ["work"], ["request_kill"], ["put_setting", "one"]):
        await peer.ask(*command)
        await next_of(told)


async def test_one_s_own_writes_are_told_at_once(store: SqliteStore, told: Told) -> None:
    """A listener hears of a write of its process before the writer's call returns."""
    async with asyncio.timeout(WAIT):
        assert await told.get() == ANYTHING
    await store.intake.insert([simple()])
    assert told.get_nowait() == Hint.WORK


async def test_a_listener_that_left_hears_nothing(store: SqliteStore, peer: Peer) -> None:
    """With the last listener the watch ends, and with the next one it begins again."""
    before = {task.get_name() for task in asyncio.all_tasks()}
    first: Told = asyncio.Queue()
    second: Told = asyncio.Queue()
    leave = store.subscribe(first.put_nowait)
    await next_of(first)
    leave()
    leave()
    await peer.ask("insert")
    store.subscribe(second.put_nowait)
    await next_of(second)
    assert first.empty()
    names = [task.get_name() for task in asyncio.all_tasks()]
    assert set(names) - before == {"job-processor-sqlite-watch"}
    assert names.count("job-processor-sqlite-watch") == 1


async def test_a_log_that_is_made_anew_is_watched_on(
    peer: Peer, store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is a file of its own, which comes and goes under those who watch it."""
    log = watch._Log(path.with_name("log"))
    try:
        for content in ("one", "two", "three"):
            changed = asyncio.create_task(log.changed())
            path.with_name("log").write_text(content)
            await asyncio.wait_for(changed, WAIT)
            path.with_name("log").unlink()
    finally:
        log.close()


async def test_a_quiet_file_costs_nothing(store: SqliteStore, told: Told) -> None:
    """While nobody writes, nobody asks the database."""
    await next_of(told)
    asked = 0

    def count() -> int:
        nonlocal asked
        asked += 1
        return 0

    await store._connections.writer.call(
        lambda connection: connection.set_progress_handler(count, 1)
    )
    looked = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.3, looked.set_result, None)
    await looked  # long enough for several looks, if there were any
    await store._connections.writer.call(
        lambda connection: connection.set_progress_handler(None, 1)
    )
    assert asked == 0


async def test_a_worker_takes_up_what_another_process_schedules(
    processors: Processors, path: Path
) -> None:
    """It does not wait for its own next look, which here is an hour away."""
    processor = await processors.make(poll_interval=NEVER)

    @processor.job()
    def work() -> None:
        processor.logger.debug("at work")

    await processors.worker(processor)
    ours = await processor.schedule_job("work")
    await processor.wait_for_job(ours.id, timeout=WAIT)  # it works, and waits again
    async with Peer(path) as peer:
        await peer.ask("insert", "work")

    async def all_done() -> None:
        while True:
            page = await processor.find_jobs(status=JobStatus.FINISHED)
            if len(page.jobs) == 2:
                return
            await asyncio.sleep(0.02)  # the looked-at thing sends no event

    await asyncio.wait_for(all_done(), WAIT)


async def test_what_an_ended_watch_has_noticed_and_not_told_is_told_by_the_next(
    peer: Peer, store: SqliteStore
) -> None:
    """Its last look may be under way in the writer's thread as the last listener leaves."""
    first: Told = asyncio.Queue()
    end_it = store.subscribe(first.put_nowait)
    await next_of(first)
    end_it()
    await peer.ask("insert")
    assert await store._connections.writer.call(store._revision.has_changed)
    told: Told = asyncio.Queue()
    store.subscribe(told.put_nowait)
    await next_of(told)
