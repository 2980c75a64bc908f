"""Tables of an older version are brought up to date, those of a newer one are left alone."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from bson import ObjectId

from job_processor import StoreSetupError
from job_processor.models import JobStatus, Message, Step
from job_processor.store.groups import GroupRecord
from job_processor.store.rates import Pace
from job_processor.store.requests import JobQuery, Outcome, Settlement
from job_processor.store.sqlite import SqliteStore, schema
from tests.samples import NOW, SOON, WORKER, claim, simple
from tests.store.contract.test_schedules import schedule
from tests.store.contract.test_waits import after

STEP = ("ALTER TABLE {tables.jobs} ADD COLUMN mood TEXT DEFAULT 'good'",)


async def make(path: Path) -> None:
    store = SqliteStore(path)
    await store.setup()
    await store.close()


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT value FROM job_processor_meta WHERE key='version'"
        return int(connection.execute(query).fetchone()[0])


def set_version(path: Path, value: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE job_processor_meta SET value=? WHERE key='version'", (value,))
        connection.commit()


def moods(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [mood for (mood,) in connection.execute("SELECT mood FROM job_processor_jobs")]


PRESENT = schema.VERSION


def come_to_next_version(monkeypatch: pytest.MonkeyPatch, *statements: str) -> None:
    """Let this installation be one that knows a version more."""
    monkeypatch.setattr(schema, "VERSION", PRESENT + 1)
    monkeypatch.setitem(schema._MIGRATIONS, PRESENT + 1, statements)


def take_labels_away(path: Path) -> None:
    """Make a file what it was before there were labels: version 10."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE job_processor_labels")
        connection.execute("ALTER TABLE job_processor_lanes DROP COLUMN grants")
        connection.execute("ALTER TABLE job_processor_jobs DROP COLUMN labels")
    set_version(path, 10)


def take_rates_away(path: Path) -> None:
    """Make a file what it was before a rate could have a key."""
    take_groups_away(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP INDEX job_processor_jobs_rate_lane")
        connection.execute("ALTER TABLE job_processor_jobs DROP COLUMN rate_lane")
        connection.execute("ALTER TABLE job_processor_workers DROP COLUMN rates")
    set_version(path, 7)


def take_flows_away(path: Path) -> None:
    """Make a file what it was before there were flows: version 9."""
    take_labels_away(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP INDEX job_processor_jobs_flow_history")
        connection.execute("ALTER TABLE job_processor_jobs DROP COLUMN flow")
    set_version(path, 9)


def take_groups_away(path: Path) -> None:
    """Make a file what it was before there were groups: version 8."""
    take_flows_away(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE job_processor_groups")
        for index in ("members", "open_members", "failed_members"):
            connection.execute(f"DROP INDEX job_processor_jobs_{index}")
        for column in ("group_id", "open_in", "failed_in"):
            connection.execute(f"ALTER TABLE job_processor_jobs DROP COLUMN {column}")
        connection.commit()
    set_version(path, 8)


def take_messages_away(path: Path) -> None:
    """Make a file what it was before a job could wait for a message."""
    take_rates_away(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE job_processor_messages")
        for index in ("topics", "timeouts"):
            connection.execute(f"DROP INDEX job_processor_jobs_{index}")
        connection.execute("ALTER TABLE job_processor_jobs DROP COLUMN topics")
    set_version(path, 6)


def take_waits_away(path: Path) -> None:
    """Make a file what it was before a job could come after others."""
    take_messages_away(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE job_processor_waits")
        connection.execute("ALTER TABLE job_processor_jobs DROP COLUMN waiting_for")
        connection.execute("ALTER TABLE job_processor_jobs DROP COLUMN followed")
    set_version(path, 4)


def take_limits_away(path: Path) -> None:
    """Make a file what it was before there were limits: version 3."""
    take_waits_away(path)
    with closing(sqlite3.connect(path)) as connection:
        for index in ("slots", "line", "lane", "parked", "expiring", "lane_history"):
            connection.execute(f"DROP INDEX job_processor_jobs_{index}")
        for column in ("lane", "slot", "ordered", "due", "parked", "line", "ready"):
            connection.execute(f"ALTER TABLE job_processor_jobs DROP COLUMN {column}")
        connection.execute("ALTER TABLE job_processor_workers DROP COLUMN limits")
        connection.commit()
    set_version(path, 3)


async def test_every_version_has_its_step() -> None:
    """From each older version there is a way to the present one."""
    assert sorted(schema._MIGRATIONS) == list(range(2, schema.VERSION + 1))


async def test_a_newer_version_is_refused(path: Path) -> None:
    """An old installation does not touch what a new one wrote; the error says what to do."""
    await make(path)
    set_version(path, schema.VERSION + 1)
    before = path.read_bytes()
    store = SqliteStore(path)
    with pytest.raises(StoreSetupError, match="newer job-processor") as caught:
        await store.setup()
    await store.close()
    assert str(path) in str(caught.value)
    assert "update this installation" in str(caught.value)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


async def test_an_older_version_is_brought_up_to_date(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first to come makes the step, once, and nothing is lost."""
    store = SqliteStore(path)
    await store.setup()
    ours = simple()
    await store.intake.insert([ours])
    await store.close()
    come_to_next_version(monkeypatch, *STEP)
    stores = [SqliteStore(path) for _ in range(5)]
    await asyncio.gather(*(each.setup() for each in stores))
    assert await stores[0].history.get(ours.id) == ours
    for each in stores:
        await each.close()
    assert version(path) == PRESENT + 1
    assert moods(path) == ["good"]


async def test_new_tables_need_no_step(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new file is made as the present version has it."""
    come_to_next_version(monkeypatch, "this is no statement")
    await make(path)
    assert version(path) == PRESENT + 1


async def test_a_step_that_fails_leaves_all_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step happens whole or not at all, so the older installation can go on."""
    await make(path)
    come_to_next_version(monkeypatch, *STEP, "this is no statement")
    store = SqliteStore(path)
    with pytest.raises(StoreSetupError, match="syntax error") as caught:
        await store.setup()
    await store.close()
    assert str(path) in str(caught.value)
    assert version(path) == PRESENT
    with pytest.raises(sqlite3.OperationalError, match="no such column"):
        moods(path)


async def test_a_file_of_the_first_version_keeps_steps(path: Path) -> None:
    """What was made before there were steps is served as any other, and keeps its jobs."""
    store = SqliteStore(path)
    await store.setup()
    ours = simple()
    await store.intake.insert([ours])
    await store.close()
    take_limits_away(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE job_processor_jobs DROP COLUMN steps")
    set_version(path, 1)
    store = SqliteStore(path)
    await store.setup()
    assert await store.history.get(ours.id) == ours
    (run,) = await store.queue.claim(claim())
    assert await store.runs.save_step(run, Step("charge", NOW, NOW, 7))
    assert await store.history.get(ours.id) == replace(run, steps=(Step("charge", NOW, NOW, 7),))
    await store.close()
    assert version(path) == PRESENT


async def test_a_file_of_an_older_version_gets_its_lanes(path: Path) -> None:
    """What was made before there were rates is served as any other, and keeps its jobs."""
    store = SqliteStore(path)
    await store.setup()
    ours = simple()
    await store.intake.insert([ours])
    await store.close()
    take_limits_away(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE job_processor_lanes")
    set_version(path, 2)
    store = SqliteStore(path)
    await store.setup()
    assert (await store.rates.reserve("rate:a", Pace.of(1, 60.0, 1), 1)).granted == 1
    assert await store.history.get(ours.id) == ours
    await store.close()
    assert version(path) == PRESENT


async def test_a_file_without_limits_gets_them(path: Path) -> None:
    """What was made before there were limits keeps its jobs, and from then on may limit them."""
    store = SqliteStore(path)
    await store.setup()
    ours = simple()
    await store.intake.insert([ours])
    await store.close()
    take_limits_away(path)
    again = SqliteStore(path)
    await again.setup()
    assert await again.history.get(ours.id) == ours
    in_lane = simple(lane="resize:a")
    assert await again.intake.insert([in_lane]) == []
    assert await again.history.get(in_lane.id) == in_lane
    await again.close()
    assert version(path) == PRESENT


async def test_a_file_without_waits_gets_them(path: Path) -> None:
    """What was made before a job could come after others keeps its jobs, which may be followed."""
    store = SqliteStore(path)
    await store.setup()
    ours = simple()
    await store.intake.insert([ours])
    await store.close()
    take_waits_away(path)
    again = SqliteStore(path)
    await again.setup()
    child = after(ours)
    assert await again.intake.insert([child]) == []
    assert await again.waits.follow([ours.id]) == {ours.id: JobStatus.PENDING}
    assert await again.history.get(ours.id) == replace(ours, followed=True)
    await again.kills.kill_waiting(ours.id, NOW)
    assert (await again.history.states_of([child.id]))[child.id].status is JobStatus.SKIPPED
    await again.close()
    assert version(path) == PRESENT


async def test_a_file_without_messages_gets_them(path: Path) -> None:
    """What was made before there were messages keeps its jobs, which may wait for one then."""
    store = SqliteStore(path)
    await store.setup()
    ours = simple()
    await store.intake.insert([ours])
    await store.close()
    take_messages_away(path)
    again = SqliteStore(path)
    await again.setup()
    (run,) = await again.queue.claim(claim())
    leaves = Outcome(JobStatus.PENDING, NOW, scheduled_for=SOON, topics=("paid",))
    assert (await again.runs.settle([Settlement(run, leaves, WORKER)])).won == {ours.id}
    assert await again.messages.put(Message("paid", 1, ObjectId(), NOW, SOON))
    assert await again.messages.deliver(["paid"], NOW) == 1
    await again.close()
    assert version(path) == PRESENT


async def test_a_file_without_schedules_gets_them(path: Path) -> None:
    """What was made before there were any keeps its jobs, and takes schedules."""
    store = SqliteStore(path)
    await store.setup()
    ours = simple()
    await store.intake.insert([ours])
    await store.close()
    take_messages_away(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE job_processor_schedules")
    set_version(path, 5)
    again = SqliteStore(path)
    await again.setup()
    made = schedule()
    assert await again.schedules.put(made, None)
    assert await again.schedules.get(made.name) == made
    assert await again.history.get(ours.id) == ours
    await again.close()
    assert version(path) == PRESENT


async def test_a_file_without_keys_of_rates_gets_them(path: Path) -> None:
    """What was made before a rate could have a key keeps its jobs, and takes others."""
    store = SqliteStore(path)
    await store.setup()
    ours = simple()
    await store.intake.insert([ours])
    await store.close()
    take_rates_away(path)
    again = SqliteStore(path)
    await again.setup()
    rated = simple(rate_lane="resize:a")
    assert await again.intake.insert([rated]) == []
    assert await again.history.get(ours.id) == ours
    assert await again.history.get(rated.id) == rated
    await again.close()
    assert version(path) == PRESENT


async def test_a_file_without_groups_gets_them(path: Path) -> None:
    """What was made before there were groups keeps its jobs, and from then on has groups."""
    store = SqliteStore(path)
    await store.setup()
    ours = simple()
    await store.intake.insert([ours])
    await store.close()
    take_groups_away(path)
    again = SqliteStore(path)
    await again.setup()
    assert await again.history.get(ours.id) == ours
    group = GroupRecord(id=ObjectId(), created_at=NOW, touched_at=NOW)
    await again.groups.open(group)
    member = simple(group=group.id)
    await again.intake.insert([member])
    assert await again.groups.open_of([group.id]) == {group.id}
    assert await again.history.get(member.id) == member
    await again.close()
    assert version(path) == PRESENT


async def test_a_file_without_flows_gets_them(path: Path) -> None:
    """What was made before there were flows keeps its jobs, which are of none."""
    store = SqliteStore(path)
    await store.setup()
    ours = simple()
    await store.intake.insert([ours])
    await store.close()
    take_flows_away(path)
    again = SqliteStore(path)
    await again.setup()
    of_flow = simple(flow=ObjectId(), flow_name="import")
    assert await again.intake.insert([of_flow]) == []
    assert await again.history.get(ours.id) == ours
    assert await again.history.find(JobQuery(flow=of_flow.flow)) == [of_flow]
    await again.close()
    assert version(path) == PRESENT


async def test_a_file_without_labels_gets_them(path: Path) -> None:
    """What was made before there were labels keeps its jobs, which have none."""
    store = SqliteStore(path)
    await store.setup()
    ours = simple()
    await store.intake.insert([ours])
    await store.close()
    take_labels_away(path)
    again = SqliteStore(path)
    await again.setup()
    labelled = simple(labels=("a",))
    assert await again.intake.insert([labelled]) == []
    assert await again.history.find(JobQuery()) == [labelled, ours]
    assert await again.history.find(JobQuery(labels=("a",))) == [labelled]
    await again.close()
    assert version(path) == PRESENT


async def test_what_an_older_release_removes_is_not_found(path: Path) -> None:
    """It goes on beside us and knows no labels: what it leaves of them finds no job."""
    store = SqliteStore(path)
    await store.setup()
    gone, stays = jobs = [simple(labels=("tenant:42",)), simple(labels=("tenant:42",))]
    await store.intake.insert(jobs)
    with closing(sqlite3.connect(path)) as older:
        older.execute("DELETE FROM job_processor_jobs WHERE id=?", (gone.id.binary,))
        older.commit()
    assert await store.history.find(JobQuery(labels=("tenant:42",))) == [stays]
    assert await store.history.count_matching(JobQuery(labels=("tenant:42",)), 10) == 1
    await store.close()
