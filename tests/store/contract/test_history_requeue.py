"""A settled job is retried by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from job_processor import Attempt, CronTask, JobConflictError, JobStatus
from job_processor.models import SETTLED, SimpleJob
from job_processor.store import Store
from tests.samples import (
    MS,
    NOW,
    RESULT,
    SECOND,
    UNKNOWN,
    WORKER,
    claim,
    cron,
    end,
    occurrence,
    read,
    run,
    settled,
    simple,
)

AGAIN = NOW + 5 * SECOND
FAILED = Attempt(1, NOW, NOW + SECOND, "ValueError: no", WORKER)


@pytest.mark.parametrize("status", sorted(SETTLED))
async def test_a_settled_job_waits_again(store: Store, status: JobStatus) -> None:
    """As if it had never run, but for its history of attempts; it is returned as written."""
    fields: dict[str, Any] = {
        "status": status,
        "started_at": NOW,
        "ended_at": NOW,
        "worker_id": WORKER,
        "output": RESULT,
        "attempt": 3,
        "crashes": 2,
        "attempts": (FAILED,),
        "sync": True,
        "expires_at": NOW,
        "payload": {"a": 1},
    }
    job = simple(**fields)
    await store.intake.insert([job])
    waiting = await store.history.requeue(job.id, AGAIN)
    assert waiting == replace(
        simple(id=job.id, payload={"a": 1}, attempts=(FAILED,)),
        scheduled_for=AGAIN,
        updated_at=AGAIN,
    )
    assert await read(store, job) == [waiting]
    (again,) = await store.queue.claim(claim(now=AGAIN))
    assert isinstance(again, SimpleJob)
    assert not again.ran_before
    assert (await store.runs.settle([end(again)])).won == {job.id}


async def test_an_occurrence_keeps_its_planned_time(store: Store) -> None:
    """Also when it goes round a third time."""
    (task,) = await run(store, occurrence())
    for _ in range(2):
        await store.runs.settle([end(task, JobStatus.ERRORED)])
        waiting = await store.history.requeue(task.id, AGAIN)
        assert isinstance(waiting, CronTask)
        assert (waiting.scheduled_for, waiting.planned_for) == (AGAIN, NOW)
        (task,) = await store.queue.claim(claim(now=AGAIN))


async def test_what_is_not_settled_stays(store: Store) -> None:
    """A waiting or running job, an unknown id, and a cron."""
    for status in (JobStatus.PENDING, JobStatus.PAUSED, JobStatus.RUNNING):
        job = simple(status=status, worker_id=WORKER)
        await store.intake.insert([job])
        assert await store.history.requeue(job.id, AGAIN) is None
        assert await read(store, job) == [job]
    await store.crons.create(cron())
    assert await store.history.requeue(UNKNOWN, AGAIN) is None
    assert await store.history.requeue(cron().id, AGAIN) is None
    assert await store.crons.all() == [cron()]


async def test_an_exclusive_job_does_not_join_an_active_one(store: Store) -> None:
    """The database refuses it; it stays as it ended, until the other one has ended, too."""
    (first,) = await run(store, simple(exclusive=True))
    await store.runs.settle([end(first)])
    (second,) = await run(store, simple(exclusive=True))
    ended = await read(store, first)
    with pytest.raises(JobConflictError, match=str(first.id)):
        await store.history.requeue(first.id, AGAIN)
    assert await read(store, first) == ended
    await store.runs.settle([end(second)])
    assert await store.history.requeue(first.id, AGAIN) is not None


async def test_a_job_waits_until_a_time(store: Store) -> None:
    """It is due then and not before, in a lane too; the moment of the change is the present."""
    jobs = [
        settled(status=JobStatus.ERRORED, lane=lane, scheduled_for=NOW)
        for lane in (None, "resize:a")
    ]
    await store.intake.insert(jobs)
    at = AGAIN + timedelta(hours=1)
    for job in jobs:
        waiting = await store.history.requeue(job.id, AGAIN, at=at)
        assert waiting is not None
        assert (waiting.scheduled_for, waiting.updated_at) == (at, AGAIN)
    assert await store.queue.count_due(["resize"], at - MS, 10) == {}
    assert await store.queue.count_due(["resize"], at, 10) == {"resize": 2}
