"""The database goes away while workers work: killed, restarted, locked for a long time."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from job_processor import Job, JobStatus
from job_processor.errors import StoreUnavailableError
from tests.acceptance.workers import Site
from tests.mongo_server import MongoServer, database_url
from tests.processors import WAIT

TIMEOUT = 1.5
"""Seconds; the `worker_timeout` of these workers."""


class Producer:
    """Schedules one job after the other, and remembers those that were acknowledged."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.acknowledged: list[Job] = []
        self.refusals = 0
        self.changed = asyncio.Condition()

    async def run(self) -> None:
        """Produce until cancelled; an error is an answer too: that job may be there or not."""
        while True:
            try:
                job = await self._site.processor.schedule_job("plain", {"seconds": 0.02})
            except StoreUnavailableError:
                self.refusals += 1
                await asyncio.sleep(0.1)
            else:
                self.acknowledged.append(job)
            async with self.changed:
                self.changed.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once `condition` holds; it is looked at after each try."""
        async with asyncio.timeout(WAIT), self.changed:
            await self.changed.wait_for(condition)


@pytest.mark.mongo
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("kills", "jobs_between"), [(3, 25), pytest.param(10, 150, marks=pytest.mark.soak)]
)
async def test_a_database_that_crashes_again_and_again_loses_nothing(
    make_site: Callable[..., Any], kills: int, jobs_between: int
) -> None:
    """SIGKILL and restart under load: what was acknowledged runs once, by the same workers."""
    with MongoServer(sync_on_commit=True) as server:
        url = database_url(server.url, "crashes") + "?serverSelectionTimeoutMS=500"
        # A restart takes a second or two, more on a busy machine: no worker is silent so long.
        site: Site = await make_site(url, worker_timeout=10)
        workers = [site.start_worker() for _ in range(2)]
        await site.until_workers(2)
        producer = Producer(site)
        producing = asyncio.create_task(producer.run())
        try:
            for _ in range(kills):
                enough, refused = len(producer.acknowledged) + jobs_between, producer.refusals
                await producer.until(lambda enough=enough: len(producer.acknowledged) >= enough)  # type: ignore[misc]
                await asyncio.to_thread(server.kill)
                await producer.until(lambda refused=refused: producer.refusals > refused)  # type: ignore[misc]
                await asyncio.to_thread(server.start)
        finally:
            producing.cancel()
        settled = await site.settled(producer.acknowledged, timeout=300)
    assert len(settled) >= kills * jobs_between
    assert [job for job in settled if job.status is not JobStatus.FINISHED] == []
    starts = [line["job"] for line in site.lines("start")]
    assert len(starts) == len(set(starts))
    assert set(starts) >= {str(job.id) for job in settled}
    site.assert_hooked_at_most_once()
    assert [worker.process.poll() for worker in workers] == [None, None]


@asynccontextmanager
async def away(db_url: str, server: MongoServer) -> AsyncIterator[None]:
    """Take the database away: kill the server, or hold the lock of the file."""
    if db_url.startswith("mongo"):
        await asyncio.to_thread(server.kill)
        yield
        await asyncio.to_thread(server.start)
    else:
        path = Path(db_url.removeprefix("sqlite:///"))
        with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            yield
            connection.execute("ROLLBACK")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("store", ["sqlite", pytest.param("mongo", marks=pytest.mark.mongo)])
@pytest.mark.parametrize("count", [4, pytest.param(10, marks=pytest.mark.soak)])
async def test_an_outage_of_three_timeouts_declares_nobody_dead(
    make_site: Callable[..., Any], store: str, tmp_path: Path, count: int
) -> None:
    """Busy workers: handlers go on, nothing is rescued, nobody spins, everything settles."""
    with MongoServer(sync_on_commit=True) as server:
        url = f"sqlite:///{tmp_path / 'jobs.db'}"
        if store == "mongo":
            url = database_url(server.url, "away") + "?serverSelectionTimeoutMS=500"
        site: Site = await make_site(url, worker_timeout=TIMEOUT, concurrency=2)
        workers = [site.start_worker() for _ in range(count)]
        await site.until_workers(count)
        # Half of them end while the database is away, half of them when it is back.
        jobs = await site.processor.schedule_jobs(
            ("deaf", {"seconds": seconds}) for seconds in [2.0, 4 * TIMEOUT] * count
        )
        await site.until_started(2 * count)
        used = [cpu_seconds(worker.pid) for worker in workers]
        async with away(url, server):
            await asyncio.sleep(3 * TIMEOUT)  # the outage
            spent = [cpu_seconds(worker.pid) for worker in workers]
        settled = await site.settled(jobs)
    assert {job.status for job in settled} == {JobStatus.FINISHED}
    assert len(site.lines("start")) == len(jobs)
    assert [worker.process.poll() for worker in workers] == [None] * count
    assert "is dead" not in "".join(worker.log for worker in workers)
    # A worker that tries again without a pause takes all that it gets of a core.
    assert max(now - before for now, before in zip(spent, used, strict=True)) < TIMEOUT
    assert max(len(worker.log.splitlines()) for worker in workers) < 60


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
