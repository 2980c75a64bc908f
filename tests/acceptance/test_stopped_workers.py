"""A worker that stood still for longer than its timeout wakes up: its runs are others' by then."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from job_processor import Job, JobStatus
from tests.acceptance.workers import Site, WorkerProcess
from tests.processors import WAIT

TIMEOUT = 1.0  # seconds without a heartbeat after which a worker is dead
OPTIONS = {"heartbeat_interval": 0.2, "worker_timeout": TIMEOUT, "concurrency": 1}

rounds = pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(3, marks=pytest.mark.timeout(300)),
        pytest.param(200, marks=[pytest.mark.soak, pytest.mark.timeout(3000)]),
    ],
)


@rounds
@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("others", ["free", "busy"])
async def test_one_handler_at_a_time(
    make_site: Callable[..., Any], db_url: str, others: str, rounds: int
) -> None:
    """SIGSTOP for three timeouts, SIGCONT: no process has two handlers of a job, no slot is lost.

    Where another worker is free it takes the run up; else the one that woke up does, once its own
    first handler has ended.
    """
    site: Site = await make_site(db_url, **OPTIONS)
    for _ in range(2):
        site.start_worker()
    await site.until_workers(2)
    await asyncio.sleep(1.5 * TIMEOUT)  # from then on a rescuer trusts its own heartbeats
    blockers: list[Job] = []
    for _ in range(rounds):
        if others == "busy" and not blockers:
            blockers += await site.processor.schedule_jobs([("deaf", {"seconds": 3000})])
            await site.until_started(1)
        await stand_still(site, others)
    await assert_both_have_their_slot(site, blockers)


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
async def test_a_process_that_stands_in_the_middle_of_a_write(
    make_site: Callable[..., Any], db_url: str
) -> None:
    """It holds the lock of the file for four timeouts: everybody waits, and nobody is dead.

    Runs that end meanwhile are written once it goes on; none is run again, no crash is counted.
    """
    site: Site = await make_site(db_url, **OPTIONS)
    for _ in range(2):
        site.start_worker()
    await site.until_workers(2)
    jobs = await site.processor.schedule_jobs([("deaf_resumable", {"seconds": 1.0})] * 2)
    await site.until_started(2)
    script = (
        "import os, signal, sqlite3, sys\n"
        "file = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)\n"
        "file.execute('BEGIN IMMEDIATE')\n"
        "print('locked', flush=True)\n"
        "os.kill(os.getpid(), signal.SIGSTOP)\n"
    )
    standing = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script, db_url.removeprefix("sqlite:///")),
        stdout=asyncio.subprocess.PIPE,
    )
    assert standing.stdout is not None
    assert await standing.stdout.readline() == b"locked\n"
    await asyncio.sleep(4 * TIMEOUT)
    assert len(site.lines("end")) == 2, "the handlers went on"
    standing.send_signal(signal.SIGCONT)
    assert await standing.wait() == 0
    for done in await site.settled(jobs):
        assert (done.status, done.attempt, done.crashes) == (JobStatus.FINISHED, 1, 0)
    assert len(site.lines("start")) == 2
    assert not any("registering again" in worker.log for worker in site.workers)


async def stand_still(site: Site, others: str) -> None:
    """Stop whoever runs a job for three timeouts, and let it go on."""
    before = len(site.lines("start"))
    (job,) = await site.processor.schedule_jobs([("deaf_resumable", {"seconds": 1.0})])
    holder = worker_of(site, (await site.until_started(before + 1))[-1]["pid"])
    await site.stop_still(holder)
    async with asyncio.timeout(WAIT):
        await asyncio.sleep(3 * TIMEOUT)
        while (await there(site, job)).crashes == 0 and not (await there(site, job)).settled:  # noqa: ASYNC110  # another process rescues
            await asyncio.sleep(0.02)
    woke = time.time()
    holder.send(signal.SIGCONT)
    (done,) = await site.settled([job])
    assert (done.status, done.attempt) == (JobStatus.FINISHED, 1)

    async with asyncio.timeout(WAIT):  # the handler of the one that woke up is cancelled
        while any(span.end is None for span in site.spans()[str(job.id)]):  # noqa: ASYNC110  # it writes a file
            await asyncio.sleep(0.02)
    first, *rest = site.spans()[str(job.id)]
    assert len(rest) == 1, "it is run again, once"
    assert first.end is not None
    assert first.end - woke < 30
    if rest[0].pid == first.pid:
        assert rest[0].start >= first.end
    else:
        assert others == "free"


async def assert_both_have_their_slot(site: Site, blockers: list[Job]) -> None:
    """Each worker runs one job, no more and no less."""
    for blocker in blockers:
        await site.processor.kill_job(blocker.id)
    await site.settled(blockers)
    before = len(site.lines("start"))
    jobs = await site.processor.schedule_jobs([("deaf", {"seconds": 3.0})] * 3)
    lines = await site.until_started(before + 2)
    assert {line["pid"] for line in lines[before:]} == {worker.pid for worker in site.workers}
    for done in await site.settled(jobs):
        assert done.status is JobStatus.FINISHED
    assert len(site.lines("start")) == before + 3


async def there(site: Site, job: Job) -> Job:
    """Return a job as it stands."""
    found = await site.processor.get_job(job.id)
    assert found is not None
    return found


def worker_of(site: Site, pid: int) -> WorkerProcess:
    """Return the worker with this process id."""
    return next(worker for worker in site.workers if worker.pid == pid)
