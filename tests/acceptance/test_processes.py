"""Real worker processes under real signals, on both stores."""

from __future__ import annotations

import asyncio
import random
import signal
import time

import pytest

from job_processor import JobStatus, SimpleJob
from tests.acceptance.workers import Site, WorkerProcess
from tests.processors import WAIT

pytestmark = pytest.mark.timeout(300)

mongo_at_length = pytest.mark.parametrize(
    "db_url",
    ["sqlite", pytest.param("mongo", marks=[pytest.mark.mongo, pytest.mark.soak])],
    indirect=True,
)

"""For what takes long and has little to do with the store."""


async def test_sigkill_at_random_loses_nothing(site: Site, db_url: str) -> None:
    """Workers are killed while they work: all jobs settle, no run overlaps, hooks at most once."""
    count = 120 if db_url.startswith("mongo") else 300
    for _ in range(4):
        site.start_worker()
    jobs = await site.processor.schedule_jobs(
        (("resumable", "retried")[i % 2], {"seconds": 0.05}) for i in range(count)
    )
    for _ in range(5):
        await site.until_started(min(len(site.lines("start")) + count // 12, count))
        kill_one(site)
        site.start_worker()
    await assert_sound(site, jobs, timeout=4 * WAIT)


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_sigkill_each_second_loses_nothing(site: Site, db_url: str) -> None:
    """The long form: 2,000 jobs, half of them resumable, one of four workers killed each second."""
    count = 500 if db_url.startswith("mongo") else 2000  # that server reads every match
    for _ in range(4):
        site.start_worker()
    jobs = await site.processor.schedule_jobs(
        (("resumable", "retried")[i % 2], {"seconds": 0.1}) for i in range(count)
    )
    settling = asyncio.create_task(assert_sound(site, jobs, timeout=800))
    while not settling.done():
        await asyncio.wait([settling], timeout=1)
        kill_one(site)
        site.start_worker()
    await settling


def kill_one(site: Site) -> None:
    """Kill a random one of the living workers."""
    random.choice([each for each in site.workers if each.ended_at is None]).kill()


async def assert_sound(site: Site, jobs: list[SimpleJob], timeout: float) -> None:
    """Nothing is lost or left running, no two runs of a job overlap, no hook came twice."""
    settled = await site.settled(jobs, timeout)
    poisoned = [job for job in settled if job.status is not JobStatus.FINISHED]
    assert all(job.crashes >= 3 for job in poisoned)
    await site.assert_nothing_runs(jobs)
    site.assert_no_overlap()
    site.assert_hooked_at_most_once()


async def test_sigterm_pauses_resumes_and_finishes(site: Site) -> None:
    """Resumable handlers are paused and resumed elsewhere, short others finish, in the grace."""
    worker = site.start_worker(concurrency=50)
    short = await site.processor.schedule_jobs(("deaf", {"seconds": 0.5}) for _ in range(15))
    until = site.folder / "released"
    resumable = await site.processor.schedule_jobs(
        ("resumable", {"until": str(until)}) for _ in range(15)
    )
    long = await site.processor.schedule_jobs(("deaf", {"seconds": 60}) for _ in range(5))
    await site.until_started(35)
    worker.send(signal.SIGTERM)
    assert await worker.wait() == 0, worker.log
    for job in short:
        assert (await site.processor.get_job(job.id)).status is JobStatus.FINISHED  # type: ignore[union-attr]  # it is there
    for job in long:
        found = await site.processor.get_job(job.id)
        assert found is not None
        assert found.status is JobStatus.ERRORED
        assert found.output is not None
        assert found.output.error == "Interrupted"
    for job in resumable:
        assert (await site.processor.get_job(job.id)).status is JobStatus.PAUSED  # type: ignore[union-attr]  # it is there
    assert (await site.processor.get_healthcheck())["workers"] == []
    until.touch()
    site.start_worker(concurrency=50)
    assert {job.status for job in await site.settled(resumable)} == {JobStatus.FINISHED}
    site.assert_no_overlap()


@pytest.mark.soak
@pytest.mark.timeout(300)
async def test_sigterm_with_handlers_of_all_lengths(site: Site) -> None:
    """The long form: fifty handlers of 0.1 to 60 s, half of them resumable, a grace of 20 s."""
    options = {"shutdown_grace": 20, "kill_grace": 2, "concurrency": 50}
    worker = site.start_worker(**options)
    lengths = [0.1 * 600 ** (i / 24) for i in range(25)]
    resumable = await site.processor.schedule_jobs(
        ("resumable", {"seconds": each}) for each in lengths
    )
    plain = await site.processor.schedule_jobs(("deaf", {"seconds": each}) for each in lengths)
    await site.until_started(50)
    began = time.monotonic()
    worker.send(signal.SIGTERM)
    assert await worker.wait() == 0, worker.log
    assert time.monotonic() - began < 20 + 2 + 5 + 15
    for job, seconds in zip(await site.settled(plain, 1), lengths, strict=True):
        if seconds < 18:
            assert job.status is JobStatus.FINISHED
        elif seconds > 25:
            assert job.status is JobStatus.ERRORED
    site.start_worker(**options)
    assert {job.status for job in await site.settled(resumable, 120)} == {JobStatus.FINISHED}
    site.assert_no_overlap()


async def test_a_second_sigint_forces(site: Site) -> None:
    """The first SIGINT waits for the running handler, the second cancels it."""
    worker = site.start_worker(shutdown_grace=100, kill_grace=100)
    job = await site.processor.schedule_job("deaf", {"seconds": 60})
    await site.until_started(1)
    worker.send(signal.SIGINT)
    await asyncio.to_thread(_until_logged, worker, "stop")
    worker.send(signal.SIGINT)
    assert await worker.wait() in (0, 1, 130), worker.log
    (settled,) = await site.settled([job])
    assert settled.status is JobStatus.ERRORED


@mongo_at_length
async def test_a_blocked_event_loop_is_not_a_death(site: Site) -> None:
    """A handler that blocks the loop for three timeouts is not run a second time."""
    site.start_worker()
    site.start_worker()
    await site.until_workers(2)
    job = await site.processor.schedule_job("blocker", {"seconds": 4.5})
    (settled,) = await site.settled([job])
    assert settled.status is JobStatus.FINISHED
    assert len(site.lines("start")) == 1


async def test_a_frozen_worker_settles_nothing_when_it_wakes(site: Site) -> None:
    """SIGSTOP for three timeouts: its jobs run elsewhere; on SIGCONT it writes nothing of them."""
    frozen = site.start_worker(concurrency=2)
    until = site.folder / "released"
    jobs = await site.processor.schedule_jobs(
        ("resumable", {"until": str(until)}) for _ in range(2)
    )
    await site.until_started(2)
    await site.stop_still(frozen)
    until.touch()
    site.start_worker()
    settled = await site.settled(jobs)
    assert [job.status for job in settled] == [JobStatus.FINISHED] * 2
    frozen.send(signal.SIGCONT)
    await asyncio.to_thread(_until_logged, frozen, "registering again")
    assert [await site.processor.get_job(job.id) for job in jobs] == settled
    again = await site.processor.schedule_job("plain")
    await site.settled([again])
    site.assert_hooked_at_most_once()
    frozen.send(signal.SIGTERM)
    assert await frozen.wait() == 0, frozen.log


@mongo_at_length
async def test_a_job_that_kills_its_worker_ends_after_three(site: Site) -> None:
    """A poison job takes three workers down and is errored then, though it is resumable."""
    job = await site.processor.schedule_job("poison")
    for number in range(1, 4):
        victim = site.start_worker()
        await site.until_started(number)
        assert await victim.wait() == 9
    site.start_worker()
    (settled,) = await site.settled([job])
    assert settled.status is JobStatus.ERRORED
    assert settled.output is not None
    assert settled.output.error == "crashed its worker 3 times"
    assert len(site.lines("start")) == 3


@pytest.mark.parametrize("state", ["waiting", "running", "frozen", "dead"])
async def test_a_kill_reaches_a_job_in_every_state(site: Site, state: str) -> None:
    """From another process, with the worker alive, frozen or dead: the job ends killed."""
    if state == "waiting":
        job = await site.processor.schedule_job("resumable", {"seconds": 60})
        assert (await site.processor.kill_job(job.id)).status is JobStatus.KILLED
        return
    worker = site.start_worker()
    job = await site.processor.schedule_job("resumable", {"seconds": 60})
    await site.until_started(1)
    if state == "frozen":
        await site.stop_still(worker)
    elif state == "dead":
        worker.kill()
    await site.processor.kill_job(job.id)
    if state != "running":
        site.start_worker()
    (settled,) = await site.settled([job])
    assert settled.status is JobStatus.KILLED
    assert len(site.lines("start")) == 1


@mongo_at_length
async def test_a_thread_that_hangs_does_not_hold_up_the_end(site: Site) -> None:
    """At shutdown a hung resumable run is left to the rescue, and the process leaves anyway."""
    worker = site.start_worker(shutdown_grace=0.2, kill_grace=0.2)
    until = site.folder / "released"
    stuck = await site.processor.schedule_job("thread_resumable", {"until": str(until)})
    errored = await site.processor.schedule_job("thread", {"until": str(until)})
    await site.until_started(2)
    worker.send(signal.SIGTERM)
    await worker.wait()
    until.touch()
    (settled,) = await site.settled([errored])
    assert settled.status is JobStatus.ERRORED
    found = await site.processor.get_job(stuck.id)
    assert found is not None
    assert found.status is JobStatus.RUNNING
    site.start_worker()
    (resumed,) = await site.settled([stuck])
    assert resumed.status is JobStatus.FINISHED
    site.assert_no_overlap()


@mongo_at_length
async def test_a_worker_whose_clock_is_wrong_kills_nobody(site: Site) -> None:
    """Ten minutes off: no running worker is declared dead, jobs run."""
    site.start_worker()
    site.start_worker(clock_skew=600)
    await site.until_workers(2)
    jobs = await site.processor.schedule_jobs(("deaf", {"seconds": 3}) for _ in range(20))
    settled = await site.settled(jobs)
    assert {job.status for job in settled} == {JobStatus.FINISHED}
    assert len(site.lines("start")) == 20
    assert "dead" not in "".join(worker.log for worker in site.workers)


def _until_logged(worker: WorkerProcess, text: str) -> None:
    end = time.monotonic() + WAIT
    while text not in worker.log:
        assert time.monotonic() < end, f"{text!r} is not in: {worker.log}"
        time.sleep(0.02)  # the log is a file that another process writes
