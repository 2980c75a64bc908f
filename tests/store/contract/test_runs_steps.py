"""The steps of a run: each is added to those before it, guarded as its end is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from bson import ObjectId

from job_processor import JobStatus, StoreRefusedError
from job_processor.models import SETTLED, Step
from job_processor.store import Store
from job_processor.store.requests import JobQuery
from tests.samples import (
    MS,
    NOW,
    OTHER_WORKER,
    SECOND,
    SOON,
    UNKNOWN,
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

NAMES = ["charge", "a.b", "$set", "$", ".", "a b", "é✓\u2028", '"quoted"', "a,b", "ship:2", "{x}"]
"""Names are any text, whatever it means to a database."""

RESULTS = [
    {"page": 7, "at": NOW, "blob": b"\0\1", "id": ObjectId(), "$date": 3, "a.b": "],["},
    [1, 2.5, None],
    "text",
    0,
    None,
]


@pytest.mark.parametrize("result", RESULTS)
async def test_a_step_is_kept_with_its_result(store: Store, result: Any) -> None:
    """Of a job and of a cron task; nothing else of them changes."""
    step = Step("charge", NOW, NOW + MS, result)
    for job in await run(store, simple(payload={"a": 1}), occurrence()):
        assert await store.runs.save_step(job, step)
        assert await read(store, job) == [replace(job, steps=(step,))]
    assert all(job.steps == (step,) for job in await store.history.find(JobQuery()))
    assert all(job.steps == (step,) for job in await store.runs.of_worker(WORKER, 10))


async def test_names_are_any_text(store: Store) -> None:
    """And steps stand in the order in which they were kept."""
    job = await run_one(store)
    steps = tuple(Step(name, NOW, NOW + i * MS, {name: name}) for i, name in enumerate(NAMES))
    for step in steps:
        assert await store.runs.save_step(job, step)
    assert await read(store, job) == [replace(job, steps=steps)]


async def test_a_repetition_changes_nothing(store: Store) -> None:
    """The reply to the first write was lost: of a name the first counts."""
    job = await run_one(store)
    first, second = Step("a", NOW, NOW, 1), Step("b", NOW, NOW, 2)
    for step in (first, first, second, replace(first, result="other"), second):
        assert await store.runs.save_step(job, step)
    assert await read(store, job) == [replace(job, steps=(first, second))]


async def test_steps_stay_through_pauses_retries_and_the_end(store: Store) -> None:
    """The next run finds them in the job that it claims, with no question more."""
    sleep = Step("sleep", NOW, NOW, until=NOW + SECOND)
    job = await run_one(store)
    assert await store.runs.save_step(job, sleep)
    await store.runs.settle([end(job, JobStatus.PAUSED, output=None)])
    (resumed,) = await store.queue.claim(claim())
    assert resumed.steps == (sleep,)
    await store.runs.settle([retry(resumed, scheduled_for=NOW)])
    (again,) = await store.queue.claim(claim(now=SOON + SECOND))
    assert again.steps == (sleep,)
    await store.runs.settle([end(again)])
    assert [each.steps for each in await store.history.get_many([job.id])] == [(sleep,)]


async def test_what_was_taken_away_gets_no_step(store: Store) -> None:
    """Another worker's, a settled one's, one of a later claim, one that waits, one unknown."""
    taken, ended, waiting, claimed = await run(store, *(simple() for _ in range(4)))
    await store.runs.settle([end(ended), retry(waiting), retry(claimed, scheduled_for=NOW)])
    await store.queue.claim(claim(now=SOON + SECOND))
    await store.runs.move(WORKER, OTHER_WORKER)
    for job in (taken, ended, waiting, claimed, simple(id=UNKNOWN, worker_id=WORKER)):
        assert not await store.runs.save_step(job, Step("late", NOW, NOW))
    stored = [await store.history.get(job.id) for job in (taken, ended, waiting, claimed)]
    assert [job.steps for job in stored if job is not None] == [()] * 4


@pytest.mark.parametrize("status", sorted(SETTLED))
async def test_sent_round_again_it_goes_on_after_its_steps(store: Store, status: JobStatus) -> None:
    """Unless all of them are done, or it is to begin from its beginning."""
    step = Step("charge", NOW, NOW, 1)
    kept, gone = await run(store, simple(), simple())
    for job in (kept, gone):
        assert await store.runs.save_step(job, step)
    await store.runs.settle([end(kept, status), end(gone, status)])
    waiting = await store.history.requeue(kept.id, NOW + SECOND)
    fresh = await store.history.requeue(gone.id, NOW + SECOND, from_beginning=True)
    assert waiting is not None
    assert fresh is not None
    assert waiting.steps == (() if status is JobStatus.FINISHED else (step,))
    assert fresh.steps == ()
    assert await read(store, kept, gone) == [waiting, fresh]


async def test_who_takes_the_place_of_a_job_has_none_of_its_steps(store: Store) -> None:
    """It is another job under the same id."""
    (job,) = await run(store, simple(unique_key="key"))
    assert await store.runs.save_step(job, Step("charge", NOW, NOW, 1))
    await store.runs.settle([retry(job)])
    holder = await store.intake.find_holder(job.name, "key")
    assert holder is not None
    replaced = await store.intake.replace(holder, simple(unique_key="key", updated_at=SOON))
    assert replaced is not None
    assert await read(store, job) == [replaced]
    assert replaced.steps == ()


async def test_a_result_that_cannot_be_stored_is_refused(store: Store) -> None:
    """And nothing is written."""
    job = await run_one(store)
    with pytest.raises(StoreRefusedError):
        await store.runs.save_step(job, Step("a", NOW, NOW, {"x": "\ud800"}))
    assert await read(store, job) == [job]


async def test_a_crash_after_a_step_counts_from_anew(store: Store) -> None:
    """As after a saved state: what took its worker down before is behind it."""
    job = await run_one(store)
    assert await store.runs.save_step(job, Step("a", NOW, NOW))
    (running,) = await store.runs.of_worker(WORKER, 1)
    assert running.state_saved == job.updated_at


@pytest.mark.parametrize("status", sorted(SETTLED))
async def test_sent_round_again_from_a_step(store: Store, status: JobStatus) -> None:
    """That one and those after it go; of one before it stays all, also what came later of it."""
    job = await run_one(store)
    wait = Step("paid", NOW, None, topic="paid")
    paid = replace(wait, ended_at=NOW + SECOND, result={"x": 1.5, "at": NOW, "é": "],["})
    steps = (Step("$a", NOW, NOW, 1), wait, Step('"b"', NOW, NOW, "x"), Step("c", NOW, NOW), paid)
    for step in steps:
        assert await store.runs.save_step(job, step)
    for name, left in (('"b"', (steps[0], paid)), ("$a", ())):
        await store.runs.settle([end(job, status)])
        assert await store.history.requeue(job.id, NOW + SECOND, from_step="none") is None
        waiting = await store.history.requeue(job.id, NOW + SECOND, from_step=name)
        assert waiting is not None
        assert (waiting.status, waiting.steps) == ("pending", left)
        assert await read(store, job) == [waiting]
        (job,) = await store.queue.claim(claim(now=SOON + SECOND))
    assert await store.history.requeue(job.id, NOW + SECOND, from_step="$a") is None


async def test_what_a_wait_has_brought_stands_in_its_place(store: Store) -> None:
    """Once; a repetition of either write changes nothing."""
    job = await run_one(store)
    wait = Step("paid", NOW, None, until=NOW + SECOND, topic="paid")
    came = replace(wait, ended_at=NOW + MS, result=7)
    for step in (wait, wait, Step("b", NOW, NOW), came, replace(came, result=8), wait):
        assert await store.runs.save_step(job, step)
    assert await read(store, job) == [replace(job, steps=(came, Step("b", NOW, NOW)))]
