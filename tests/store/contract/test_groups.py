"""Groups: when they end, what follows, and every way in which a member ends; on every store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeAlias

import pytest
from bson import ObjectId

from job_processor.models import FAILED, Job, JobStatus, Output, SimpleJob
from job_processor.store import Store
from job_processor.store.groups import Callback, GroupRecord, callback_id
from job_processor.store.requests import JobQuery
from tests.samples import LATER, NOW, SOON, UNKNOWN, claim, end, retry, simple

THEN, CATCH = Callback(name="zip", payload={"n": 1}), Callback(name="alert")


async def opened(store: Store, **fields: Any) -> GroupRecord:
    """Open a group."""
    given = {"then": THEN, "catch": CATCH, **fields}
    record = GroupRecord(id=ObjectId(), created_at=NOW, touched_at=NOW, **given)
    await store.groups.open(record)
    store.groups.now = lambda: SOON
    return record


async def members(store: Store, group: GroupRecord, count: int, **of: Any) -> list[SimpleJob]:
    """Add so many members."""
    jobs = [simple(group=group.id, **of) for _ in range(count)]
    assert await store.intake.insert(jobs) == []
    return jobs


async def running(store: Store, count: int) -> Sequence[Job]:
    """Claim so many jobs."""
    jobs = await store.queue.claim(claim(count))
    assert len(jobs) == count
    return jobs


async def settle(store: Store, *jobs: Job, status: JobStatus = JobStatus.FINISHED) -> None:
    """End runs, all in one batch."""
    verdict = await store.runs.settle([end(job, status) for job in jobs])
    assert verdict.won == {job.id for job in jobs}


async def record_of(store: Store, group: GroupRecord) -> GroupRecord:
    """Return a group as it stands."""
    found = await store.groups.get(group.id)
    assert found is not None
    return found


async def called(store: Store) -> list[Job]:
    """Return the callbacks that were made."""
    return await store.history.find(JobQuery(names=("zip", "alert")))


async def test_a_group_ends_when_its_last_member_does(store: Store) -> None:
    """Sealed, it ends with its last member; the callback is made with an id of its round."""
    group = await opened(store)
    await members(store, group, 3)
    assert await store.groups.seal(group.id)
    first, second, third = await running(store, 3)
    await settle(store, first, second)
    assert (await record_of(store, group)).completed_at is None
    assert await called(store) == []
    await settle(store, third)
    ended = await record_of(store, group)
    assert (ended.completed_at, ended.failed, ended.unfinished) == (SOON, False, False)
    (then,) = await called(store)
    assert isinstance(then, SimpleJob)
    assert (then.id, then.name) == (callback_id(group.id, 1, "then"), "zip")
    assert (then.payload, then.callback_of, then.group) == ({"n": 1}, group.id, None)
    assert (then.status, then.scheduled_for) == (JobStatus.PENDING, SOON)


async def test_an_open_group_does_not_end(store: Store) -> None:
    """Whatever its members do, it ends no sooner than it is sealed; empty, at once."""
    group, empty = await opened(store), await opened(store)
    await members(store, group, 1)
    await settle(store, *await running(store, 1))
    assert (await record_of(store, group)).completed_at is None
    assert await store.groups.seal(group.id)
    assert await store.groups.seal(empty.id)
    assert not await store.groups.seal(group.id)
    assert {job.callback_of for job in await called(store)} == {group.id, empty.id}


async def test_one_that_failed_calls_catch(store: Store) -> None:
    """One member that has not finished is enough for `catch`, once all have ended."""
    group = await opened(store)
    await members(store, group, 2)
    await store.groups.seal(group.id)
    first, second = await running(store, 2)
    await settle(store, first, status=JobStatus.ERRORED)
    assert await called(store) == []
    await settle(store, second)
    (catch,) = await called(store)
    assert (catch.id, catch.name) == (callback_id(group.id, 1, "catch"), "alert")
    assert (await record_of(store, group)).failed


async def test_a_retry_is_no_end(store: Store) -> None:
    """A member that is tried again stays open, and its failures do not count if it finishes."""
    group = await opened(store)
    await members(store, group, 1)
    await store.groups.seal(group.id)
    (job,) = await running(store, 1)
    assert (await store.runs.settle([retry(job)])).won
    assert await called(store) == []
    (again,) = await store.queue.claim(claim(1, now=LATER))
    assert again.group == group.id
    await settle(store, again)
    assert [job.name for job in await called(store)] == ["zip"]


async def killed(store: Store, job: Job) -> None:
    """Kill what waits."""
    assert await store.kills.kill_waiting(job.id, SOON) is not None


async def deleted(store: Store, job: Job) -> None:
    """Delete what waits."""
    assert await store.history.delete([job.id]) == {job.id}


async def run_to(status: JobStatus, store: Store) -> None:
    """Let the one that waits run, and end so."""
    await settle(store, *await running(store, 1), status=status)


async def errored(store: Store, _: Job) -> None:
    """Let it fail."""
    await run_to(JobStatus.ERRORED, store)


async def skipped(store: Store, _: Job) -> None:
    """Let it be skipped, as one that has expired is."""
    await run_to(JobStatus.SKIPPED, store)


async def finished(store: Store, _: Job) -> None:
    """Let it finish."""
    await run_to(JobStatus.FINISHED, store)


async def noted(store: Store, _: Job) -> None:
    """Let it finish with all that an end may write."""
    (job,) = await running(store, 1)
    assert (await store.runs.settle([end(job, bare=True, crashes=2)])).won


Way: TypeAlias = Callable[[Store, Job], Awaitable[None]]
WAYS: list[tuple[Way, str]] = [
    (killed, "alert"),
    (deleted, "zip"),
    (errored, "alert"),
    (skipped, "alert"),
    (finished, "zip"),
    (noted, "zip"),
]


@pytest.mark.parametrize(("way", "follows"), WAYS, ids=[way.__name__ for way, _ in WAYS])
@pytest.mark.parametrize("laned", [False, True])
async def test_every_end_counts(store: Store, way: Way, follows: str, laned: bool) -> None:
    """However its last member ends, a group ends with it; one that is deleted counts no more."""
    group = await opened(store)
    (job,) = await members(store, group, 1)
    if laned:  # it leaves its lane as it begins, and stays a member
        await store.history.delete([job.id])
        (job,) = await members(store, group, 1, lane="resize:a")
        await store.lanes.dissolve(["resize:a"], ["resize"], 10)
    await store.groups.seal(group.id)
    assert await called(store) == []
    await way(store, job)
    assert [each.name for each in await called(store)] == [follows]


@pytest.mark.parametrize("times", [10, pytest.param(1000, marks=pytest.mark.soak)])
async def test_last_two_at_once(stores: Any, times: int) -> None:
    """Of members that end at the same moment, one ends the group: one callback."""
    one, other = await stores.several(2)
    for _ in range(times):
        group = await opened(one)
        other.groups.now = one.groups.now
        await members(one, group, 2)
        await one.groups.seal(group.id)
        first, second = await running(one, 2)
        await asyncio.gather(settle(one, first), settle(other, second))
        assert not (await record_of(one, group)).unfinished
    assert len(await one.history.find(JobQuery(name="zip", limit=2 * times))) == times


async def test_sealed_while_the_last_one_ends(stores: Any) -> None:
    """Whoever comes second, the one that seals or the last member, ends the group."""
    one, other = await stores.several(2)
    group = await opened(one)
    other.groups.now = one.groups.now
    await members(one, group, 1)
    (job,) = await running(one, 1)
    await asyncio.gather(settle(one, job), other.groups.seal(group.id))
    assert [job.name for job in await called(one)] == ["zip"]


async def test_what_follows_is_done_again_and_once(store: Store) -> None:
    """Whoever died between the end of a group and its callback owes it; twice makes one."""
    group = await opened(store)
    await store.groups.seal(group.id)
    ended = await record_of(store, group)
    owing = replace(ended, unfinished=True)
    assert owing.owes
    await store.groups.serve(owing)
    assert len(await called(store)) == 1
    assert not (await record_of(store, group)).unfinished


async def test_a_callback_that_is_in_the_way_of_another_waits(store: Store) -> None:
    """Where an exclusive job of its name is active, the callback is owed until that has ended."""
    group = await opened(store, then=replace(THEN, exclusive=True))
    other = simple("zip", exclusive=True)
    await store.intake.insert([other])
    await store.groups.seal(group.id)
    assert [job.id for job in await called(store)] == [other.id]
    (owing,) = await store.groups.unfinished(None, 10)
    assert owing.owes
    await store.kills.kill_waiting(other.id, SOON)
    await store.groups.serve(owing)
    assert {job.callback_of for job in await called(store)} == {None, group.id}
    assert await store.groups.unfinished(None, 10) == []


async def test_another_round(store: Store) -> None:
    """Opened once more it gets a new round, whose callback is another one."""
    group = await opened(store)
    await members(store, group, 2)
    assert await store.groups.reopen(group.id, NOW) is None, "it is open"
    await store.groups.seal(group.id)
    first, second = await running(store, 2)
    await settle(store, first, status=JobStatus.ERRORED)
    await settle(store, second)
    again = await store.groups.reopen(group.id, NOW)
    assert again is not None
    assert (again.round, again.sealed, again.completed_at, again.unfinished) == (
        2,
        False,
        None,
        True,
    )
    assert await store.history.requeue(first.id, NOW) is not None
    await store.groups.seal(group.id)
    assert (await record_of(store, group)).completed_at is None
    await settle(store, *await running(store, 1))
    assert {job.id for job in await called(store)} == {
        callback_id(group.id, 1, "catch"),
        callback_id(group.id, 2, "then"),
    }


async def test_sent_round_again_before_the_end(store: Store) -> None:
    """A member that failed and is retried by hand before its group has ended is waited for."""
    group = await opened(store)
    await members(store, group, 2)
    await store.groups.seal(group.id)
    first, second = await running(store, 2)
    await settle(store, first, status=JobStatus.ERRORED)
    await store.history.requeue(first.id, NOW)
    await settle(store, second)
    assert await called(store) == []
    again = await store.groups.reopen(group.id, NOW)
    assert again is not None
    assert again.round == 1
    await store.groups.seal(group.id)
    await settle(store, *await running(store, 1))
    assert [job.name for job in await called(store)] == ["zip"]


async def test_one_that_is_broken_off_cannot_end_well(store: Store) -> None:
    """A group that is broken off, or was left open, calls `catch` whatever its members do."""
    left, killed, filled = [await opened(store) for _ in range(3)]
    assert not await store.groups.abandon(filled.id, NOW - timedelta(hours=1), "left")
    assert await store.groups.touch(filled.id, LATER)
    assert not await store.groups.abandon(filled.id, SOON, "left")
    assert await store.groups.abandon(left.id, SOON, "left")
    assert await store.groups.break_off(killed.id, "killed")
    assert not await store.groups.touch(left.id, LATER)
    await store.groups.look([left.id, killed.id, filled.id])
    assert {(job.name, job.callback_of) for job in await called(store)} == {
        ("alert", left.id),
        ("alert", killed.id),
    }
    assert (await record_of(store, left)).broken == "left"
    assert not await store.groups.break_off(left.id, "too late")


def test_members_tell_which_group_waits_for_them() -> None:
    """A member is open in its group while it is active, and has failed in it unless it finished."""
    for status in JobStatus:
        job = simple(group=UNKNOWN, status=status, output=Output("--"))
        assert (job.open_in is not None) == (not job.settled and status is not JobStatus.ACTIVE)
        assert (job.failed_in is not None) == (status in FAILED)
    assert (simple().open_in, simple(status=JobStatus.KILLED).failed_in) == (None, None)
