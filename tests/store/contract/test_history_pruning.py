"""`prune`: old history goes, the rest stays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from job_processor.models import ACTIVE, SETTLED, JobStatus
from job_processor.store import Store
from tests.samples import MS, NOW, WORKER, occurrence, read, simple
from tests.store.contract.conftest import Stores

BEFORE = NOW - timedelta(days=30)
LONG_AGO = BEFORE - timedelta(days=10)
"""Less than 90 days ago: what is older MongoDB removes by itself."""


@pytest.fixture
async def store(stores: Stores) -> Store:
    """A store that keeps its history for less time than the database itself would."""
    return await stores.open(history_days=30)


async def test_what_has_settled_before_a_time_is_removed(store: Store) -> None:
    """Settled and ended before → absent, jobs and cron tasks; what ended later stays."""
    fields: list[dict[str, Any]] = [
        {"status": status, "ended_at": BEFORE - MS} for status in sorted(SETTLED)
    ]
    old = [simple(**each) for each in fields]
    task = occurrence(scheduled_for=LONG_AGO, **fields[0])
    recent = [simple(status=status, ended_at=BEFORE) for status in sorted(SETTLED)]
    await store.intake.insert([*old, task, *recent])
    assert await store.history.prune(BEFORE, 100) == 5
    assert await read(store, *old, task) == [None] * 5
    assert await read(store, *recent) == recent
    assert await store.history.prune(BEFORE, 100) == 0


async def test_what_is_active_stays_however_old(store: Store) -> None:
    """A job that waits or runs is no history."""
    jobs = [simple(status=status, at=LONG_AGO, worker_id=WORKER) for status in sorted(ACTIVE)]
    await store.intake.insert(jobs)
    assert await store.history.prune(BEFORE, 100) == 0
    assert await read(store, *jobs) == jobs


async def test_no_more_than_the_limit_is_removed(store: Store) -> None:
    """Each call removes at most so many, until there are no more."""
    jobs = [simple(status=JobStatus.FINISHED, ended_at=LONG_AGO) for _ in range(5)]
    await store.intake.insert(jobs)
    assert [await store.history.prune(BEFORE, limit) for limit in (2, 0, 2, 2, 2)] == [
        2,
        0,
        2,
        1,
        0,
    ]


@pytest.mark.parametrize("later", [-5, 5])
async def test_errored_jobs_have_a_time_of_their_own(store: Store, later: int) -> None:
    """They go by it, sooner or later than the others, whose time stays as it is."""
    errored_before = BEFORE - timedelta(days=later)
    finished, errored = (
        [simple(status=status, ended_at=moment + shift) for shift in (-MS, timedelta(0))]
        for status, moment in (
            (JobStatus.FINISHED, BEFORE),
            (JobStatus.ERRORED, errored_before),
        )
    )
    await store.intake.insert([*finished, *errored])
    assert await store.history.prune(BEFORE, 100, errored_before) == 2
    assert await read(store, *finished) == [None, finished[1]]
    assert await read(store, *errored) == [None, errored[1]]


async def test_the_limit_is_of_both_together(store: Store) -> None:
    """Errored ones and the others, until there are no more."""
    statuses = [JobStatus.FINISHED, JobStatus.ERRORED] * 3
    await store.intake.insert([simple(status=each, ended_at=LONG_AGO) for each in statuses])
    removed = [await store.history.prune(BEFORE, limit, BEFORE) for limit in (2, 2, 0, 5)]
    assert removed == [2, 2, 0, 2]


async def test_errored_jobs_alone(stores: Stores) -> None:
    """They go sooner than a database removes all the others by itself."""
    store = await stores.open(history_days=90)
    old = [simple(status=each, ended_at=LONG_AGO) for each in (JobStatus.ERRORED,) * 2]
    kept = simple(status=JobStatus.KILLED, ended_at=LONG_AGO)
    await store.intake.insert([*old, kept])
    assert await store.history.prune(LONG_AGO - MS, 100, BEFORE) == 2
    assert await read(store, kept) == [kept]
