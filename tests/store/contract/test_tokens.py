"""Starts of a rate with a key: each job has a date of its own, on every store."""

from __future__ import annotations

from datetime import timedelta

import pytest
from bson import ObjectId

from job_processor.models import DATED, FOR_A_TOKEN, NEXT
from job_processor.store import Store
from job_processor.store.tokens import lane_id
from tests.clocks_of_lanes import DatabaseClock
from tests.samples import NOW, OTHER_WORKER
from tests.store.contract.rated import AHEAD, RATES, STEP, Lanes, ids


@pytest.fixture
def lanes(store: Store, monkeypatch: pytest.MonkeyPatch) -> Lanes:
    """A store with rates."""
    return Lanes(store, DatabaseClock(store, NOW, monkeypatch))


async def test_a_lane_starts_one_and_dates_what_is_near(lanes: Lanes) -> None:
    """The first starts, those of the next two seconds have a date each, all others are parked."""
    jobs = await lanes.add(100)
    assert ids(await lanes.claim()) == ids(jobs[:1])
    assert await lanes.states(jobs) == {"running": 1, DATED: AHEAD, FOR_A_TOKEN: 100 - 1 - AHEAD}
    parked = await lanes.there(jobs[50])
    assert parked.waits_for == "a start of call:a"
    assert parked.scheduled_for == jobs[50].scheduled_for
    assert (await lanes.there(jobs[1])).waits_for == "a start of call:a"


async def test_each_starts_at_its_date_and_lets_the_next_follow(lanes: Lanes) -> None:
    """A backlog starts one by one in its order, by nobody's timer but its dates."""
    jobs = await lanes.add(40)
    started: list[tuple[float, ObjectId]] = []
    for step in range(4 * 40):
        started += [(step, job.id) for job in await lanes.claim()]
        lanes.clock.move(STEP / 4)
    assert [job_id for _, job_id in started] == ids(jobs)
    assert [step for step, _ in started] == [4 * n for n in range(40)]


async def test_the_next_date_is_when_a_worker_wakes(lanes: Lanes) -> None:
    """What is ready next is told as it is of any other lane."""
    await lanes.add(3)
    await lanes.claim()
    assert await lanes.store.lanes.next_ready(["call"]) == NOW + timedelta(seconds=STEP)
    assert await lanes.store.lanes.next_ready(["mail"]) is None


async def test_other_keys_are_not_delayed(lanes: Lanes) -> None:
    """A key with thousands of jobs keeps no other key from its start."""
    many = await lanes.add(3000, "a")
    (one,) = await lanes.add(1, "b")
    assert set(ids(await lanes.claim())) == {many[0].id, one.id}


async def test_names_of_a_group_share_its_lane(lanes: Lanes) -> None:
    """What counts is the lane, whatever the name."""
    lanes.rates["api"] = RATES["call"]
    first = await lanes.add(1, name="call", rate_lane="api:a")
    second = await lanes.add(1, name="mail", rate_lane="api:a", at=NOW)
    assert ids(await lanes.claim()) == ids(first)
    assert (await lanes.there(second[0])).parked == DATED


async def test_a_date_is_good_for_one_start_that_is_not_too_late(lanes: Lanes) -> None:
    """A little late it starts, and the next keeps its own date; an interval late it asks anew."""
    jobs = await lanes.add(3)
    await lanes.claim()
    lanes.clock.move(1.9 * STEP)
    assert ids(await lanes.claim()) == ids(jobs[1:2])
    lanes.clock.move(0.1 * STEP)
    assert ids(await lanes.claim()) == ids(jobs[2:])


async def test_after_a_minute_without_workers_no_more_than_one_starts(lanes: Lanes) -> None:
    """All dates have passed: what was not started in time is not made up for."""
    jobs = await lanes.add(40)
    await lanes.claim()
    lanes.clock.move(60)
    assert len(await lanes.claim()) == 1
    started = 2
    for _ in range(60):
        lanes.clock.move(STEP)
        started += len(await lanes.claim())
    assert started == len(jobs)


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_steps_stops_nothing(lanes: Lanes, hours: int) -> None:
    """Whichever way it steps by an hour: the lane goes on once the sweep has been there."""
    await lanes.add(60)
    await lanes.claim()
    now = lanes.clock.move(3600 * hours)
    farthest = timedelta(milliseconds=RATES["call"].pace.farthest)
    assert await lanes.store.tokens.recall("call", now + farthest, now) == (10 if hours < 0 else 0)
    started = 0
    for _ in range(30):
        lanes.clock.move(STEP)
        # What was due by the wrong clock is met by the right one.
        started += len(await lanes.claim(now=max(lanes.clock.now, NOW)))
    assert 15 <= started <= 31  # it was ahead by as much as the rate explains: two seconds
    if hours < 0:
        assert "call:a" in lanes.store.tokens.book.wrong


async def test_what_a_worker_meets_too_soon_is_left_where_it_stands(lanes: Lanes) -> None:
    """By the database's clock, and not by its own: a fast one starts nothing early."""
    jobs = await lanes.add(3)
    await lanes.claim()
    ahead = lanes.clock.now + timedelta(seconds=30)
    assert await lanes.claim(now=ahead, worker_id=OTHER_WORKER) == []
    assert await lanes.states(jobs) == {"running": 1, DATED: 2}


async def test_a_held_lane_starts_nothing_and_goes_on_by_itself(lanes: Lanes) -> None:
    """What has a date loses it; one asks when the hold ends, and then as many have dates as may."""
    jobs = await lanes.add(40)
    await lanes.claim()
    await lanes.store.rates.hold(lane_id("call:a"), 30)
    for _ in range(2 * AHEAD):
        lanes.clock.move(STEP)
        assert await lanes.claim() == []
    assert await lanes.states(jobs) == {"running": 1, NEXT: 1, FOR_A_TOKEN: 38}
    assert await lanes.store.lanes.next_ready(["call"]) == NOW + timedelta(seconds=30)
    lanes.clock.to(NOW + timedelta(seconds=30))
    started = 0
    for _ in range(60):
        started += len(await lanes.claim())
        lanes.clock.move(STEP)
    assert started == 39


async def test_a_hold_that_ends_sooner_is_told_to_who_waits(lanes: Lanes) -> None:
    """Whoever asks at its end asks sooner; what has a date keeps it."""
    jobs = await lanes.add(3)
    await lanes.store.rates.hold(lane_id("call:a"), 3600)
    assert await lanes.claim() == []
    assert await lanes.states(jobs) == {NEXT: 1, FOR_A_TOKEN: 2}
    await lanes.store.rates.hold(lane_id("call:a"), 0)
    assert await lanes.store.tokens.hasten("call:a", lanes.clock.now) == 1
    assert len(await lanes.claim()) == 1
    assert await lanes.store.tokens.hasten("call:a", lanes.clock.now) == 0
