"""What the server works out in a pipeline is what `store.rates` says, to the number."""

from __future__ import annotations

import random
from typing import Any

import pytest

from job_processor.clock import Clock
from job_processor.store.mongo import MongoStore
from job_processor.store.mongo import rates as pipelines
from job_processor.store.rates import Grant, Lane, Pace

pytestmark = pytest.mark.mongo

HOUR = 3_600_000.0
"""Milliseconds."""


def some_lane(chance: random.Random, now: float) -> Lane:
    """Return a lane as it may be found: old, new, exhausted, held, or written by a wrong clock."""
    around = chance.choice([-1e9, -50.0, -1.0, 0.0, 1.0, 50.0, 900.0, HOUR, 1e9])
    held = chance.choice([0.0, 0.0, now - HOUR, now + 30_000.0, now + HOUR])
    pace = some_pace(chance)
    length = chance.choice([0.0, 60_000.0, HOUR])
    grants = tuple(
        Grant(str(n), chance.choice([0.0, 5.0])) for n in range(chance.choice([0, 3, 16]))
    )
    return Lane(now + around + chance.random(), held, length, pace.interval, pace.burst, grants)


def some_pace(chance: random.Random) -> Pace:
    """Return one of a few paces, so that two are often the same."""
    amount, per, burst = chance.choice([(10, 1.0, 1), (10, 1.0, 10), (3, 1.0, 2), (1, 3600.0, 1)])
    return Pace.of(amount, per, burst)


async def write(store: MongoStore, lane: Lane) -> None:
    """Let a lane stand in the database."""
    fields = ("tat", "held_until", "held_for", "interval", "burst")
    values = {name: getattr(lane, name) for name in fields}
    values |= {"grants": [each._asdict() for each in lane.grants], "seen": lane.tat}
    await store._handles.lanes.replace_one({"_id": "rate:a"}, values, upsert=True)


async def test_a_reservation_and_a_hold_are_what_they_are_elsewhere(store: MongoStore) -> None:
    """Of a hundred lanes by chance: every field after it, what was granted, how long it is kept."""
    chance = random.Random(17)
    for _ in range(100):
        lane, pace = some_lane(chance, Clock().now().timestamp() * 1000.0), some_pace(chance)
        count = chance.choice([1, 2, 10, 50])
        await write(store, lane)
        reservation = await store.rates.reserve("rate:a", pace, count)
        document = await store._handles.lanes.find_one({"_id": "rate:a"})
        assert document is not None
        expected, wanted = lane.reserved(pace, count, document["at"], reservation.id)
        assert pipelines._read(document) == expected, (lane, pace)
        assert reservation == wanted, (lane, pace)
        kept = document["expires_at"].timestamp() * 1000.0
        assert kept == pytest.approx(expected.kept_until(document["at"]), abs=2.0)
        at_least, seconds = chance.choice([True, False]), chance.choice([0.0, 30.0, 7200.0])
        await write(store, lane)
        await store.rates.hold("rate:a", seconds, at_least=at_least)
        document = await store._handles.lanes.find_one({"_id": "rate:a"})
        assert document is not None
        held = lane.held(seconds, document["at"], at_least=at_least)
        assert min(held.held_until, document["at"] + held.held_for) == document["held_until"]
        assert document["held_for"] == held.held_for
        assert document["tat"] == held.tat


@pytest.mark.parametrize("moves", ["reserve", "hold", "give back"])
async def test_who_is_faster_at_a_lane_does_not_lose_a_start(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch, moves: str
) -> None:
    """Between the look and the write of who gives back after others, the lane may change."""
    pace = Pace.of(1, 3600.0, 5)
    first, second, third = [await store.rates.reserve("rate:a", pace, 1) for _ in range(3)]
    look, times = type(store._handles.lanes).find_one, iter([True])

    async def then_another(*args: Any, **kwargs: Any) -> Any:
        found = await look(*args, **kwargs)
        if next(times, False):
            if moves == "reserve":
                assert (await store.rates.reserve("rate:a", pace, 1)).granted == 1
            elif moves == "hold":
                await store.rates.hold("rate:a", 0.0)
            else:
                assert await store.rates.give_back("rate:a", third, 1)
        return found

    monkeypatch.setattr(type(store._handles.lanes), "find_one", then_another)
    assert await store.rates.give_back("rate:a", first, 1)
    free = {"reserve": 2, "hold": 3, "give back": 4}[moves]
    assert (await store.rates.reserve("rate:a", pace, 5)).granted == free
    assert second.granted == 1


async def test_over_who_notes_nothing_no_start_is_given_back(store: MongoStore) -> None:
    """A program of before reserves without a note: what is older than that is lost, no faster."""
    pace = Pace.of(1, 3600.0, 3)
    first = await store.rates.reserve("rate:a", pace, 1)
    await store._handles.lanes.update_one({"_id": "rate:a"}, {"$inc": {"tat": HOUR}})
    assert not await store.rates.give_back("rate:a", first, 1)
    last = await store.rates.reserve("rate:a", pace, 1)
    assert await store.rates.give_back("rate:a", last, 1)
    assert (await store.rates.reserve("rate:a", pace, 5)).granted == 1


async def test_a_lane_that_says_nothing_any_more_is_removed(store: MongoStore) -> None:
    """By the server, which has an index for it."""
    indexes = await (await store._handles.lanes.list_indexes()).to_list()
    (found,) = [each for each in indexes if "expireAfterSeconds" in each]
    assert (dict(found["key"]), found["expireAfterSeconds"]) == ({"expires_at": 1}, 0)
