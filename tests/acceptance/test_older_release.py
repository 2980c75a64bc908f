"""A worker of the release before lanes, beside one that has limits, up and down."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from job_processor import JobDef, JobProcessor, JobStatus, Limit
from job_processor.models import SimpleJob
from tests.definitions import nothing
from tests.processors import WAIT, Processors, eventually

ROOT = Path(__file__).parents[2]
BEFORE_LANES = "e7ad3c5"
"""The last commit that knows no lanes."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of the older release."""
    command = ["git", "-C", str(ROOT), "archive", BEFORE_LANES, "src/job_processor"]
    archive = subprocess.run(command, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip("there is no history here that has the older release")
    folder = tmp_path_factory.mktemp("older")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder / "src"


class Older:
    """A worker of the older release in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.ran: list[str] = []

    async def line(self) -> str:
        """Return the next line that it prints; nothing once it has ended."""
        assert self._process.stdout is not None
        async with asyncio.timeout(WAIT):
            return (await self._process.stdout.readline()).decode().strip()

    async def runs(self, count: int) -> None:
        """Wait until it has run so many jobs."""
        while len(self.ran) < count:
            line = await self.line()
            assert line.startswith("ran "), line
            self.ran.append(line.split()[1])

    async def end(self) -> str:
        """Let it end; return what it printed since."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.stdout is not None
        async with asyncio.timeout(WAIT):
            rest = await self._process.stdout.read()
            await self._process.wait()
        return rest.decode()


@asynccontextmanager
async def older_worker(sources: Path, url: str) -> AsyncIterator[Older]:
    """Run a worker of the older release for the time of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "tests" / "acceptance" / "older_worker.py"),
        url,
        env={"PYTHONPATH": str(sources), "PATH": "/usr/bin:/bin"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    worker = Older(process)
    try:
        yield worker
    finally:
        await worker.end()


class Inside:
    """How many jobs are inside of a handler at the same time."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def visit(self, payload: Any) -> None:
        """Be inside for a moment."""
        del payload
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1


def limited(inside: Inside) -> dict[str, JobDef]:
    """Return definitions, one of them with a limit."""

    async def sync(payload: Any) -> None:
        await inside.visit(payload)

    return {"sync": JobDef(sync, limit=Limit(1, key="tenant")), "plain": JobDef(sync)}


async def schedule(processor: JobProcessor) -> tuple[list[SimpleJob], list[SimpleJob]]:
    """Schedule jobs of a lane, and plain ones behind them."""
    in_lane = await processor.schedule_jobs([("sync", {"tenant": "a"}) for _ in range(20)])
    return in_lane, await processor.schedule_jobs([("plain", {}) for _ in range(5)])


async def statuses(processor: JobProcessor, jobs: list[SimpleJob]) -> set[JobStatus]:
    """Return the states of jobs."""
    found = [await processor.get_job(job.id) for job in jobs]
    return {job.status for job in found if job is not None}


async def all_finished(processor: JobProcessor, jobs: list[SimpleJob]) -> None:
    """Wait until jobs have finished."""

    async def finished() -> bool:
        return await statuses(processor, jobs) == {JobStatus.FINISHED}

    await eventually(finished)


async def test_an_older_worker_never_claims_a_job_of_a_lane(
    processors: Processors, older: Path
) -> None:
    """On the way up: it goes on with plain jobs, and leaves those of lanes to who knows them."""
    inside = Inside()
    async with older_worker(older, processors.db_url) as worker:
        assert await worker.line() == "works"
        processor = await processors.make(jobs=limited(inside))
        in_lane, plain = await schedule(processor)
        await worker.runs(len(plain))
        await all_finished(processor, plain)
        assert await statuses(processor, in_lane) == {JobStatus.PENDING}
        newer, _ = await processors.start(jobs=limited(inside), concurrency=8)
        await all_finished(newer, in_lane)
        await schedule(newer)
        assert "sync" not in worker.ran
        assert "ran sync" not in await worker.end()
    assert inside.most >= 1


async def test_an_older_worker_that_comes_later_claims_none(
    processors: Processors, older: Path
) -> None:
    """On the way down: SQLite refuses it with a sentence, on MongoDB it leaves lanes alone."""
    inside = Inside()
    processor = await processors.make(jobs=limited(inside))
    in_lane, plain = await schedule(processor)
    async with older_worker(older, processors.db_url) as worker:
        if processors.db_url.startswith("sqlite"):
            told = await worker.end()
            assert "written by a newer job-processor" in told
            assert "update this installation" in told
            return
        assert await worker.line() == "works"
        await worker.runs(len(plain))
        await all_finished(processor, plain)
        assert set(worker.ran) == {"plain"}
        assert await statuses(processor, in_lane) == {JobStatus.PENDING}
    await processors.start(jobs=limited(inside), concurrency=8)
    await all_finished(processor, in_lane)
    assert inside.most == 1


async def test_what_an_older_worker_ends_is_released(processors: Processors, older: Path) -> None:
    """It knows nothing of who comes after a job, and never claims one that waits; a sweep heals."""
    ran: list[str] = []

    async def child(payload: Any) -> None:
        ran.append(payload["as"])

    jobs = {"plain": JobDef(None), "child": JobDef(child)}
    async with older_worker(older, processors.db_url) as worker:
        assert await worker.line() == "works"
        processor = await processors.make(jobs=jobs)
        soon = timedelta(seconds=1)  # a job is followed before the older worker begins it
        parent = await processor.schedule_job("plain", {}, soon)
        waiting = await processor.schedule_job("child", {"as": "a"}, after=parent)
        await worker.runs(1)
        await all_finished(processor, [parent])
        assert await statuses(processor, [waiting]) == {JobStatus.PENDING}
        newer, _ = await processors.start(jobs={"child": JobDef(child)})
        await all_finished(newer, [waiting])
    assert ran == ["a"]


async def test_what_an_older_worker_settles_leaves_no_group_open(
    processors: Processors, older: Path
) -> None:
    """It runs members of groups, which it does not know; the sweep of a newer one ends them."""
    jobs = {**limited(Inside()), "zip": JobDef(nothing)}
    async with older_worker(older, processors.db_url) as worker:
        assert await worker.line() == "works"
        processor = await processors.make(jobs=jobs)
        async with processor.group(then="zip") as group:
            members = [await group.add("plain", {}) for _ in range(5)]
        await worker.runs(len(members))
        await all_finished(processor, members)
        assert not (await group.info()).is_over
    await processors.start(jobs=jobs)
    info = await group.wait(timeout=WAIT)
    assert (info.status, info.counts.finished) == ("finished", 5)
    assert info.callback_id is not None
    assert (await processor.wait_for_job(info.callback_id, WAIT)).status is JobStatus.FINISHED
