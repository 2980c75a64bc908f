"""Messages by name, and the jobs that wait for them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from job_processor import JobStatus, StoreRefusedError
from job_processor.models import Job, Lane, Message, SimpleJob
from job_processor.store import Store
from job_processor.store.messages import Wait
from job_processor.store.requests import JobQuery, Outcome, Settlement
from tests.samples import (
    MS,
    NOW,
    SECOND,
    SOON,
    UNKNOWN,
    WORKER,
    claim,
    occurrence,
    read,
    run,
    run_one,
    simple,
)
from tests.store.contract.conftest import Stores

TOPICS = ["paid:42", "a.b", "$set", "é✓", '"quoted"', "[", "=", "a,b", "paid:%", "PAID:42"]
"""Names are any text, whatever it means to a database."""

PAYLOADS: list[Any] = [{"amount": 7, "at": NOW, "id": ObjectId(), "$date": 3}, [1, None], "x", 0]

HOUR = timedelta(hours=1)
LATER = NOW + HOUR


def message(topic: str = "paid:42", payload: Any = 1, at: datetime = NOW) -> Message:
    """Return a message that is kept for an hour."""
    return Message(topic, payload, ObjectId(), at, at + HOUR)


def leaving(job: Job, *topics: str, until: datetime = LATER) -> Settlement:
    """Return the end of a run whose handler waits."""
    outcome = Outcome(JobStatus.PENDING, SOON, scheduled_for=until, topics=topics or ("paid:42",))
    return Settlement(job, outcome, WORKER)


async def parked(store: Store, *topics: str, until: datetime = LATER, **fields: Any) -> Job:
    """Return a job that has run and waits for these messages."""
    (job,) = await run(store, simple(**fields))
    settlement = leaving(job, *topics, until=until)
    assert (await store.runs.settle([settlement])).won == {job.id}
    return settlement.written()


async def stands(store: Store, job: Job) -> Job:
    """Return a job as it is in the database."""
    (found,) = await read(store, job)
    assert found is not None
    return found


@pytest.mark.parametrize("topic", TOPICS)
async def test_a_message_is_found_by_its_name(store: Store, topic: str) -> None:
    """With its payload, and only until its time is over."""
    sent = {f"{topic}{i}": message(f"{topic}{i}", payload) for i, payload in enumerate(PAYLOADS)}
    for each in sent.values():
        assert await store.messages.put(each)
    assert await store.messages.find([*sent, topic], LATER - MS) == sent
    assert await store.messages.find(list(sent), LATER) == {}


async def test_the_first_of_a_name_wins(store: Store) -> None:
    """The second is told so; the first again, whose reply was lost, is told that it won."""
    first, second = message(payload="first"), message(payload="second", at=NOW + SECOND)
    assert await store.messages.put(first)
    assert not await store.messages.put(second)
    assert await store.messages.put(first)
    assert await store.messages.find(["paid:42"], NOW) == {"paid:42": first}
    late = message(payload="late", at=first.expires_at)
    assert await store.messages.put(late)
    assert await store.messages.find(["paid:42"], LATER) == {"paid:42": late}


async def test_of_many_at_once_one_wins(stores: Stores) -> None:
    """And it is the one that everybody finds."""
    several = await stores.several(4)
    sent = [message(payload=i) for i in range(4)]
    won = await asyncio.gather(
        *(each.messages.put(one) for each, one in zip(several, sent, strict=True))
    )
    assert sum(won) == 1
    (found,) = (await several[0].messages.find(["paid:42"], NOW)).values()
    assert found.payload == won.index(True)


async def test_what_cannot_be_stored_is_refused(store: Store) -> None:
    """And nothing is written."""
    with pytest.raises(StoreRefusedError):
        await store.messages.put(message(payload={"x": "\ud800"}))
    assert await store.messages.find(["paid:42"], NOW) == {}


@pytest.mark.parametrize("topic", TOPICS)
async def test_who_waits_is_parked_until_a_time(store: Store, topic: str) -> None:
    """No claim meets it, also when its time has come; it says for what it waits, and until when."""
    job = await parked(store, topic)
    assert await read(store, job) == [job]
    assert job.waits_for == f"the message {topic} until {LATER:%Y-%m-%d %H:%M:%S} UTC"
    assert await store.queue.claim(claim(now=LATER + HOUR)) == []
    assert await store.queue.next_due([job.name]) is None
    assert await store.queue.due(LATER + HOUR, 10) == []
    assert await store.lanes.parked([job.name], 10) == {job.name: 1}
    (summary,) = await store.history.summaries(JobQuery())
    assert summary.waits_for == job.waits_for


@pytest.mark.parametrize("topic", TOPICS)
async def test_a_message_lets_all_go_on_that_wait_for_it(store: Store, topic: str) -> None:
    """At once, each with what it had; others wait on."""
    alone, among = await parked(store, topic), await parked(store, "x", topic, "[y")
    other = await parked(store, f"{topic}2", f"{topic}3")
    assert await store.messages.deliver([topic], SOON) == 2
    claimed = await store.queue.claim(claim(9, now=SOON))
    assert {job.id for job in claimed} == {alone.id, among.id}
    assert {(job.parked, job.topics) for job in claimed} == {(None, ())}
    assert await read(store, other) == [other]
    assert await store.messages.deliver([topic], SOON) == 0


async def test_a_message_before_the_wait_is_met_after_it(store: Store) -> None:
    """Whoever parks looks afterwards: one job of two, and not what waits for others."""
    await store.messages.put(message("there"))
    (one, other) = await run(store, simple(), simple())
    await store.runs.settle([leaving(one, "not there", "there"), leaving(other, "not there")])
    assert [job.id for job in await store.queue.claim(claim(9, now=SOON))] == [one.id]


async def test_a_message_whose_time_is_over_lets_nobody_go_on(store: Store) -> None:
    """It is as if it was never sent."""
    await store.messages.put(message(at=NOW - HOUR))
    job = await parked(store)
    assert await read(store, job) == [job]


async def test_waits_are_told_by_their_times(store: Store) -> None:
    """The first first, one page after the other, those of one time too."""
    times = [LATER + 2 * MS, LATER, LATER + MS, LATER]
    jobs = [await parked(store, f"t{i}", until=until) for i, until in enumerate(times)]
    waits = sorted(Wait(job.scheduled_for, job.id, job.topics) for job in jobs)
    assert await store.messages.waiting(10) == waits
    pages, last = list[Wait](), None
    while page := await store.messages.waiting(1, last):
        pages, last = pages + page, page[-1]
    assert pages == waits


async def test_a_wait_that_is_over_goes_on_at_its_time(store: Store) -> None:
    """Without a message; a job that waits no more is left as it is."""
    job = await parked(store)
    assert await store.messages.wake([job.id, UNKNOWN]) == 1
    assert await store.messages.wake([job.id]) == 0
    assert await store.queue.next_due([job.name]) == LATER
    assert await store.messages.waiting(10) == []


async def test_two_who_wake_it_wake_it_once(stores: Stores) -> None:
    """A message and the end of the time at once: the guard is in the write."""
    one, other = await stores.several(2)
    job = await parked(one)
    woken = await asyncio.gather(one.messages.wake([job.id], SOON), other.messages.wake([job.id]))
    assert sorted(woken) == [0, 1]


async def test_a_job_of_a_lane_gives_its_slot_back(store: Store) -> None:
    """And stands in its line, from the message on, when it comes."""
    (job,) = await run(store, simple())
    lane = replace(leaving(job).outcome, lane=Lane("sync:a"))
    settlement = Settlement(replace(job, slot=None), lane, WORKER)
    await store.runs.settle([settlement])
    waiting = settlement.written()
    assert (waiting.lane, waiting.slot) == ("sync:a", None)
    assert await read(store, job) == [waiting]
    assert await store.messages.deliver(["paid:42"], SOON) == 1
    awake = await stands(store, job)
    assert (awake.parked, awake.topics, awake.scheduled_for) == (None, (), SOON)
    assert await store.lanes.next_ready([job.name]) == SOON


async def test_a_lane_that_is_dissolved_leaves_the_wait(store: Store) -> None:
    """A limit that is no more is no reason to wait no more for a message."""
    (job,) = await run(store, simple())
    lane = replace(leaving(job).outcome, lane=Lane("sync:a"))
    await store.runs.settle([Settlement(job, lane, WORKER)])
    assert await store.lanes.dissolve(["sync:a"], [job.name], 10) == 1
    left = await stands(store, job)
    assert (left.lane, left.parked, left.topics) == (None, "message", ("paid:42",))
    assert await store.messages.deliver(["paid:42"], SOON) == 1
    assert [each.id for each in await store.queue.claim(claim(9, now=SOON))] == [job.id]


async def test_killed_or_removed_it_waits_no_more(store: Store) -> None:
    """And is retried as any other."""
    killed, removed = await parked(store), await parked(store)
    dead = await store.kills.kill_waiting(killed.id, SOON)
    assert dead is not None
    assert (dead.status, dead.parked, dead.topics) == (JobStatus.KILLED, None, ())
    assert await store.history.delete([removed.id]) == {removed.id}
    assert await store.messages.waiting(10) == []
    assert await store.messages.deliver(["paid:42"], SOON) == 0
    again = await store.history.requeue(killed.id, SOON)
    assert again is not None
    assert (again.parked, again.topics) == (None, ())
    assert len(await store.queue.claim(claim(9, now=SOON))) == 1


async def test_who_takes_its_place_does_not_wait(store: Store) -> None:
    """It is another job, under the same id and key."""
    job = await parked(store, unique_key="key")
    holder = await store.intake.find_holder(job.name, "key")
    assert isinstance(holder, SimpleJob)
    new = simple(unique_key="key", updated_at=LATER)
    replaced = await store.intake.replace(holder, new)
    assert replaced is not None
    assert (replaced.parked, replaced.topics) == (None, ())
    assert await read(store, job) == [replaced]


async def test_an_occurrence_of_a_cron_waits_as_a_job_does(store: Store) -> None:
    """Its planned time is kept."""
    (task,) = await run(store, occurrence())
    await store.runs.settle([leaving(task)])
    assert (await stands(store, task)).parked == "message"
    assert await store.messages.deliver(["paid:42"], SOON) == 1
    (claimed,) = await store.queue.claim(claim(9, now=SOON))
    assert (claimed.id, getattr(claimed, "planned_for", None)) == (task.id, task.scheduled_for)


async def test_what_was_taken_away_is_not_parked(store: Store) -> None:
    """It is guarded as every end of a run is."""
    job = await run_one(store)
    await store.runs.settle([leaving(job)])
    await store.messages.deliver(["paid:42"], SOON)
    (again,) = await store.queue.claim(claim(now=SOON + SECOND))
    assert (await store.runs.settle([leaving(job, "other")])).won == set()
    assert await read(store, job) == [again]


async def test_more_than_one_write_takes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """All who wait go on, however many there are."""
    monkeypatch.setattr("job_processor.store.desks.messages._WOKEN_AT_ONCE", 2)
    jobs = [await parked(store) for _ in range(5)]
    assert await store.messages.deliver(["paid:42"], SOON) == 5
    assert len(await store.queue.claim(claim(9, now=SOON))) == len(jobs)
