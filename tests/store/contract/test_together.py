"""Jobs that are claimed to run together; a store may make each of them once it is looked at."""

from __future__ import annotations

from typing import Any

from job_processor.models import Job, JobStatus, Output
from job_processor.store import Store
from job_processor.store.fresh import Fresh
from job_processor.store.requests import Outcome, Settlement
from tests.samples import (
    MS,
    NOW,
    OTHER_WORKER,
    SECOND,
    WORKER,
    Made,
    claim,
    end,
    read,
    retry,
    simple,
)

FINISHED = Outcome(JobStatus.FINISHED, NOW + 2 * SECOND, Output("3ms"))


async def together(store: Store, *jobs: Job) -> Fresh:
    """Insert jobs and claim them together."""
    assert await store.intake.insert(jobs) == []
    claimed = await store.queue.claim(claim(len(jobs), "resize", together=True))
    assert {job.id for job in claimed} == {job.id for job in jobs}
    return claimed if isinstance(claimed, Fresh) else Made(claimed)


PAYLOADS: list[dict[str, Any] | None] = [
    {"n": 1},
    None,
    {"at": NOW, "id": WORKER, "data": b"\0", "$date": 3},
    {"": []},
    {},
]


async def test_they_are_as_any_that_are_claimed(store: Store) -> None:
    """Each as it stands in the database, in the same order, and so are payloads, ids and times."""
    jobs = [simple(payload=each, scheduled_for=NOW - n * MS) for n, each in enumerate(PAYLOADS)]
    fresh = await together(store, *jobs)
    found = [job for job in await read(store, *fresh) if job is not None]
    assert list(fresh) == found == [fresh[i] for i in range(len(fresh))]
    assert [job.id for job in fresh] == [job.id for job in reversed(jobs)] == fresh.ids()
    assert fresh.payloads() == PAYLOADS[::-1]
    assert list(fresh.scheduled()) == [job.scheduled_for for job in found]
    assert {(job.started_at, job.updated_at, job.worker_id) for job in found} == {
        (fresh.claimed_at, fresh.claimed_at, WORKER)
    }


async def test_all_kinds_come_in_their_order(store: Store) -> None:
    """Those that are as most are, and those with more to them, as if each was claimed alone."""
    jobs = [
        simple(priority=2),
        simple(labels=("a",)),
        simple(priority=2, attempt=2),
        simple(exclusive=True),
        simple(),
        simple(updated_at=NOW + 60 * SECOND),
        simple(status=JobStatus.PAUSED, started_at=NOW),
    ]
    assert await store.intake.insert(jobs) == []
    claimed = await store.queue.claim(claim(9, "resize", together=True))
    assert list(claimed) == await read(store, *claimed)
    ordered = sorted(jobs, key=lambda job: (-job.priority, job.scheduled_for, job.id))
    assert [job.id for job in claimed] == [job.id for job in ordered]


async def test_one_end_of_all(store: Store) -> None:
    """Running → the outcome's state; each job stands as `Settlement.written()` says."""
    fresh = await together(store, *(simple() for _ in range(20)))
    assert await store.runs.settle_together(fresh, FINISHED)
    ends = [Settlement(job, FINISHED, WORKER) for job in fresh]
    assert await read(store, *fresh) == [each.written() for each in ends]


async def test_one_that_was_taken_away(store: Store) -> None:
    """It stays as it is, and each of the others is to be settled by itself."""
    fresh = await together(store, *(simple() for _ in range(3)))
    away = end(fresh[1], JobStatus.PAUSED, output=None, writer=OTHER_WORKER)
    assert (await store.runs.settle([away])).won
    assert not await store.runs.settle_together(fresh, FINISHED)
    ends = [Settlement(job, FINISHED, WORKER) for job in fresh]
    assert (await store.runs.settle(ends)).won == {fresh[0].id, fresh[2].id}
    assert await read(store, fresh[1]) == [away.written()]


async def test_one_that_is_followed(store: Store) -> None:
    """Each is settled by itself, so that whoever comes after that one is released."""
    fresh = await together(store, simple(), simple())
    await store.waits.follow([fresh[0].id])
    assert not await store.runs.settle_together(fresh, FINISHED)
    verdict = await store.runs.settle([Settlement(job, FINISHED, WORKER) for job in fresh])
    assert verdict.won == {job.id for job in fresh}


async def test_a_repetition(store: Store) -> None:
    """After a lost reply each is found to be written; nothing of a later run is touched."""
    fresh = await together(store, simple(), simple())
    assert await store.runs.settle_together(fresh, FINISHED)
    verdict = await store.runs.settle([Settlement(job, FINISHED, WORKER) for job in fresh])
    assert verdict.won == {job.id for job in fresh}


async def test_a_later_run_is_another(store: Store) -> None:
    """What was sent round, and runs again under the same worker, is not settled by an old end."""
    fresh = await together(store, simple())
    assert (await store.runs.settle([retry(fresh[0])])).won
    later = NOW + 3600 * SECOND
    (again,) = await store.queue.claim(claim(1, "resize", together=True, now=later))
    assert not await store.runs.settle_together(fresh, FINISHED)
    assert await read(store, again) == [again]
