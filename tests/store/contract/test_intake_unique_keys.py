"""A unique key of a name is held by one job at a time; the database decides by whom."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from job_processor import JobConflictError, JobStatus, SimpleJob
from job_processor.models import ACTIVE, SETTLED, Job, LogLine, Notes, Progress
from job_processor.store import Store
from tests.samples import MS, NOW, SECOND, WORKER, claim, end, occurrence, read, retry, run, simple

HOUR = timedelta(hours=1)


def keyed(**fields: Any) -> SimpleJob:
    """Return a job with a key."""
    return simple(**{"unique_key": "user-1", **fields})


async def test_a_key_comes_back_as_given(store: Store) -> None:
    """With and without a time until when, among payloads and other rare fields."""
    jobs = [
        keyed(unique_until=NOW + HOUR, expires_at=NOW + HOUR, payload={"a": 1}),
        keyed(unique_key="an 'odd' key ✓"),
    ]
    assert await store.intake.insert(jobs) == []
    assert await read(store, *jobs) == jobs
    claimed = await store.queue.claim(claim(2))
    assert {job.unique_key for job in claimed if isinstance(job, SimpleJob)} == {
        "user-1",
        "an 'odd' key ✓",
    }


@pytest.mark.parametrize("status", sorted(ACTIVE))
async def test_an_active_job_holds_its_key(store: Store, status: JobStatus) -> None:
    """Against others of its name with this key only, one by one and in a batch."""
    holder = keyed(status=status, worker_id=WORKER)
    await store.intake.insert([holder])
    same = keyed()
    assert await store.intake.insert([same]) == [same]
    free: list[Job] = [keyed(unique_key="user-2"), keyed(name="mail"), simple(), occurrence()]
    assert await store.intake.insert([free[0], same, *free[1:]]) == [same]
    assert await read(store, same, *free) == [None, *free]
    assert await store.intake.find_holder("resize", "user-1") == holder
    assert await store.intake.find_holder("mail", "user-2") is None
    assert await store.intake.insert([holder]) == []  # its own first attempt


@pytest.mark.parametrize("status", sorted(SETTLED))
async def test_a_settled_job_holds_no_key(store: Store, status: JobStatus) -> None:
    """Unless it has a time until when, which the database does not judge."""
    ended: dict[str, Any] = {"status": status, "ended_at": NOW}
    await store.intake.insert([keyed(**ended), keyed(**ended)])
    assert await store.intake.find_holder("resize", "user-1") is None
    until = keyed(unique_until=NOW - HOUR, **ended)
    assert await store.intake.insert([until]) == []
    job = keyed()
    assert await store.intake.insert([job]) == [job]
    assert await store.intake.find_holder("resize", "user-1") == until


async def test_two_of_one_batch(store: Store) -> None:
    """The first of them is taken."""
    jobs = [keyed(), keyed()]
    assert await store.intake.insert(jobs) == jobs[1:]


async def test_a_key_goes_with_its_run(store: Store) -> None:
    """It is held through claim and retry, and free once the run has settled."""
    job, other = keyed(), keyed()
    (running,) = await run(store, job)
    assert isinstance(running, SimpleJob)
    assert running.unique_key == "user-1"
    await store.runs.settle([retry(running)])
    assert await store.intake.insert([other]) == [other]
    (again,) = await store.queue.claim(claim(now=NOW + 2 * HOUR))
    await store.runs.settle([end(again)])
    assert await store.intake.insert([other]) == []
    (ended,) = await read(store, job)
    assert isinstance(ended, SimpleJob)
    assert ended.unique_key == "user-1"
    with pytest.raises(JobConflictError, match="unique key"):
        await store.history.requeue(job.id, NOW)


@pytest.mark.parametrize("until", [None, NOW + SECOND])
async def test_a_key_is_released_as_it_was_read(store: Store, until: Any) -> None:
    """Not when the job has moved on meanwhile."""
    holder, other = keyed(unique_until=until), keyed()
    await store.intake.insert([holder])
    moved = [
        replace(holder, status=JobStatus.RUNNING),
        replace(holder, unique_key="user-2"),
        replace(holder, unique_until=NOW + 2 * SECOND),
    ]
    for read_before in moved:
        await store.intake.release_key(read_before)
        assert await store.intake.insert([other]) == [other]
    await store.intake.release_key(holder)
    assert await store.intake.insert([other]) == []
    assert await read(store, holder) == [replace(holder, unique_key=None, unique_until=None)]


async def test_a_released_run_goes_on_without_its_key(store: Store) -> None:
    """Its settlement, a retry too, does not take the key back."""
    (running,) = await run(store, keyed(unique_until=NOW + HOUR, expires_at=NOW + HOUR))
    assert isinstance(running, SimpleJob)
    await store.intake.release_key(running)
    other = keyed()
    assert await store.intake.insert([other]) == []
    assert (await store.runs.settle([retry(running)])).won == {running.id}
    assert await store.intake.find_holder("resize", "user-1") == other
    (again,) = await store.queue.claim(claim(now=NOW + HOUR, exclude=frozenset([other.id])))
    assert (await store.runs.settle([end(again)])).won == {running.id}


@pytest.mark.parametrize("old", [{}, {"priority": 5, "expires_at": NOW + HOUR}])
@pytest.mark.parametrize("new", [{}, {"priority": 7, "expires_at": NOW + 2 * HOUR}])
async def test_a_waiting_holder_is_replaced(
    store: Store, old: dict[str, Any], new: dict[str, Any]
) -> None:
    """It is the new one under its id: with its payload, times, priority, expiry and trace."""
    holder = keyed(payload={"n": 1, "old": True}, unique_until=NOW + HOUR, **old)
    await store.intake.insert([holder])
    later = NOW + 5 * SECOND
    job = keyed(payload={"n": 2}, scheduled_for=later, updated_at=NOW + MS, **new)
    replaced = await store.intake.replace(holder, job)
    changes = {"priority": 0, "expires_at": None, **new}
    assert replaced == replace(
        holder, payload={"n": 2}, scheduled_for=later, updated_at=NOW + MS, **changes
    )
    assert await read(store, holder, job) == [replaced, None]
    assert await store.queue.next_due(["resize"]) == later
    emptied = await store.intake.replace(holder, keyed(payload=None, updated_at=NOW + 2 * MS))
    assert emptied is not None
    assert (emptied.payload, emptied.scheduled_for) == (None, NOW)


async def test_a_replaced_job_inherits_nothing(store: Store) -> None:
    """Neither attempts, log, state, start, output nor trace of what ran under its id before."""
    (running,) = await run(store, keyed(expires_at=NOW + HOUR, traceparent="old", crashes=1))
    assert isinstance(running, SimpleJob)
    assert await store.runs.save_state(running, {"row": 500})
    told = Notes(Progress(0.5, "half", NOW), (LogLine(NOW, "begun"),))
    failed = retry(running)
    await store.runs.settle(
        [replace(failed, outcome=replace(failed.outcome, notes=told, crashes=2))]
    )
    (holder,) = await read(store, running)
    assert isinstance(holder, SimpleJob)
    assert (holder.attempt, holder.crashes, holder.log[0].text) == (2, 2, "begun")
    assert holder.started_at is not None
    job = keyed(payload={"n": 2}, updated_at=NOW + HOUR, traceparent="new")
    replaced = await store.intake.replace(holder, job)
    assert replaced == replace(job, id=holder.id, created_at=holder.created_at)
    assert await read(store, holder) == [replaced]
    assert await store.runs.state(holder.id) is None
    (begun,) = await store.queue.claim(claim(now=NOW + 2 * HOUR))
    assert (begun.started_at, begun.ran_before, begun.was_held) == (begun.updated_at, False, False)


async def test_a_replacement_that_comes_second(store: Store) -> None:
    """Who read the holder before it was replaced or claimed by somebody else replaces nothing."""
    holder = keyed()
    await store.intake.insert([holder])
    newer = keyed(payload={"n": 2}, updated_at=NOW + 2 * MS)
    replaced = await store.intake.replace(holder, newer)
    assert replaced is not None
    assert await store.intake.replace(holder, keyed(payload={"n": 3}, updated_at=NOW + MS)) is None
    (running,) = await store.queue.claim(claim(now=NOW + HOUR))
    assert await store.intake.replace(replaced, keyed(updated_at=NOW + HOUR)) is None
    assert (await read(store, holder))[0] == running


async def test_what_has_begun_is_not_replaced(store: Store) -> None:
    """Neither what runs nor what has settled, nor what gave its key up."""
    (running,) = await run(store, keyed())
    assert isinstance(running, SimpleJob)
    new = keyed(payload={"n": 2})
    assert await store.intake.replace(running, new) is None
    await store.runs.settle([end(running)])
    assert await store.intake.replace(running, new) is None
    waiting = keyed()
    await store.intake.insert([waiting])
    await store.intake.release_key(waiting)
    assert await store.intake.replace(waiting, new) is None
    assert await read(store, waiting) == [replace(waiting, unique_key=None)]
