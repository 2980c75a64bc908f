"""A claim reads few columns of plain jobs, and brings every job whole all the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from job_processor.models import Job, JobStatus
from job_processor.store.lanes import LaneClaim, LimitBook
from job_processor.store.sqlite import SqliteStore
from job_processor.store.sqlite.claimed import ALL, FEW, Shape
from tests.samples import NOW, SOON, WORKER, claim, occurrence, retry, simple

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


@pytest.mark.parametrize("shape", ["few", "every"])
@pytest.mark.parametrize("fields", [*PLAIN, *OTHERS], ids=lambda each: "-".join(each) or "plain")
async def test_each_job_of_a_lane_comes_whole(
    store: SqliteStore, shape: str, fields: dict[str, Any]
) -> None:
    """With its lane and its slot, beside others and those that are in no lane."""
    store.lanes.book = LimitBook(lambda: {"load": 9}, lambda: ["load"], lambda: NOW)
    jobs: list[Job] = [
        simple("load", lane="load"),
        simple("load", **{"lane": "load", **fields}),
        simple("load", lane="load", priority=-1),
        simple("load"),
    ]
    await store.intake.insert(jobs)
    bringing: Any = vars(vars(store.lanes)["keyless"])["_placed"]
    bringing.shape = getattr(bringing, shape)
    taken = await store.lanes.claim(LaneClaim(WORKER, ("load",), 10, SOON, others=True))
    assert {job.id for job in taken.jobs} == {job.id for job in jobs}
    stored = {job.id: job for job in await store.history.get_many([job.id for job in jobs])}
    assert taken.jobs == [stored[job.id] for job in taken.jobs]
    assert sorted(job.slot or "" for job in taken.jobs) == ["", *(f"load#{n}" for n in range(3))]
    assert bringing.shape is bringing.few


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


async def test_a_plain_job_of_another_writer_is_claimed(
    open_store: Callable[..., Any], path: Path
) -> None:
    """One with a time that is none, and a payload that is no JSON, does not keep others back."""
    store: SqliteStore = await open_store()
    jobs = [simple("load"), simple("load")]
    await store.intake.insert(jobs)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "UPDATE job_processor_jobs SET created_at=9000000000000000000, payload='{' WHERE id=?",
            (jobs[0].id.binary,),
        )
    claimed = await store.queue.claim(claim(10, "load", now=NOW))
    assert [job.status for job in claimed] == [JobStatus.RUNNING] * 2
    assert claimed[0] == await store.history.get(claimed[0].id)
