"""The queue and the runs in it: who gets what, and who holds it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from bson import ObjectId

from job_processor.models import WAITING, Job, JobStatus, Output
from job_processor.settings import CLAIM_NAMES
from job_processor.store import Store
from tests.samples import (
    MS,
    NOW,
    OTHER_WORKER,
    SECOND,
    WORKER,
    claim,
    end,
    occurrence,
    read,
    run,
    run_one,
    simple,
)

one_or_many = pytest.mark.parametrize("limit", [1, 10])
"""Stores claim one job otherwise than many."""


@one_or_many
async def test_a_claim_makes_a_pending_job_run(store: Store, limit: int) -> None:
    """Pending → running under the worker, begun and updated now, all else as it was."""
    job = simple(payload={"a": 1}, attempt=2, crashes=1)
    await store.intake.insert([job])
    (claimed,) = await store.queue.claim(claim(limit, now=NOW + SECOND))
    assert claimed == replace(
        job,
        status=JobStatus.RUNNING,
        worker_id=WORKER,
        started_at=NOW + SECOND,
        updated_at=NOW + SECOND,
    )
    assert await read(store, job) == [claimed]


@one_or_many
async def test_a_paused_job_is_claimed_and_keeps_its_beginning(store: Store, limit: int) -> None:
    """Paused → running; `started_at` stays that of the first run."""
    job = simple(status=JobStatus.PAUSED, started_at=NOW - SECOND, output=Output("1s", 5))
    await store.intake.insert([job])
    (claimed,) = await store.queue.claim(claim(limit, now=NOW + SECOND))
    assert claimed == replace(
        job, status=JobStatus.RUNNING, worker_id=WORKER, updated_at=NOW + SECOND
    )
    assert claimed.ran_before
    assert await read(store, job) == [claimed]


@one_or_many
async def test_a_cron_task_is_claimed_like_a_job(store: Store, limit: int) -> None:
    """A cron task comes back as one, with its planned time."""
    task = occurrence(planned_for=NOW - SECOND, sentry_id="0c5f")
    await store.intake.insert([task])
    (claimed,) = await store.queue.claim(claim(limit))
    assert claimed == replace(
        task,
        status=JobStatus.RUNNING,
        worker_id=WORKER,
        started_at=NOW + SECOND,
        updated_at=NOW + SECOND,
    )


@one_or_many
async def test_only_what_is_due_is_claimed(store: Store, limit: int) -> None:
    """Due is what is scheduled for now or earlier; a millisecond later is not."""
    due, later = simple(scheduled_for=NOW), simple(scheduled_for=NOW + MS)
    await store.intake.insert([later, due])
    assert [job.id for job in await store.queue.claim(claim(limit, now=NOW))] == [due.id]
    assert await store.queue.claim(claim(limit, now=NOW)) == []
    assert [job.id for job in await store.queue.claim(claim(limit, now=NOW + MS))] == [later.id]


@one_or_many
async def test_what_does_not_wait_is_not_claimed(store: Store, limit: int) -> None:
    """A job that runs or has settled is left alone."""
    statuses = sorted(set(JobStatus) - WAITING - {JobStatus.ACTIVE})
    jobs = [simple(status=status, worker_id=OTHER_WORKER) for status in statuses]
    await store.intake.insert(jobs)
    assert await store.queue.claim(claim(limit)) == []
    assert await read(store, *jobs) == jobs


@one_or_many
async def test_only_given_names_are_claimed(store: Store, limit: int) -> None:
    """A job of another name is left alone, however long it waits; a claim for no name gets none."""
    ours = simple(name="ours")
    foreign = simple(name="foreign", scheduled_for=NOW - SECOND)
    await store.intake.insert([foreign, ours])
    assert await store.queue.claim(claim(limit, "unknown")) == []
    assert await store.queue.claim(claim(limit, names=())) == []
    assert [job.id for job in await store.queue.claim(claim(limit, "ours", "unknown"))] == [ours.id]
    assert await read(store, foreign) == [foreign]


@one_or_many
async def test_what_is_excluded_is_not_claimed(store: Store, limit: int) -> None:
    """An excluded job at the head of the queue is passed by."""
    excluded = [simple(scheduled_for=NOW - SECOND) for _ in range(2)]
    job = simple()
    await store.intake.insert([*excluded, job])
    exclude = frozenset(each.id for each in excluded)
    assert [each.id for each in await store.queue.claim(claim(limit, exclude=exclude))] == [job.id]
    assert await store.queue.claim(claim(limit, exclude=exclude)) == []
    assert await read(store, *excluded) == excluded


async def test_no_more_than_the_limit_is_claimed(store: Store) -> None:
    """Each claim takes as many as it may until there are no more; then it takes none."""
    await store.intake.insert([simple() for _ in range(5)])
    counts = [len(await store.queue.claim(claim(limit))) for limit in (0, 2, 1, 2, 2, 1)]
    assert counts == [0, 2, 1, 2, 0, 0]


async def test_the_earliest_come_first(store: Store) -> None:
    """Names, types and states in one queue: the order is that of `scheduled_for`."""
    jobs: list[Job] = [
        simple(name="b", scheduled_for=NOW - 3 * SECOND),
        occurrence(scheduled_for=NOW - 2 * SECOND),
        simple(name="a", scheduled_for=NOW - SECOND, status=JobStatus.PAUSED),
        simple(name="b", scheduled_for=NOW - MS),
        simple(name="a", scheduled_for=NOW),
    ]
    await store.intake.insert([jobs[i] for i in (3, 1, 4, 0, 2)])
    claimed: list[Job] = []
    for limit in (2, 1, 5):
        claimed += await store.queue.claim(claim(limit, "a", "b", "nightly"))
    assert [job.id for job in claimed] == [job.id for job in jobs]


@one_or_many
async def test_the_most_urgent_come_first(store: Store, limit: int) -> None:
    """Whatever their names; those of the same priority in order of time."""
    jobs: list[Job] = [
        simple(priority=5, scheduled_for=NOW - SECOND),
        simple(priority=5),
        occurrence(priority=3),
        simple(priority=1, scheduled_for=NOW - 9 * SECOND),
        simple(name="nightly", scheduled_for=NOW - 2 * SECOND),
        simple(scheduled_for=NOW - SECOND),
    ]
    await store.intake.insert([simple(priority=9, scheduled_for=NOW + 9 * SECOND), *reversed(jobs)])
    claimed: list[Job] = []
    while batch := await store.queue.claim(claim(limit)):
        claimed += batch
    assert [job.id for job in claimed] == [job.id for job in jobs]
    assert [job.priority for job in claimed] == [5, 5, 3, 1, 0, 0]


@one_or_many
async def test_as_many_names_as_a_claim_may_hold(store: Store, limit: int) -> None:
    """A claim may ask for `CLAIM_NAMES` names; the earliest of all comes first."""
    jobs = [simple(name=f"name {i}", scheduled_for=NOW - i * SECOND) for i in range(CLAIM_NAMES)]
    await store.intake.insert(jobs)
    claimed = await store.queue.claim(claim(limit, *(job.name for job in jobs)))
    assert [job.id for job in claimed] == [job.id for job in reversed(jobs)][:limit]


@pytest.mark.parametrize("limit", [1, 4, 10])
async def test_of_what_crashed_before_one_is_claimed(store: Store, limit: int) -> None:
    """Of the first that are due, the most urgent such one, and all others; those wait as before."""
    plain = [simple(scheduled_for=NOW - (9 - n) * SECOND) for n in range(4)]
    crashed: list[Job] = [
        simple(scheduled_for=NOW - 10 * SECOND, crashes=2, priority=1),
        simple(scheduled_for=NOW - 20 * SECOND, crashes=1, status=JobStatus.PAUSED),
        occurrence(scheduled_for=NOW - 15 * SECOND, crashes=1),
    ]
    await store.intake.insert([*plain, *crashed])
    taken = [job.id for job in await store.queue.claim(claim(limit))]
    among = [job.id for job in (crashed[0], *plain)]
    assert taken == among[: {1: 1, 4: 2, 10: 5}[limit]]
    assert await read(store, *crashed[1:]) == crashed[1:]
    claimed = [await store.queue.claim(claim(10)) for _ in range(3)]
    assert [job.id for job in claimed[0]] == [crashed[1].id, *among[len(taken) :]]
    assert [[job.id for job in each] for each in claimed[1:]] == [[crashed[2].id], []]


@one_or_many
async def test_what_crashed_before_is_passed_over(store: Store, limit: int) -> None:
    """By a claim that wants none of it, however urgent and many such jobs are."""
    crashed = [simple(crashes=1, priority=n % 3) for n in range(20)]
    plain = [simple(scheduled_for=NOW - n * MS) for n in range(3)]
    await store.intake.insert([*crashed, *plain])
    claimed: list[Job] = []
    while batch := await store.queue.claim(claim(limit, suspects=False)):
        claimed += batch
    assert [job.id for job in claimed] == [job.id for job in reversed(plain)]
    assert await read(store, *crashed) == crashed


async def test_next_due_is_the_earliest_time_of_these_names(store: Store) -> None:
    """Pending and paused jobs of these names count, due or not; running and settled ones do not."""
    assert await store.queue.next_due(["resize"]) is None
    times = [NOW + timedelta(hours=hour) for hour in range(5)]
    statuses = (JobStatus.RUNNING, JobStatus.FINISHED, JobStatus.PAUSED, JobStatus.PENDING)
    jobs = [
        simple(scheduled_for=time, status=status)
        for time, status in zip(times, statuses, strict=False)
    ]
    await store.intake.insert([*jobs, simple(name="other", scheduled_for=NOW - SECOND)])
    await store.intake.insert([occurrence(scheduled_for=times[4])])
    assert await store.queue.next_due(["resize", "nightly"]) == times[2]
    assert await store.queue.next_due(["nightly", "unknown"]) == times[4]
    assert await store.queue.next_due(["other", "resize"]) == NOW - SECOND
    assert await store.queue.next_due([]) is None


async def test_next_due_looks_at_any_number_of_names(store: Store) -> None:
    """Names beyond those of one claim count as well."""
    names = [f"name {i}" for i in range(2 * CLAIM_NAMES + 10)]
    await store.intake.insert([simple(name=names[0], scheduled_for=NOW + SECOND)])
    assert await store.queue.next_due(names) == NOW + SECOND
    await store.intake.insert([simple(name=names[-1])])
    assert await store.queue.next_due(names) == NOW


async def test_runs_are_found_under_their_worker(store: Store) -> None:
    """What runs under an id is found by it, up to a limit; what has settled is not."""
    runs = await run(store, simple(), simple(), occurrence(), simple())
    await run(store, simple(), worker_id=OTHER_WORKER)
    await store.intake.insert([simple()])
    await store.runs.settle([end(runs[0])])
    found = await store.runs.of_worker(WORKER, 10)
    assert sorted(found, key=lambda job: job.id) == sorted(runs[1:], key=lambda job: job.id)
    assert len(await store.runs.of_worker(WORKER, 2)) == 2
    assert await store.runs.of_worker(ObjectId(), 10) == []


async def test_runs_move_to_a_new_worker_id(store: Store) -> None:
    """Running under the old id → running under the new; nothing else of the run changes."""
    new = ObjectId()
    runs = await run(store, simple(), occurrence())
    (there,) = await run(store, simple(), worker_id=new)
    foreign = await run_one(store, OTHER_WORKER)
    moved = await store.runs.move(WORKER, new)
    assert moved == {*(job.id for job in runs), there.id}
    assert await read(store, *runs) == [replace(job, worker_id=new) for job in runs]
    assert await read(store, foreign) == [foreign]
    assert await store.runs.of_worker(WORKER, 10) == []


async def test_what_was_taken_away_does_not_move(store: Store) -> None:
    """What a rescuer settled or gave back stays so; a repetition returns the same ids."""
    new = ObjectId()
    kept, settled, paused = await run(store, simple(), simple(), simple())
    taken = [end(settled, writer=OTHER_WORKER), end(paused, JobStatus.PAUSED, writer=OTHER_WORKER)]
    await store.runs.settle(taken)
    assert await store.runs.move(WORKER, new) == {kept.id}
    assert await store.runs.move(WORKER, new) == {kept.id}
    assert await read(store, settled, paused) == [each.written() for each in taken]
    assert await store.runs.move(WORKER, ObjectId()) == set()


@pytest.mark.parametrize("limit", [1, 2, 10])
async def test_the_overdue_come_first(store: Store, limit: int) -> None:
    """A claim of what has waited since before a moment: by time alone, and nothing later."""
    waits = [40, 30, 20, 10]
    priorities = [0, 9, 0, 5]
    jobs = [
        simple(scheduled_for=NOW - wait * SECOND, priority=priority)
        for wait, priority in zip(waits, priorities, strict=True)
    ]
    await store.intake.insert(jobs[::-1])
    overdue = claim(limit, overdue_since=NOW - 15 * SECOND)
    taken = await store.queue.claim(overdue)
    assert [job.id for job in taken] == [job.id for job in jobs[:3][:limit]]
    assert {(job.status, job.started_at, job.updated_at) for job in taken} == {
        (JobStatus.RUNNING, overdue.now, overdue.now)
    }
    rest = await store.queue.claim(claim(10))
    left = jobs[min(limit, 3) :]
    assert [job.id for job in rest] == [
        job.id for job in sorted(left, key=lambda job: (-job.priority, job.scheduled_for))
    ]
