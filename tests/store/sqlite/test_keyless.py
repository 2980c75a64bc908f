"""Free jobs of lanes without a key in SQLite: their limit costs them no index, and holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from job_processor.clock import FAR, to_ms
from job_processor.errors import StoreRefusedError
from job_processor.models import Job, JobStatus, SimpleJob
from job_processor.store.lanes import LaneClaim, LimitBook
from job_processor.store.sqlite import SqliteStore
from job_processor.store.sqlite.tables import SLOTTED
from tests.samples import LATER, MS, NOW, SOON, WORKER, claim, end, retry, simple

AFAR = datetime(8340, 5, 1, tzinfo=UTC)
"""So far away that free jobs are put off to there."""

SQL = "SELECT due, line, ready, parked FROM job_processor_jobs WHERE id=?"


def free_job(n: int = 0, name: str = "sync", lane: str = "sync", **fields: Any) -> SimpleJob:
    """Return the n-th job of a lane without a key."""
    return simple(name, **{"at": NOW + n * MS, "lane": lane, **fields})


@pytest.fixture
def limited(store: SqliteStore) -> SqliteStore:
    """A store whose process knows a limit of two, of one or several names."""
    amounts = {"sync": 2, "stripe": 2}
    store.lanes.book = LimitBook(lambda: amounts, lambda: ["sync", "charge"], lambda: SOON)
    return store


async def taken(store: SqliteStore, limit: int = 10, **of: Any) -> list[Job]:
    """Claim of lanes."""
    names = ("sync", "charge", "refund")
    return (await store.lanes.claim(LaneClaim(WORKER, names, limit, SOON, **of))).jobs


async def ask(store: SqliteStore, sql: str, *values: object) -> list[Any]:
    """Run a statement of a test."""

    def run(connection: sqlite3.Connection) -> list[Any]:
        return connection.execute(sql, values).fetchall()

    return await store._connections.writer.call(run)


async def put_in_line(store: SqliteStore, job: Job) -> None:
    """Let a job stand as programs leave it that know lines only."""
    await ask(
        store,
        "UPDATE job_processor_jobs SET due=?1, ready=?1, line='#'||name, scheduled_for=?2 "
        "WHERE id=?3",
        to_ms(job.scheduled_for),
        to_ms(FAR),
        job.id.binary,
    )


async def test_a_free_job_is_in_no_index_of_lanes(limited: SqliteStore) -> None:
    """It has no place of its own, is told with its true time, and no claim of others meets it."""
    job = free_job()
    await limited.intake.insert([job])
    assert await ask(limited, SQL, job.id.binary) == [(None,) * 4]
    assert await limited.history.get(job.id) == job
    assert (await limited.history.summaries_of([job.id]))[0].scheduled_for == job.scheduled_for
    assert await limited.queue.claim(claim(10, "sync", now=LATER)) == []
    assert await limited.queue.next_due(["sync"]) is None
    assert await limited.lanes.next_ready(["sync"], None) == job.scheduled_for
    (run,) = await taken(limited)
    assert (run.slot, run.scheduled_for, run.status) == (
        *("sync#0", job.scheduled_for),
        JobStatus.RUNNING,
    )


async def test_a_retry_is_free_again(limited: SqliteStore) -> None:
    """What waits for its next attempt stands as a new one does, without its slot."""
    await limited.intake.insert([free_job()])
    (run,) = await taken(limited)
    await limited.runs.settle([retry(run)])
    assert await ask(limited, SQL, run.id.binary) == [(None,) * 4]
    again = await limited.history.get(run.id)
    assert again is not None
    assert (again.slot, again.scheduled_for) == (None, retry(run).outcome.scheduled_for)


async def test_who_stands_in_line_has_the_same_slots(limited: SqliteStore) -> None:
    """Beside programs that put jobs of such lanes in line none is exceeded, and age decides."""
    jobs = [free_job(n) for n in range(4)]
    await limited.intake.insert(jobs)
    for job in jobs[1:3]:
        await put_in_line(limited, job)
    first = await taken(limited, 1)
    assert [run.id for run in first] == [jobs[0].id]
    second = await taken(limited)
    assert [run.id for run in second] == [jobs[1].id]
    assert {run.slot for run in (*first, *second)} == {"sync#0", "sync#1"}
    assert await taken(limited) == []
    await limited.runs.settle([end(run) for run in (*first, *second)])
    assert {run.id for run in await taken(limited)} == {jobs[2].id, jobs[3].id}


async def test_a_group_shares_its_slots(limited: SqliteStore) -> None:
    """Of all names and priorities of a lane no more start than it has slots, the first first."""
    jobs = [
        free_job(3, "charge", "stripe"),
        free_job(1, "refund", "stripe"),
        free_job(2, "charge", "stripe", priority=1),
        free_job(4, "sync"),
        free_job(5, "sync"),
        free_job(6, "sync"),
    ]
    await limited.intake.insert(jobs)
    found = await limited.lanes.claim(
        LaneClaim(WORKER, ("sync", "charge", "refund"), 10, SOON, frozenset([jobs[3].id]))
    )
    assert [run.id for run in found.jobs] == [jobs[n].id for n in (2, 1, 4, 5)]
    assert found.blocked


async def test_without_an_amount_none_needs_a_slot(store: SqliteStore) -> None:
    """Where nothing limits a lane any more its jobs run, by whoever claims of lanes."""
    await store.intake.insert([free_job(n) for n in range(5)])
    assert [run.slot for run in await taken(store)] == [None] * 5


async def test_a_slot_that_is_taken_is_given_to_nobody(limited: SqliteStore) -> None:
    """The unique index has it, whatever a statement says: then nothing is claimed."""
    await limited.intake.insert([free_job(n) for n in range(2)])
    (run,) = await taken(limited, 1)
    other = free_job(9)
    await limited.intake.insert([other])
    with pytest.raises(Exception, match="UNIQUE"):
        await ask(
            limited,
            "UPDATE job_processor_jobs SET status='running', slot=? WHERE id=?",
            *(run.slot, other.id.binary),
        )


@pytest.mark.parametrize("end_of", ["killed", "parked", "dissolved"])
async def test_its_true_time_is_back_wherever_it_goes(limited: SqliteStore, end_of: str) -> None:
    """Killed, parked or in no lane any more, it has its own time and no other."""
    job = free_job()
    await limited.intake.insert([job])
    desk = limited.lanes
    if end_of == "killed":
        assert await limited.kills.kill_waiting(job.id, SOON)
    elif end_of == "parked":
        assert await desk.park([job.id], "parent", SOON) == 1
        assert await desk.release([job.id], SOON) == 1
        assert len(await taken(limited)) == 1
    else:
        assert await desk.waiting("", 10) == ["sync"]
        assert await desk.dissolve(["sync"], ["sync"], 10) == 1
        assert len(await limited.queue.claim(claim(10, "sync"))) == 1
    there = await limited.history.get(job.id)
    assert there is not None
    assert there.scheduled_for == job.scheduled_for
    rows = await ask(limited, "SELECT scheduled_for FROM job_processor_jobs")
    assert rows == [(to_ms(job.scheduled_for),)]


async def test_a_year_that_far_away_stays_what_it_is(limited: SqliteStore) -> None:
    """What is to begin in that year, in a lane or not, is no free job: it waits, and says so."""
    jobs = [
        free_job(scheduled_for=AFAR),
        simple("sync", scheduled_for=AFAR),
        free_job(status=JobStatus.KILLED, scheduled_for=AFAR, ended_at=NOW),
    ]
    await limited.intake.insert(jobs)
    assert await taken(limited) == []
    for job in jobs:
        assert await limited.history.get(job.id) == job
    assert await limited.lanes.next_ready(["sync"], None) == AFAR
    await limited.intake.insert([free_job()])
    assert len(await taken(limited)) == 1


async def test_what_is_in_no_lane_comes_with_them(limited: SqliteStore) -> None:
    """One claim is enough for names with a limit, where that is asked for."""
    await limited.intake.insert([simple("sync"), free_job(1), simple("other")])
    assert [job.lane for job in await taken(limited, 1)] == ["sync"]
    assert [job.lane for job in await taken(limited, others=True)] == [None]


async def test_it_is_seen_where_it_waits(limited: SqliteStore) -> None:
    """Counts, turns and what is due know the free ones of a lane."""
    jobs = [free_job(n, priority=n % 2) for n in range(5)]
    later = free_job(scheduled_for=LATER + timedelta(hours=1))
    await limited.intake.insert([*jobs, later])
    (stand,) = await limited.lanes.look_at(["sync"], 10)
    assert (stand.in_line, stand.parked) == (6, 0)
    assert stand.next is not None
    assert stand.next.id == jobs[1].id
    _, turns = await limited.lanes.members("sync", 10)
    assert turns == [jobs[n].id for n in (1, 3, 0, 2, 4)] + [later.id]
    assert await limited.queue.count_due(["sync"], SOON, 10) == {"sync": 5}
    assert (await limited.workers.vitals(set())).due_since == jobs[0].scheduled_for
    due = await limited.queue.due(SOON, 10, set())
    assert [each.id for each in due] == [job.id for job in jobs]


async def test_what_may_expire_stands_in_line(limited: SqliteStore) -> None:
    """What has more to it than its time and its lane is found by the indexes of lanes."""
    jobs: Sequence[SimpleJob] = [
        free_job(expires_at=LATER),
        free_job(ordered="continue"),
        free_job(rate_lane="rate"),
        free_job(lane="sync:a"),
    ]
    await limited.intake.insert(jobs)
    for job in jobs:
        ((due, line, *_),) = await ask(limited, SQL, job.id.binary)
        assert (due, line[1:]) == (to_ms(job.scheduled_for), "sync")


async def test_the_index_of_slots_serves_older_programs(
    path: Path, open_store: Callable[..., Any]
) -> None:
    """It is made anew under its name; statements that name it find it, and it means the same."""
    old = f"ON job_processor_jobs (slot) WHERE {SLOTTED}"
    store = await open_store()
    jobs = [
        free_job(slot="sync#0", status=JobStatus.RUNNING, worker_id=WORKER),
        free_job(slot="sync#1", status=JobStatus.FINISHED, ended_at=NOW),
        free_job(slot="sync#2", status=JobStatus.ERRORED, ordered="stop", ended_at=NOW),
    ]
    await store.intake.insert(jobs)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP INDEX job_processor_jobs_slots")
        connection.execute(f"CREATE UNIQUE INDEX job_processor_jobs_slots {old}")
        connection.execute("ALTER TABLE job_processor_lanes DROP COLUMN grants")
        connection.execute("UPDATE job_processor_meta SET value=12 WHERE key='version'")
        connection.commit()
    await open_store()
    slots = "job_processor_jobs INDEXED BY job_processor_jobs_slots"
    found = await ask(store, f"SELECT slot FROM {slots} WHERE slot>'sync#' AND {SLOTTED}")  # noqa: S608
    assert [slot for (slot,) in found] == ["sync#0", "sync#2"]
    with pytest.raises(StoreRefusedError):
        await store.intake.insert([replace(jobs[0], id=ObjectId())])
