"""Kills: at once for what waits, a request for what runs, kept until it is acknowledged."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from bson import ObjectId

from job_processor.models import WAITING, JobStatus, Output
from job_processor.store import Store
from tests.samples import (
    NOW,
    OTHER_WORKER,
    SECOND,
    UNKNOWN,
    WORKER,
    claim,
    cron,
    end,
    occurrence,
    read,
    retry,
    run,
    simple,
)

KILLED_AT = NOW + SECOND


async def test_a_waiting_job_is_killed_at_once(store: Store) -> None:
    """Pending or paused → killed, with its end; all else stays. The job is returned as written."""
    paused = simple(status=JobStatus.PAUSED, started_at=NOW, output=Output("1 s", {"done": 1}))
    for job in (simple(payload={"a": 1}), paused, occurrence(), simple(scheduled_for=KILLED_AT)):
        await store.intake.insert([job])
        killed = await store.kills.kill_waiting(job.id, KILLED_AT)
        assert killed == replace(
            job, status=JobStatus.KILLED, updated_at=KILLED_AT, ended_at=KILLED_AT
        )
        assert await read(store, job) == [killed]
    assert await store.queue.claim(claim(10)) == []


async def test_a_job_that_does_not_wait_is_not_killed(store: Store) -> None:
    """A running or settled job is left alone."""
    for status in sorted(set(JobStatus) - WAITING - {JobStatus.ACTIVE}):
        job = simple(status=status, worker_id=WORKER)
        await store.intake.insert([job])
        assert await store.kills.kill_waiting(job.id, KILLED_AT) is None
        assert await read(store, job) == [job]


async def test_a_second_kill_changes_nothing(store: Store) -> None:
    """Only the first kill returns the job; its end is that of the first."""
    job = simple()
    await store.intake.insert([job])
    killed = await store.kills.kill_waiting(job.id, KILLED_AT)
    assert await store.kills.kill_waiting(job.id, KILLED_AT + SECOND) is None
    assert await read(store, job) == [killed]


async def test_what_is_no_job_is_not_killed(store: Store) -> None:
    """Neither an unknown id nor that of a cron is killed."""
    await store.crons.create(cron())
    assert await store.kills.kill_waiting(UNKNOWN, KILLED_AT) is None
    assert await store.kills.kill_waiting(cron().id, KILLED_AT) is None
    assert await store.crons.all() == [cron()]


async def test_a_kill_frees_an_exclusive_name(store: Store) -> None:
    """A killed job is in nobody's way."""
    job, another = simple(exclusive=True), simple(exclusive=True)
    await store.intake.insert([job])
    assert await store.intake.insert([another]) == [another]
    await store.kills.kill_waiting(job.id, KILLED_AT)
    assert await store.intake.insert([another]) == []


async def test_a_retry_that_waits_can_be_killed(store: Store) -> None:
    """A job that was put back waits like any other."""
    (job,) = await run(store, simple())
    await store.runs.settle([retry(job)])
    killed = await store.kills.kill_waiting(job.id, KILLED_AT)
    assert killed is not None
    assert (killed.status, killed.attempt) == (JobStatus.KILLED, 2)


async def test_a_request_is_found_by_its_job(store: Store) -> None:
    """Of the jobs asked about, those are returned that somebody asked to kill."""
    killed, other = await run(store, simple(), simple())
    assert await store.kills.requested([killed.id, other.id]) == set()
    await store.kills.request(killed.id, WORKER, NOW)
    assert await store.kills.requested([killed.id, other.id, UNKNOWN]) == {killed.id}
    assert await store.kills.requested([other.id]) == set()
    assert await store.kills.requested([]) == set()
    assert await read(store, killed) == [killed]


async def test_two_requests_are_acknowledged_as_one(store: Store) -> None:
    """Asking twice, or with another worker's id, is harmless."""
    (job,) = await run(store, simple())
    for worker_id in (WORKER, WORKER, OTHER_WORKER):
        await store.kills.request(job.id, worker_id, NOW)
    assert await store.kills.requested([job.id]) == {job.id}
    await store.runs.settle([end(job, JobStatus.KILLED)])
    await store.kills.acknowledge([job.id])
    assert await store.kills.requested([job.id]) == set()


async def test_a_request_stands_while_its_job_is_active(store: Store) -> None:
    """What is pending, running or paused cannot be acknowledged, however often it is tried."""
    paused, again, running = await run(store, simple(), simple(), simple())
    await store.runs.settle([end(paused, JobStatus.PAUSED), retry(again)])
    ids = {paused.id, again.id, running.id}
    for job_id in ids:
        await store.kills.request(job_id, WORKER, NOW)
    await store.kills.acknowledge(ids)
    assert await store.kills.requested(ids) == ids


async def test_a_request_of_a_new_run_is_not_that_of_the_old(store: Store) -> None:
    """Acknowledged late, after the job was retried and killed again: the second request stands."""
    (job,) = await run(store, simple())
    await store.kills.request(job.id, WORKER, NOW)
    await store.runs.settle([end(job, JobStatus.KILLED)])
    await store.kills.acknowledge([job.id])
    assert await store.history.requeue(job.id, NOW) is not None
    await store.queue.claim(claim(1))
    await store.kills.request(job.id, WORKER, NOW)
    await store.kills.acknowledge([job.id])
    assert await store.kills.requested([job.id]) == {job.id}


async def test_a_request_stands_however_old_it_is(store: Store) -> None:
    """No time takes away a request of a job that is active; a prune takes those that are done."""
    running, ended, gone = await run(store, simple(), simple(), simple())
    for job in (running, ended, gone):
        await store.kills.request(job.id, WORKER, NOW - timedelta(days=30))
    await store.runs.settle([end(ended, JobStatus.FINISHED), end(gone, JobStatus.FINISHED)])
    await store.history.delete([gone.id])
    await store.history.prune(NOW - timedelta(days=300), 100)
    ids = {running.id, ended.id, gone.id}
    assert await store.kills.requested(ids) == {running.id}


async def test_what_runs_under_nobody_is_killed_at_once(store: Store) -> None:
    """Another writer left it `running` without a worker, whom nobody would ever ask."""
    job = simple(status=JobStatus.RUNNING, started_at=NOW)
    await store.intake.insert([job])
    killed = await store.kills.kill_waiting(job.id, KILLED_AT)
    assert killed is not None
    assert (killed.status, killed.ended_at) == (JobStatus.KILLED, KILLED_AT)


async def test_what_waits_with_a_worker_is_killed_at_once(store: Store) -> None:
    """Its state decides, whatever another writer left as its worker."""
    job = simple(worker_id=OTHER_WORKER)
    await store.intake.insert([job])
    killed = await store.kills.kill_waiting(job.id, KILLED_AT)
    assert killed is not None
    assert killed.status is JobStatus.KILLED


async def test_only_the_requests_of_given_jobs_are_acknowledged(store: Store) -> None:
    """A request stands until its own job is acknowledged; one that has none is no matter."""
    first, second = ObjectId(), ObjectId()
    for job_id in (first, second):
        await store.kills.request(job_id, WORKER, NOW)
    await store.kills.acknowledge([])
    await store.kills.acknowledge([UNKNOWN])
    assert await store.kills.requested([first, second]) == {first, second}
    await store.kills.acknowledge([first, UNKNOWN])
    await store.kills.acknowledge([first])
    assert await store.kills.requested([first, second]) == {second}


async def test_a_request_after_an_acknowledged_one_stands(store: Store) -> None:
    """A job that runs again can be killed again."""
    job_id = ObjectId()
    for _ in range(2):
        await store.kills.request(job_id, WORKER, NOW)
        assert await store.kills.requested([job_id]) == {job_id}
        await store.kills.acknowledge([job_id])
        assert await store.kills.requested([job_id]) == set()


async def test_a_request_survives_what_becomes_of_its_run(store: Store) -> None:
    """Moved, paused or put back, the job is still asked to be killed."""
    moved, paused, again = await run(store, simple(), simple(), simple())
    for job in (moved, paused, again):
        await store.kills.request(job.id, WORKER, NOW)
    await store.runs.settle([end(paused, JobStatus.PAUSED), retry(again)])
    await store.runs.move(WORKER, OTHER_WORKER)
    await store.workers.unregister(WORKER)
    ids = {moved.id, paused.id, again.id}
    assert await store.kills.requested(ids) == ids
