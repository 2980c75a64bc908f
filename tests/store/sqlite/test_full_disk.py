"""A disk that is full: nothing is damaged, what was acknowledged is there, and then it goes on."""

from __future__ import annotations

import asyncio
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest

from job_processor import JobStatus, StoreUnavailableError
from tests.acceptance.workers import Site
from tests.processors import QUICK, WAIT, Processors, eventually
from tests.store.sqlite.peer import Peer


def assert_intact(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_who_schedules_is_told_and_loses_nothing_acknowledged(peer: Peer, path: Path) -> None:
    """The error is one for what may pass, names the path, and later the same call succeeds."""
    await peer.ask("limit", 600_000)
    count, kind, message = (await peer.ask("write_until_full")).split(" ", 2)
    assert int(count) > 10
    assert kind == "StoreUnavailableError:"
    assert str(path) in message
    assert "disk" in message or "file system" in message
    assert_intact(path)
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT count(*) FROM job_processor_jobs"
        assert connection.execute(query).fetchone() == (int(count),)
    await peer.ask("limit", -1)
    assert re.fullmatch(r"[0-9.]+", await peer.ask("insert"))


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs prlimit, which Linux has")
async def test_a_worker_waits_for_room_and_settles_what_it_ran(
    path: Path, tmp_path: Path, closing: AsyncExitStack
) -> None:
    """Its handlers run on, each once, and their ends are written without a restart."""
    site = await closing.enter_async_context(Site(f"sqlite:///{path}", tmp_path, concurrency=5))
    processor = site.processor
    jobs = [await processor.schedule_job("deaf", {"seconds": 0.3}) for _ in range(12)]
    process = site.start_worker()
    await site.until_started(5)
    # From here on the log cannot grow for this one process.
    full = (path.with_name(path.name + "-wal").stat().st_size, resource.RLIM_INFINITY)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, full)

    async def complains() -> bool:
        return "settlement of" in process.log

    await eventually(complains)
    started = len(site.lines("start"))
    assert len(site.lines("end")) == started  # the handlers did end
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    settled = await site.settled(jobs, timeout=WAIT)
    assert {job.status for job in settled} == {JobStatus.FINISHED}
    assert sorted(line["job"] for line in site.lines("start")) == sorted(
        str(job.id) for job in jobs
    )
    site.assert_hooked_at_most_once()
    process.send(signal.SIGTERM)
    assert await process.wait() == 0
    assert_intact(path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=777", "tmpfs", str(disk)]
    mounted = (
        sys.platform == "linux"
        and shutil.which("mount") is not None
        and subprocess.run(command, check=False, capture_output=True).returncode == 0
    )
    if not mounted:
        pytest.skip("this user may not mount a small file system")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


async def test_a_real_disk_that_is_full(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One process schedules until nothing fits and works on: all that it took is done at last."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 800_000)
    path = small_disk / "jobs.db"
    begun, may_end = asyncio.Event(), asyncio.Event()
    async with Processors(f"sqlite:///{path}") as processors:
        processor = await processors.make(concurrency=2, **(QUICK | {"worker_timeout": 30.0}))

        @processor.job()
        async def work() -> None:
            begun.set()
            await may_end.wait()

        await processors.worker(processor)
        jobs = [await processor.schedule_job("work")]
        await begun.wait()

        async def schedule_until_full() -> None:
            while True:
                jobs.append(await processor.schedule_job("work", {"filling": "x" * 500}))

        with pytest.raises(StoreUnavailableError, match="disk is full") as caught:
            await schedule_until_full()
        assert str(path) in str(caught.value)
        may_end.set()

        async def complains() -> bool:
            return "settlement of" in caplog.text

        await eventually(complains)
        first = await processor.get_job(jobs[0].id)  # what is there can be read
        assert first is not None
        assert first.status is JobStatus.RUNNING
        ballast.unlink()
        for job in jobs:
            settled = await processor.wait_for_job(job.id, timeout=WAIT)
            assert settled.status is JobStatus.FINISHED
    assert_intact(path)
    assert list(small_disk.iterdir()) == [path]
