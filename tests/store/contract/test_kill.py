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
        await store.insert([job])
        killed = await store.kill_waiting(job.id, KILLED_AT)
        assert killed == replace(
            job, status=JobStatus.KILLED, updated_at=KILLED_AT, ended_at=KILLED_AT
        )
        assert await read(store, job) == [killed]
    assert await store.claim(claim(10)) == []


async def test_a_job_that_does_not_wait_is_not_killed(store: Store) -> None:
    """A running or settled job is left alone."""
    for status in sorted(set(JobStatus) - WAITING - {JobStatus.ACTIVE}):
        job = simple(status=status, worker_id=WORKER)
        await store.insert([job])
        assert await store.kill_waiting(job.id, KILLED_AT) is None
        assert await read(store, job) == [job]


async def test_a_second_kill_changes_nothing(store: Store) -> None:
    """Only the first kill returns the job; its end is that of the first."""
    job = simple()
    await store.insert([job])
    killed = await store.kill_waiting(job.id, KILLED_AT)
    assert await store.kill_waiting(job.id, KILLED_AT + SECOND) is None
    assert await read(store, job) == [killed]


async def test_what_is_no_job_is_not_killed(store: Store) -> None:
    """Neither an unknown id nor that of a cron is killed."""
    await store.create_cron(cron())
    assert await store.kill_waiting(UNKNOWN, KILLED_AT) is None
    assert await store.kill_waiting(cron().id, KILLED_AT) is None
    assert await store.crons() == [cron()]


async def test_a_kill_frees_an_exclusive_name(store: Store) -> None:
    """A killed job is in nobody's way."""
    job, another = simple(exclusive=True), simple(exclusive=True)
    await store.insert([job])
    assert await store.insert([another]) == [another]
    await store.kill_waiting(job.id, KILLED_AT)
    assert await store.insert([another]) == []


async def test_a_retry_that_waits_can_be_killed(store: Store) -> None:
    """A job that was put back waits like any other."""
    (job,) = await run(store, simple())
    await store.settle([retry(job)])
    killed = await store.kill_waiting(job.id, KILLED_AT)
    assert killed is not None
    assert (killed.status, killed.attempt) == (JobStatus.KILLED, 2)


async def test_a_request_is_found_by_its_job(store: Store) -> None:
    """Of the jobs asked about, those are returned that somebody asked to kill."""
    killed, other = await run(store, simple(), simple())
    assert await store.kill_requests([killed.id, other.id]) == set()
    await store.request_kill(killed.id, WORKER, NOW)
    assert await store.kill_requests([killed.id, other.id, UNKNOWN]) == {killed.id}
    assert await store.kill_requests([other.id]) == set()
    assert await store.kill_requests([]) == set()
    assert await read(store, killed) == [killed]


async def test_two_requests_are_acknowledged_as_one(store: Store) -> None:
    """Asking twice, or with another worker's id, is harmless."""
    (job,) = await run(store, simple())
    for worker_id in (WORKER, WORKER, OTHER_WORKER):
        await store.request_kill(job.id, worker_id, NOW)
    assert await store.kill_requests([job.id]) == {job.id}
    await store.settle([end(job, JobStatus.KILLED)])
    await store.acknowledge_kills([job.id])
    assert await store.kill_requests([job.id]) == set()


async def test_a_request_stands_while_its_job_is_active(store: Store) -> None:
    """What is pending, running or paused cannot be acknowledged, however often it is tried."""
    paused, again, running = await run(store, simple(), simple(), simple())
    await store.settle([end(paused, JobStatus.PAUSED), retry(again)])
    ids = {paused.id, again.id, running.id}
    for job_id in ids:
        await store.request_kill(job_id, WORKER, NOW)
    await store.acknowledge_kills(ids)
    assert await store.kill_requests(ids) == ids


async def test_a_request_of_a_new_run_is_not_that_of_the_old(store: Store) -> None:
    """Acknowledged late, after the job was retried and killed again: the second request stands."""
    (job,) = await run(store, simple())
    await store.request_kill(job.id, WORKER, NOW)
    await store.settle([end(job, JobStatus.KILLED)])
    await store.acknowledge_kills([job.id])
    assert await store.requeue(job.id, NOW) is not None
    await store.claim(claim(1))
    await store.request_kill(job.id, WORKER, NOW)
    await store.acknowledge_kills([job.id])
    assert await store.kill_requests([job.id]) == {job.id}


async def test_a_request_stands_however_old_it_is(store: Store) -> None:
    """No time takes away a request of a job that is active; a prune takes those that are done."""
    running, ended, gone = await run(store, simple(), simple(), simple())
    for job in (running, ended, gone):
        await store.request_kill(job.id, WORKER, NOW - timedelta(days=30))
    await store.settle([end(ended, JobStatus.FINISHED), end(gone, JobStatus.FINISHED)])
    await store.delete([gone.id])
    await store.prune(NOW - timedelta(days=300), 100)
    ids = {running.id, ended.id, gone.id}
    assert await store.kill_requests(ids) == {running.id}


async def test_what_runs_under_nobody_is_killed_at_once(store: Store) -> None:
    """Another writer left it `running` without a worker, whom nobody would ever ask."""
    job = simple(status=JobStatus.RUNNING, started_at=NOW)
    await store.insert([job])
    killed = await store.kill_waiting(job.id, KILLED_AT)
    assert killed is not None
    assert (killed.status, killed.ended_at) == (JobStatus.KILLED, KILLED_AT)


async def test_what_waits_with_a_worker_is_killed_at_once(store: Store) -> None:
    """Its state decides, whatever another writer left as its worker."""
    job = simple(worker_id=OTHER_WORKER)
    await store.insert([job])
    killed = await store.kill_waiting(job.id, KILLED_AT)
    assert killed is not None
    assert killed.status is JobStatus.KILLED


async def test_only_the_requests_of_given_jobs_are_acknowledged(store: Store) -> None:
    """A request stands until its own job is acknowledged; one that has none is no matter."""
    first, second = ObjectId(), ObjectId()
    for job_id in (first, second):
        await store.request_kill(job_id, WORKER, NOW)
    await store.acknowledge_kills([])
    await store.acknowledge_kills([UNKNOWN])
    assert await store.kill_requests([first, second]) == {first, second}
    await store.acknowledge_kills([first, UNKNOWN])
    await store.acknowledge_kills([first])
    assert await store.kill_requests([first, second]) == {second}


async def test_a_request_after_an_acknowledged_one_stands(store: Store) -> None:
    """A job that runs again can be killed again."""
    job_id = ObjectId()
    for _ in range(2):
        await store.request_kill(job_id, WORKER, NOW)
        assert await store.kill_requests([job_id]) == {job_id}
        await store.acknowledge_kills([job_id])
        assert await store.kill_requests([job_id]) == set()


async def test_a_request_survives_what_becomes_of_its_run(store: Store) -> None:
    """Moved, paused or put back, the job is still asked to be killed."""
    moved, paused, again = await run(store, simple(), simple(), simple())
    for job in (moved, paused, again):
        await store.request_kill(job.id, WORKER, NOW)
    await store.settle([end(paused, JobStatus.PAUSED), retry(again)])
    await store.move_runs(WORKER, OTHER_WORKER)
    await store.unregister(WORKER)
    ids = {moved.id, paused.id, again.id}
    assert await store.kill_requests(ids) == ids
