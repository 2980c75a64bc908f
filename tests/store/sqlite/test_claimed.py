"""A claim reads few columns of plain jobs, and brings every job whole all the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from job_processor.models import Job, JobStatus
from job_processor.store.lanes import LaneClaim, LimitBook
from job_processor.store.requests import Outcome, Settlement
from job_processor.store.sqlite import SqliteStore
from job_processor.store.sqlite.claimed import ALL, FEW, Shape
from tests.samples import LATER, MS, NOW, SOON, WORKER, claim, occurrence, retry, simple

PLAIN: list[dict[str, Any]] = [
    {},
    {"payload": {"n": 1, "at": NOW}},
    {"priority": 3},
    {"scheduled_for": NOW - timedelta(seconds=2)},
]
OTHERS: list[dict[str, Any]] = [
    {"labels": ("a", "b")},
    {"unique_key": "k"},
    {"unique_key": "until", "unique_until": NOW},
    {"traceparent": "00-1"},
    {"expires_at": NOW + timedelta(days=1)},
    {"followed": True},
    {"group": ObjectId()},
    {"flow": ObjectId(), "flow_name": "load"},
    {"crashes": 1},
    {"sync": True},
    {"exclusive": True, "payload": {"n": 2}},
]


@pytest.fixture
def limited(store: SqliteStore) -> SqliteStore:
    """A store whose process knows a limit."""
    store.lanes.book = LimitBook(lambda: {"load": 9}, lambda: ["load"], lambda: NOW)
    return store


def bringing_of(store: SqliteStore, kind: str) -> Any:
    """Return how free jobs are read, which is the lanes' own affair."""
    return vars(vars(store.lanes)["keyless"])[kind]


def queue_of(store: SqliteStore) -> Any:
    """Return the desk, with what is its own affair."""
    return store.queue


@pytest.mark.parametrize("shape", [FEW, ALL], ids=["few", "all"])
@pytest.mark.parametrize("fields", [*PLAIN, *OTHERS], ids=lambda each: "-".join(each) or "plain")
async def test_each_job_comes_whole(
    store: SqliteStore, shape: Shape, fields: dict[str, Any]
) -> None:
    """Whatever it has, and whatever the jobs beside it have."""
    jobs: list[Job] = [simple("load"), simple("load", **fields), simple("load", priority=-1)]
    await store.intake.insert(jobs)
    queue_of(store)._shape = shape
    claimed = await store.queue.claim(claim(10, "load", now=NOW))
    assert {job.id for job in claimed} == {job.id for job in jobs}
    stored = {job.id: job for job in await store.history.get_many([job.id for job in jobs])}
    assert claimed == [stored[job.id] for job in claimed]
    assert [job.priority for job in claimed] == sorted((job.priority for job in jobs), reverse=True)


@pytest.mark.parametrize("lines", [1, 2])
@pytest.mark.parametrize("shape", ["few", "every"])
@pytest.mark.parametrize("fields", [*PLAIN, *OTHERS], ids=lambda each: "-".join(each) or "plain")
async def test_each_job_of_a_lane_comes_whole(
    limited: SqliteStore, shape: str, fields: dict[str, Any], lines: int
) -> None:
    """With its lane and its slot, beside others and those that are in no lane."""
    store, urgency = limited, fields.get("priority", 0)
    jobs: list[Job] = [
        simple("load", lane="load", priority=urgency),
        simple("load", **{"lane": "load", **fields}),
        simple("load", lane="load", priority=urgency if lines == 1 else -1),
        simple("load"),
    ]
    await store.intake.insert(jobs)
    for kind in ("_placed", "_of_line"):
        bringing = bringing_of(store, kind)
        bringing.shape = getattr(bringing, shape)
    taken = await store.lanes.claim(LaneClaim(WORKER, ("load",), 10, SOON, others=True))
    assert {job.id for job in taken.jobs} == {job.id for job in jobs}
    stored = {job.id: job for job in await store.history.get_many([job.id for job in jobs])}
    assert taken.jobs == [stored[job.id] for job in taken.jobs]
    assert sorted(job.slot or "" for job in taken.jobs) == ["", *(f"load#{n}" for n in range(3))]
    used = bringing_of(store, "_of_line" if lines == 1 else "_placed")
    assert used.shape is used.few


async def test_the_jobs_of_a_line_come_in_their_order(limited: SqliteStore) -> None:
    """The longest wait first, whichever was stored first."""
    jobs = [simple("load", lane="load", at=NOW + n * MS) for n in (3, 1, 2)]
    await limited.intake.insert(jobs)
    claimed = (await limited.lanes.claim(LaneClaim(WORKER, ("load",), 10, SOON))).jobs
    assert [job.id for job in claimed] == [jobs[n].id for n in (1, 2, 0)]


async def test_what_ran_before_in_a_lane_comes_whole(limited: SqliteStore) -> None:
    """With its number and its first start, beside one that never ran and one of a wrong clock."""
    store = limited
    await store.intake.insert([simple("load", lane="load") for _ in range(2)])
    failed, left = (await store.lanes.claim(LaneClaim(WORKER, ("load",), 10, SOON))).jobs
    again = Outcome(JobStatus.PENDING, LATER)
    await store.runs.settle([retry(failed), Settlement(left, again, WORKER)])
    late = LATER + timedelta(days=1)
    new = [simple("load", lane="load"), simple("load", lane="load", updated_at=late)]
    others = [simple("load", lane="load", attempt=2, at=NOW + n * MS) for n in (2, 1)]
    await store.intake.insert([*new, *others, *(simple("load", lane="load") for _ in range(3))])
    claimed = (await store.lanes.claim(LaneClaim(WORKER, ("load",), 10, late))).jobs
    found = {job.id: job for job in await store.history.get_many([job.id for job in claimed])}
    assert claimed == [found[job.id] for job in claimed]
    assert [found[job.id].attempt for job in (failed, left)] == [2, 1]
    assert [found[job.id].started_at for job in (failed, left)] == [SOON, SOON]
    assert [found[job.id].started_at for job in new] == [late, late + MS]
    assert claimed == sorted(claimed, key=attrgetter("scheduled_for", "id"))


async def test_what_ran_before_comes_whole(store: SqliteStore) -> None:
    """An occurrence of a cron, and a job that was tried, with its number and its first start."""
    await store.intake.insert([occurrence("tick", at=NOW), simple("tick")])
    first = await store.queue.claim(claim(10, "tick", now=NOW))
    assert sorted(job.type for job in first) == ["cron_task", "simple"]
    await store.runs.settle([retry(job) for job in first])
    queue_of(store)._shape = FEW
    later = NOW + timedelta(days=1)
    again = await store.queue.claim(claim(10, "tick", now=later))
    assert sorted(job.type for job in again) == ["cron_task", "simple"]
    stored = {job.id: job for job in await store.history.get_many([job.id for job in again])}
    assert {job.id: job for job in again} == stored
    assert [job.attempt for job in again] == [2, 2]


async def test_what_came_last_decides_how_the_next_are_read(store: SqliteStore) -> None:
    """All columns where most were no plain jobs: those would be read twice."""
    await store.intake.insert([simple("rich", labels=("a",)), simple("poor"), simple("poor")])
    for name, shape in (("rich", ALL), ("poor", FEW)):
        await store.queue.claim(claim(1, name, now=NOW))
        assert queue_of(store)._shape is shape


@pytest.mark.parametrize("lane", [None, "load"])
async def test_a_plain_job_of_another_writer_is_claimed(
    open_store: Callable[..., Any], path: Path, lane: str | None
) -> None:
    """One with a time that is none, and a payload that is no JSON, does not keep others back."""
    store: SqliteStore = await open_store()
    jobs = [simple("load", lane=lane), simple("load", lane=lane)]
    await store.intake.insert(jobs)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "UPDATE job_processor_jobs SET created_at=9000000000000000000, payload='{' WHERE id=?",
            (jobs[0].id.binary,),
        )
    claimed = await store.queue.claim(claim(10, "load", now=NOW))
    if lane is not None:
        claimed = (await store.lanes.claim(LaneClaim(WORKER, ("load",), 10, NOW))).jobs
    assert [job.status for job in claimed] == [JobStatus.RUNNING] * 2
    assert claimed[0] == await store.history.get(claimed[0].id)
