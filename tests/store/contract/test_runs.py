"""`settle`: only whoever holds a run, at its attempt, ends it; repeating is harmless."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from bson import ObjectId

from job_processor.models import (
    ATTEMPTS_KEPT,
    Attempt,
    Crash,
    CronTask,
    Job,
    JobStatus,
    Output,
    SkipMetadata,
)
from job_processor.store import Store
from job_processor.store.requests import JobQuery, Settlement
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
    retry,
    run,
    run_one,
    simple,
)

Settle = Callable[[Job], Settlement]
NOT_RUNNING = set(JobStatus) - {JobStatus.RUNNING, JobStatus.ACTIVE}
SKIPPED = Output("--", skip_metadata=SkipMetadata("other", None, NOW))

OUTCOMES: dict[str, Settle] = {
    "finished": end,
    "finished with nothing": lambda job: end(job, output=Output("1 s")),
    "errored": lambda job: end(job, JobStatus.ERRORED, output=Output("1 s", error="no")),
    "killed": lambda job: end(job, JobStatus.KILLED, output=Output("1 s", {"half": True})),
    "skipped": lambda job: end(job, JobStatus.SKIPPED, output=SKIPPED),
    "paused": lambda job: end(job, JobStatus.PAUSED, output=None),
    "paused by a rescuer": lambda job: end(
        job, JobStatus.PAUSED, output=None, crashes=2, writer=OTHER_WORKER
    ),
    "errored by a rescuer": lambda job: end(
        job, JobStatus.ERRORED, output=Output("--", error="crashed"), writer=OTHER_WORKER
    ),
    "put back to run again": retry,
    "given back": lambda job: end(job, JobStatus.PENDING, output=None, started=False),
}
outcomes = pytest.mark.parametrize("outcome", OUTCOMES)


@outcomes
async def test_an_outcome_is_written_with_all_that_comes_with_it(
    store: Store, outcome: str
) -> None:
    """Running → the outcome's state; the job stands as `Settlement.written()` says."""
    for job in await run(store, simple(crashes=1, attempt=3, payload={"a": 1}), occurrence()):
        settlement = OUTCOMES[outcome](job)
        assert (await store.runs.settle([settlement])).won == {job.id}
        assert await read(store, job) == [settlement.written()]


@outcomes
async def test_a_repetition_returns_the_same(store: Store, outcome: str) -> None:
    """After a lost reply, the same settlement is recognized as ours, and changes nothing."""
    jobs = await run(store, simple(attempt=2), simple(), occurrence())
    settlements = [OUTCOMES[outcome](job) for job in jobs]
    ids = {job.id for job in jobs}
    assert (await store.runs.settle(settlements[:1])).won == {jobs[0].id}
    assert (await store.runs.settle(settlements)).won == ids
    assert (await store.runs.settle(settlements)).won == ids
    assert await read(store, *jobs) == [each.written() for each in settlements]


async def test_who_does_not_hold_the_run_loses(store: Store) -> None:
    """No outcome is written by another worker, or for another attempt."""
    (job,) = await run(store, simple(attempt=2))
    for outcome in OUTCOMES.values():
        for believed in (
            replace(job, worker_id=OTHER_WORKER),
            replace(job, attempt=1),
            replace(job, attempt=3),
        ):
            assert (await store.runs.settle([outcome(believed)])).won == set()
    assert await read(store, job) == [job]


async def test_what_does_not_run_is_not_settled(store: Store) -> None:
    """A job in any other state is left alone, even when it is still under the worker's id."""
    jobs = [simple(status=status, worker_id=WORKER) for status in sorted(NOT_RUNNING)]
    await store.intake.insert(jobs)
    for outcome in OUTCOMES.values():
        assert (await store.runs.settle([outcome(job) for job in jobs])).won == set()
        assert (await store.runs.settle([outcome(jobs[0])])).won == set()
    assert await read(store, *jobs) == jobs


async def test_a_batch_wins_what_is_still_ours(store: Store) -> None:
    """Of a batch, what was taken away is not returned, and the rest is settled."""
    (moved,) = await run(store, simple())
    await store.runs.move(WORKER, OTHER_WORKER)
    ours, rescued, resumed, also_ours = await run(store, *(simple() for _ in range(4)))
    rescue = [
        end(rescued, JobStatus.ERRORED, writer=OTHER_WORKER),
        end(resumed, JobStatus.PAUSED, writer=OTHER_WORKER),
    ]
    await store.runs.settle(rescue)
    (elsewhere,) = await store.queue.claim(claim(worker_id=OTHER_WORKER))
    assert elsewhere.id == resumed.id
    unknown = simple(status=JobStatus.RUNNING, worker_id=WORKER)
    batch = [end(job) for job in (moved, ours, unknown, rescued, resumed, also_ours)]
    for _ in range(2):
        assert (await store.runs.settle(batch)).won == {ours.id, also_ours.id}
    assert await read(store, ours, also_ours) == [end(ours).written(), end(also_ours).written()]
    assert await read(store, moved, rescued, resumed, unknown) == [
        replace(moved, worker_id=OTHER_WORKER),
        rescue[0].written(),
        elsewhere,
        None,
    ]


async def test_a_worker_that_seemed_dead_loses_to_its_rescuer(store: Store) -> None:
    """Once a rescuer has settled or paused a run, its worker's own outcome is dropped."""
    errored, paused, again = await run(store, simple(), simple(), simple(name="again"))
    rescue = [
        end(errored, JobStatus.ERRORED, writer=OTHER_WORKER),
        end(paused, JobStatus.PAUSED, writer=OTHER_WORKER, crashes=1, output=None),
        end(again, JobStatus.PAUSED, writer=OTHER_WORKER, crashes=1, output=None),
    ]
    ids = {errored.id, paused.id, again.id}
    assert (await store.runs.settle(rescue)).won == ids
    (resumed,) = await store.queue.claim(claim(1, "again", worker_id=OTHER_WORKER))
    assert (await store.runs.settle([end(job) for job in (errored, paused, again)])).won == set()
    expected = [rescue[0].written(), rescue[1].written(), resumed]
    assert await read(store, errored, paused, again) == expected


async def test_a_rescuer_loses_to_the_worker(store: Store) -> None:
    """Once a worker has settled its run, a rescuer that read it before is refused."""
    job = await run_one(store)
    await store.runs.settle([end(job)])
    rescue = end(job, JobStatus.ERRORED, writer=OTHER_WORKER, output=Output("--", error="crashed"))
    assert (await store.runs.settle([rescue])).won == set()
    assert await read(store, job) == [end(job).written()]


async def test_the_same_worker_cannot_end_a_later_attempt_by_an_earlier_one(store: Store) -> None:
    """A retry that this worker runs again is fenced by its number against the first attempt."""
    first = await run_one(store)
    await store.runs.settle([retry(first)])
    (second,) = await store.queue.claim(claim(now=NOW + timedelta(hours=1)))
    assert (second.attempt, second.worker_id) == (2, WORKER)
    assert (await store.runs.settle([end(first)])).won == set()
    assert (await store.runs.settle([retry(first)])).won == set()
    assert await read(store, second) == [second]
    assert (await store.runs.settle([end(second)])).won == {second.id}


async def test_a_retry_waits_for_its_time(store: Store) -> None:
    """A run put back is claimable at its new time, with its new number and the last output."""
    again = NOW + timedelta(minutes=1)
    (task,) = await run(store, occurrence())
    await store.runs.settle([retry(task)])
    assert await store.queue.claim(claim(now=again - MS)) == []
    (second,) = await store.queue.claim(claim(now=again))
    assert isinstance(second, CronTask)
    assert (second.scheduled_for, second.planned_for, second.attempt) == (again, NOW, 2)
    assert second.output == Output("1 second", error="ValueError: no")
    third = retry(second, scheduled_for=again + SECOND)
    assert (await store.runs.settle([third])).won == {task.id}
    (stored,) = await read(store, task)
    assert isinstance(stored, CronTask)
    assert (stored.planned_for, stored.attempt) == (NOW, 3)


async def test_a_retry_keeps_the_history_of_attempts(store: Store) -> None:
    """Each failed attempt is added as it was, up to the last twenty; the end leaves them."""
    (job,) = await run(store, simple())
    failed = []
    for number in range(1, 24):
        moment = NOW + number * SECOND
        failed.append(Attempt(number, moment, moment + MS, f"no {number}", WORKER))
        await store.runs.settle([retry(job, scheduled_for=NOW, failed=failed[-1])])
        (job,) = await store.queue.claim(claim())
        assert job.attempts == tuple(failed[-ATTEMPTS_KEPT:])
    await store.runs.settle([end(job)])
    (stored,) = await read(store, job)
    assert stored is not None
    assert stored.attempts == tuple(failed[-ATTEMPTS_KEPT:])


async def test_the_death_of_its_worker_stays_with_a_job(store: Store) -> None:
    """Who died and who took care of it is kept, in lists too, whatever becomes of the job later."""
    crash = Crash(WORKER, "web-1:2877", OTHER_WORKER, "web-2:12", NOW + 2 * SECOND)
    job = await run_one(store)
    failed = Attempt(1, NOW, NOW + SECOND, "crashed", WORKER, "web-1:2877")
    rescued = retry(job, scheduled_for=NOW, failed=failed, crash=crash, crashes=1)
    assert (await store.runs.settle([replace(rescued, writer=OTHER_WORKER)])).won == {job.id}
    (again,) = await store.queue.claim(claim())
    assert (again.crash, again.attempts) == (crash, (failed,))
    await store.runs.settle([end(again)])
    (stored,) = await read(store, job)
    assert stored is not None
    assert stored.crash == crash
    (listed,) = await store.history.summaries(JobQuery())
    assert listed.crash == crash


async def test_an_output_stays_where_the_outcome_has_none(store: Store) -> None:
    """A pause without an output keeps what an earlier run left."""
    job = simple(status=JobStatus.PAUSED, output=Output("3 s", {"done": 1}))
    await store.intake.insert([job])
    (running,) = await store.queue.claim(claim())
    await store.runs.settle([end(running, JobStatus.PAUSED, output=None)])
    (stored,) = await read(store, job)
    assert stored is not None
    assert stored.output == job.output


async def test_a_count_of_crashes_ends_with_a_settlement(store: Store) -> None:
    """Each rescue writes the count on, and an outcome of the worker sets it back."""
    job = await run_one(store)
    await store.runs.settle(
        [end(job, JobStatus.PAUSED, crashes=1, output=None, writer=OTHER_WORKER)]
    )
    (second,) = await store.queue.claim(claim())
    assert second.crashes == 1
    assert (await store.runs.settle([end(second)])).won == {job.id}
    (stored,) = await read(store, job)
    assert stored is not None
    assert stored.crashes == 0


async def test_an_exclusive_name_is_free_once_its_job_has_settled(store: Store) -> None:
    """A paused run and a retry go on to exclude others; a settled one does not."""
    (job,) = await run(store, simple(exclusive=True))
    another = simple(exclusive=True)
    for settle in (retry, lambda job: end(job, JobStatus.PAUSED)):
        await store.runs.settle([settle(job)])
        assert await store.intake.insert([another]) == [another]
        (job,) = await store.queue.claim(claim(now=NOW + timedelta(hours=1)))
    await store.runs.settle([end(job)])
    assert await store.intake.insert([another]) == []


async def test_nothing_to_settle_and_unknown_jobs(store: Store) -> None:
    """An empty batch and a job that is not there settle nothing."""
    assert (await store.runs.settle([])).won == set()
    gone = simple(id=ObjectId(), status=JobStatus.RUNNING, worker_id=WORKER)
    assert (await store.runs.settle([end(gone)])).won == set()
    assert await read(store, gone) == [None]


@pytest.mark.parametrize("count", [2, 8, 30])
async def test_many_with_one_outcome_are_guarded_each(store: Store, count: int) -> None:
    """Ends of a batch are one and the same; who was taken away meanwhile is lost all the same."""
    await store.intake.insert([simple() for _ in range(count)])
    runs = list(await store.queue.claim(claim(count)))
    await store.intake.insert([simple()])
    runs += await store.queue.claim(claim(1, now=NOW + 2 * SECOND))
    outcome = end(runs[0], output=Output("1 s")).outcome
    lost, followed = runs[0], runs[1]
    await store.runs.settle([end(lost, JobStatus.PENDING, output=None, started=False)])
    await store.queue.claim(claim(1, now=NOW + 3 * SECOND))  # and again ours, by another claim
    await store.waits.follow([followed.id])
    ends = [Settlement(run, outcome, WORKER) for run in runs]
    verdict = await store.runs.settle(ends)
    assert verdict.won == {run.id for run in runs[1:]}
    for each in ends[1:]:
        there = await store.history.get(each.job.id)
        assert there is not None
        assert (there.status, there.ended_at) == (JobStatus.FINISHED, outcome.at)
        assert there.output == outcome.output
    taken_away = await store.history.get(lost.id)
    assert taken_away is not None
    assert taken_away.status is JobStatus.RUNNING
    assert (await store.runs.settle(ends[1:])).won == verdict.won
