"""What the server works out in a pipeline is what `store.rates` says, to the number."""

from __future__ import annotations

import random

import pytest

from job_processor.clock import Clock
from job_processor.store.mongo import MongoStore
from job_processor.store.mongo import rates as pipelines
from job_processor.store.rates import Lane, Pace

pytestmark = pytest.mark.mongo

HOUR = 3_600_000.0
"""Milliseconds."""


def some_lane(chance: random.Random, now: float) -> Lane:
    """Return a lane as it may be found: old, new, exhausted, held, or written by a wrong clock."""
    around = chance.choice([-1e9, -50.0, -1.0, 0.0, 1.0, 50.0, 900.0, HOUR, 1e9])
    held = chance.choice([0.0, 0.0, now - HOUR, now + 30_000.0, now + HOUR])
    pace = some_pace(chance)
    length = chance.choice([0.0, 60_000.0, HOUR])
    return Lane(now + around + chance.random(), held, length, pace.interval, pace.burst)


def some_pace(chance: random.Random) -> Pace:
    """Return one of a few paces, so that two are often the same."""
    amount, per, burst = chance.choice([(10, 1.0, 1), (10, 1.0, 10), (3, 1.0, 2), (1, 3600.0, 1)])
    return Pace.of(amount, per, burst)


async def write(store: MongoStore, lane: Lane) -> None:
    """Let a lane stand in the database."""
    fields = ("tat", "held_until", "held_for", "interval", "burst")
    values = {name: getattr(lane, name) for name in fields}
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
        expected, wanted = lane.reserved(pace, count, document["at"])
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


async def test_a_lane_that_says_nothing_any_more_is_removed(store: MongoStore) -> None:
    """By the server, which has an index for it."""
    indexes = await (await store._handles.lanes.list_indexes()).to_list()
    (found,) = [each for each in indexes if "expireAfterSeconds" in each]
    assert (dict(found["key"]), found["expireAfterSeconds"]) == ({"expires_at": 1}, 0)
