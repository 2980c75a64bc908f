"""Groups: how they are kept, found, counted and mended; on every store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from job_processor.clock import Clock
from job_processor.jobs.intake import insert_or_skip
from job_processor.models import JobStatus
from job_processor.store import Store
from job_processor.store.groups import Callback
from job_processor.store.requests import JobQuery
from tests.samples import LATER, NOW, SOON, UNKNOWN, simple
from tests.store.contract.test_groups import (
    THEN,
    called,
    members,
    opened,
    record_of,
    running,
    settle,
)


async def test_what_an_older_program_settles_is_mended(store: Store) -> None:
    """A run that is settled by who knows no groups leaves it open, until that is mended."""
    group = await opened(store)
    await members(store, group, 2)
    await store.groups.seal(group.id)
    first, second = await running(store, 2)
    await settle(store, replace(first, group=None), status=JobStatus.ERRORED)
    await settle(store, replace(second, group=None))
    assert await called(store) == []
    (more,) = await members(store, group, 1)
    assert await store.groups.mend([group.id]) == 0, "something is active"
    assert await store.history.delete([more.id])
    await store.groups.mend([group.id])
    assert await store.groups.mend([group.id]) == 0
    await store.groups.look([group.id])
    assert [job.name for job in await called(store)] == ["alert"]


async def test_members_are_found_and_counted(store: Store) -> None:
    """Members are found by their group and its states, and counted by name and state."""
    group = await opened(store)
    jobs = await members(store, group, 3)
    await members(store, group, 1, name="other")
    await store.intake.insert([simple()])
    await store.kills.kill_waiting(jobs[0].id, SOON)
    found = await store.history.find(JobQuery(group=group.id, name="resize", oldest_first=True))
    assert [job.id for job in found] == [job.id for job in jobs]
    assert all(job.group == group.id for job in found)
    dead = JobQuery(group=group.id, status=JobStatus.KILLED)
    assert [job.id for job in await store.history.find(dead)] == [jobs[0].id]
    assert await store.history.count_matching(JobQuery(group=group.id), 100) == 4
    assert await store.groups.counts(group.id) == {
        "resize": {JobStatus.PENDING: 2, JobStatus.KILLED: 1},
        "other": {JobStatus.PENDING: 1},
    }
    assert await store.groups.counts(UNKNOWN) == {}


async def test_a_job_that_is_replaced_leaves_its_group(store: Store) -> None:
    """Whoever takes the place of a member takes it to his group, if he has one."""
    left, joined = await opened(store), await opened(store)
    await members(store, left, 1, unique_key="a")
    for group in (left, joined):
        await store.groups.seal(group.id)
    for group_id in (None, joined.id):
        new = simple(unique_key="a", group=group_id)
        (stored,) = await insert_or_skip(store, [new], Clock(), {new.id: "replace"})
        assert stored.group == (group_id or left.id)
    assert {job.callback_of for job in await called(store)} == {left.id, joined.id}


async def test_groups_are_listed(store: Store) -> None:
    """Groups come newest first; those that go on come oldest first."""
    groups = [await opened(store) for _ in range(4)]
    await store.groups.seal(groups[1].id)
    ids = [group.id for group in groups]
    assert [each.id for each in await store.groups.newest(None, 3)] == ids[:0:-1]
    assert [each.id for each in await store.groups.newest(ids[1], 3)] == [ids[0]]
    assert [each.id for each in await store.groups.unfinished(None, 2)] == [ids[0], ids[2]]
    assert [each.id for each in await store.groups.unfinished(ids[2], 2)] == [ids[3]]
    assert await store.groups.get(UNKNOWN) is None
    await store.groups.open(replace(groups[0], sealed=True))
    assert not (await record_of(store, groups[0])).sealed, "it is there already"


async def test_a_group_is_kept_as_long_as_its_members(store: Store) -> None:
    """Groups that ended before a time go with the history; those that go on stay."""
    ended, going_on = await opened(store), await opened(store)
    await store.groups.seal(ended.id)
    await store.history.prune(NOW, 100)
    assert await store.groups.get(ended.id) is not None
    await store.history.prune(LATER, 100)
    assert await store.groups.get(ended.id) is None
    assert await store.groups.get(going_on.id) is not None


async def test_every_field_is_kept(store: Store) -> None:
    """A group comes out as it went in."""
    callback = Callback(
        name="zip",
        payload={"at": NOW, "$ref": {"a.b": 1}},
        priority=3,
        exclusive=True,
        delay=1.5,
        not_before=LATER,
        expires_in=60.0,
        lane="zip:a",
        ordered="stop",
        traceparent="00-" + "0" * 51,
    )
    group = await opened(store, then=callback, catch=None, broken="it was", round=3)
    assert await record_of(store, group) == group


async def test_a_callback_begins_when_it_was_asked_to() -> None:
    """Times that were given as spans count from the end of the group; a moment is the earliest."""
    later = replace(THEN, delay=5.0, expires_in=10.0).job(UNKNOWN, UNKNOWN, NOW)
    assert later.scheduled_for == NOW + timedelta(seconds=5)
    assert later.expires_at == NOW + timedelta(seconds=10)
    assert replace(THEN, not_before=LATER).job(UNKNOWN, UNKNOWN, NOW).scheduled_for == LATER
    assert replace(THEN, not_before=NOW).job(UNKNOWN, UNKNOWN, LATER).scheduled_for == LATER
