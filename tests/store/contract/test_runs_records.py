"""What a run keeps while it runs: its notes and its saved state, guarded as its end is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from job_processor import JobStatus, LogLine, Notes, Progress
from job_processor.models import Job
from job_processor.store import Store
from job_processor.store.requests import JobQuery
from tests.samples import (
    MS,
    NOW,
    OTHER_WORKER,
    SECOND,
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

NOTES = Notes(
    Progress(0.4, "half of it, nearly ✓", NOW),
    (LogLine(NOW, "begun"), LogLine(NOW + MS, 'a "line"\n\tand more')),
)
STATES = [
    {"page": 7, "at": NOW, "blob": b"\0\1", "id": ObjectId(), "$date": 3},
    [1, 2.5, None],
    "text",
    0,
    None,
]


async def test_notes_are_kept(store: Store) -> None:
    """Of a job and of a cron task; the last ones count, and nothing else changes."""
    jobs = await run(store, simple(payload={"a": 1}), occurrence())
    await store.runs.save_notes([])
    await store.runs.save_notes([(job, Notes(log=(LogLine(NOW, "old"),))) for job in jobs])
    await store.runs.save_notes([(job, NOTES) for job in jobs])
    noted = [replace(job, notes=NOTES) for job in jobs]
    assert await read(store, *jobs) == noted
    assert (noted[0].progress, noted[0].log) == (NOTES.progress, NOTES.log)
    assert await store.runs.of_worker(WORKER, 10) in (noted, noted[::-1])
    await store.runs.save_notes([(jobs[0], Notes())])
    assert await read(store, jobs[0]) == [replace(jobs[0], notes=Notes())]


async def test_notes_come_with_the_end(store: Store) -> None:
    """A settlement writes them, or leaves what is there; so does a retry, and the next run."""
    first, second = await run(store, simple(), simple())
    await store.runs.save_notes([(first, Notes()), (second, NOTES)])
    again = replace(second, notes=NOTES)
    assert (await store.runs.settle([end(first, notes=NOTES), retry(again)])).won == {
        first.id,
        second.id,
    }
    stored = await read(store, first, second)
    assert [job.notes if job else None for job in stored] == [NOTES, NOTES]
    (claimed,) = await store.queue.claim(claim(now=NOW + timedelta(hours=1)))
    assert claimed.notes == NOTES


@pytest.mark.parametrize("state", STATES)
async def test_a_state_is_kept(store: Store, state: Any) -> None:
    """Until it is replaced; through pause, retry and settlement."""
    job = await run_one(store)
    assert await store.runs.state(job.id) is None
    assert await store.runs.save_state(job, "older")
    assert await store.runs.save_state(job, state)
    assert await store.runs.state(job.id) == state
    await store.runs.settle([end(job, JobStatus.PAUSED, output=None)])
    (resumed,) = await store.queue.claim(claim())
    assert await store.runs.state(job.id) == state
    await store.runs.settle([end(resumed)])
    assert await store.runs.state(job.id) == state
    assert await store.runs.state(UNKNOWN) is None


async def test_it_is_no_part_of_a_job(store: Store) -> None:
    """A page of jobs does not carry it, nor does a claim."""
    job = await run_one(store)
    await store.runs.save_state(job, {"much": "x" * 1000})
    assert await read(store, job) == [job]
    assert await store.history.find(JobQuery()) == [job]


async def lost(store: Store) -> list[Job]:
    """Return jobs as a worker remembers them that has lost them, each in its own way."""
    taken, ended, retried, waiting = await run(store, *(simple() for _ in range(4)))
    await store.runs.move(WORKER, OTHER_WORKER)
    mine = [replace(job, worker_id=OTHER_WORKER) for job in (ended, retried, waiting)]
    await store.runs.settle([end(mine[0]), retry(mine[1], scheduled_for=NOW), retry(mine[2])])
    await store.queue.claim(claim(worker_id=OTHER_WORKER))
    return [taken, *mine]


async def test_what_was_taken_away_is_left(store: Store) -> None:
    """Another worker's, a settled one's, one of a later attempt, one that waits, one unknown."""
    jobs = [*await lost(store), simple(id=UNKNOWN, worker_id=WORKER)]
    before = await read(store, *jobs)
    still_mine = await run_one(store)
    await store.runs.save_notes([*((job, NOTES) for job in jobs), (still_mine, NOTES)])
    for job in jobs:
        assert not await store.runs.save_state(job, "mine")
        assert await store.runs.state(job.id) is None
    assert await read(store, *jobs, still_mine) == [*before, replace(still_mine, notes=NOTES)]


async def test_all_of_it_goes_when_sent_round_again(store: Store) -> None:
    """By hand: as if it had never run."""
    job = await run_one(store)
    await store.runs.save_state(job, "old")
    await store.runs.settle([end(job, notes=NOTES)])
    waiting = await store.history.requeue(job.id, NOW + SECOND)
    assert waiting is not None
    assert waiting.notes is None
    assert await read(store, job) == [waiting]
    assert await store.runs.state(job.id) is None
