"""Lanes of jobs that share a rate: what is granted when, by the database's own clock."""

from __future__ import annotations

import asyncio

import pytest

from job_processor.store import Store
from job_processor.store.hints import Hint
from job_processor.store.rates import Pace
from tests.clocks_of_lanes import turn_clock
from tests.store.contract.conftest import Listener, Stores

HOUR = 3600.0
SLOW = Pace.of(1, HOUR, 3)
"""One an hour, three at once: nothing comes back while a test runs."""
EVEN = Pace.of(1, HOUR, 1)


async def test_a_new_lane_grants_its_burst_and_then_nothing(store: Store) -> None:
    """As many as are asked for, until the burst is used up; then it tells when the next may be."""
    first = await store.rates.reserve("rate:a", SLOW, 2)
    assert first.granted == 2
    assert first.wait <= 0
    rest = await store.rates.reserve("rate:a", SLOW, 5)
    assert rest.granted == 1
    assert HOUR - 60 < rest.wait <= HOUR
    none = await store.rates.reserve("rate:a", SLOW, 1)
    assert (none.granted, none.tat) == (0, rest.tat)
    assert HOUR - 60 < none.wait <= rest.wait


async def test_lanes_know_nothing_of_each_other(store: Store) -> None:
    """What one grants, another may grant as well."""
    for lane in ("rate:a", "rate:a:", "rate:A", "rate:ä"):
        assert (await store.rates.reserve(lane, EVEN, 1)).granted == 1


async def test_starts_come_back_with_time(store: Store) -> None:
    """One an interval, and never more than the burst, however long nobody starts anything."""
    assert (await store.rates.reserve("rate:a", SLOW, 3)).granted == 3
    await turn_clock(store, "rate:a", 1.01 * HOUR)
    assert (await store.rates.reserve("rate:a", SLOW, 3)).granted == 1
    await turn_clock(store, "rate:a", 1000 * HOUR)
    assert (await store.rates.reserve("rate:a", SLOW, 10)).granted == 3


async def test_what_is_given_back_can_be_granted_again(store: Store) -> None:
    """As if it had not been reserved."""
    reserved = await store.rates.reserve("rate:a", SLOW, 3)
    assert await store.rates.give_back("rate:a", reserved, 2)
    assert (await store.rates.reserve("rate:a", SLOW, 3)).granted == 2


async def test_it_is_given_back_where_others_have_reserved_since(store: Store) -> None:
    """Each gives back what it did not use, whoever was first, and twice is once."""
    three = [await store.rates.reserve("rate:a", SLOW, 1) for _ in range(3)]
    assert (await store.rates.reserve("rate:a", SLOW, 1)).granted == 0
    for first in (three[1], three[0]):
        assert await store.rates.give_back("rate:a", first, 1)
        assert not await store.rates.give_back("rate:a", first, 1)
        assert (await store.rates.reserve("rate:a", SLOW, 3)).granted == 1
    assert await store.rates.give_back("rate:a", three[2], 1)
    assert (await store.rates.reserve("rate:a", SLOW, 3)).granted == 1


async def test_what_came_too_late_to_be_given_back_is_lost(store: Store) -> None:
    """Nobody who started since would have been due before: the lane is slower, never faster."""
    first = await store.rates.reserve("rate:a", SLOW, 3)
    await turn_clock(store, "rate:a", 10 * HOUR)
    assert (await store.rates.reserve("rate:a", SLOW, 1)).granted == 1
    assert not await store.rates.give_back("rate:a", first, 2)
    assert (await store.rates.reserve("rate:a", SLOW, 3)).granted == 2
    other = await store.rates.reserve("rate:b", SLOW, 3)
    assert await store.rates.give_back("rate:b", other, 1)
    assert not await store.rates.give_back("rate:b", other, 1)
    assert not await store.rates.give_back("rate:unknown", other, 1)
    assert (await store.rates.reserve("rate:b", SLOW, 3)).granted == 1


class Patient(Pace):
    """One to which a start is on time for a minute: no load makes a test that late."""

    @property
    def lateness(self) -> float:
        """Milliseconds."""
        return 60_000.0


async def test_a_start_that_is_a_little_late_delays_none(store: Store) -> None:
    """Without a burst, starts keep to their even pace; one that is later than that begins anew."""
    pace = Patient.of(1, HOUR, 1)
    first = await store.rates.reserve("rate:a", pace, 1)
    await turn_clock(store, "rate:a", HOUR + 0.001)
    late = await store.rates.reserve("rate:a", pace, 1)
    assert late.granted == 1
    assert late.tat == first.tat - (HOUR + 0.001) * 1000 + HOUR * 1000
    await turn_clock(store, "rate:a", 3 * HOUR)
    anew = await store.rates.reserve("rate:a", pace, 1)
    assert HOUR - 0.001 <= anew.wait <= HOUR


@pytest.mark.parametrize("hours", [-1, -1000])
async def test_a_clock_that_was_ahead_delays_by_one_interval(store: Store, hours: int) -> None:
    """A lane further ahead than its pace explains goes no further than that, and says so, once."""
    await store.rates.reserve("rate:a", Pace.of(10, 1.0, 10), 10)
    await turn_clock(store, "rate:a", hours * HOUR)
    reset = await store.rates.reserve("rate:a", Pace.of(10, 1.0, 10), 1)
    assert reset.granted == 0
    assert reset.wait <= 0.1
    assert reset.ahead == pytest.approx(-hours * HOUR, abs=60)
    again = await store.rates.reserve("rate:a", Pace.of(10, 1.0, 10), 1)
    assert again.ahead == 0


async def test_a_clock_that_jumps_ahead_grants_a_burst(store: Store) -> None:
    """And no more than that."""
    await store.rates.reserve("rate:a", SLOW, 3)
    await turn_clock(store, "rate:a", 1000 * HOUR)
    assert (await store.rates.reserve("rate:a", SLOW, 10)).granted == 3


async def test_a_faster_pace_holds_at_once(store: Store) -> None:
    """What a slower one had reserved far ahead is cut to what the faster one allows: no warning."""
    await store.rates.reserve("rate:a", Pace.of(1, 24 * HOUR, 1), 1)
    faster = await store.rates.reserve("rate:a", Pace.of(1000, 1.0, 1), 1)
    assert faster.wait < 0.1
    assert faster.ahead == 0


async def test_a_slower_pace_holds_at_once(store: Store) -> None:
    """The next start is an interval of the new one away."""
    await store.rates.reserve("rate:a", Pace.of(1000, 1.0, 1), 1)
    await turn_clock(store, "rate:a", 1)
    slower = await store.rates.reserve("rate:a", EVEN, 5)
    assert slower.granted == 1
    assert slower.wait > HOUR - 60


async def test_a_held_lane_grants_nothing(store: Store) -> None:
    """Until the hold is over, or is ended; it costs no start."""
    await store.rates.hold("rate:a", HOUR)
    held = await store.rates.reserve("rate:a", SLOW, 3)
    assert held.granted == 0
    assert HOUR - 60 < held.wait <= HOUR
    await turn_clock(store, "rate:a", HOUR + 1)
    assert (await store.rates.reserve("rate:a", SLOW, 1)).granted == 1
    await store.rates.hold("rate:a", HOUR)
    await store.rates.hold("rate:a", 0)
    assert (await store.rates.reserve("rate:a", SLOW, 3)).granted == 2


async def test_a_hold_outlives_a_reset(store: Store) -> None:
    """It is kept apart from `tat`: a faster pace, or a lane that is reset, is held all the same."""
    await store.rates.reserve("rate:a", Pace.of(1, 24 * HOUR, 1), 1)
    await store.rates.hold("rate:a", 600)
    faster = await store.rates.reserve("rate:a", Pace.of(1000, 1.0, 5), 5)
    assert faster.granted == 0
    assert 540 < faster.wait <= 600


async def test_the_last_word_on_a_hold_counts_and_a_429_never_shortens(store: Store) -> None:
    """`hold` replaces one; with `at_least` the longer of the two stands."""
    await store.rates.hold("rate:a", HOUR)
    await store.rates.hold("rate:a", 60, at_least=True)
    assert (await store.rates.reserve("rate:a", SLOW, 1)).wait > HOUR - 60
    await store.rates.hold("rate:a", 60)
    assert (await store.rates.reserve("rate:a", SLOW, 1)).wait <= 60
    await store.rates.hold("rate:a", HOUR, at_least=True)
    assert (await store.rates.reserve("rate:a", SLOW, 1)).wait > HOUR - 60


async def test_a_hold_by_a_wrong_clock_is_no_longer_than_it_was_asked_for(store: Store) -> None:
    """A minute is a minute from when the clock is right again."""
    await store.rates.hold("rate:a", 60)
    await turn_clock(store, "rate:a", -HOUR)
    held = await store.rates.reserve("rate:a", SLOW, 1)
    assert held.granted == 0
    assert held.wait <= 60


async def test_how_lanes_stand(store: Store) -> None:
    """By name: when one may start, for how long they are held, and at what pace they go."""
    assert await store.rates.states(10) == {}
    await store.rates.reserve("rate:a", SLOW, 1)
    await store.rates.reserve("rate:b", SLOW, 3)
    await store.rates.hold("rate:c", 60)
    states = await store.rates.states(10)
    assert list(states) == ["rate:a", "rate:b", "rate:c"]
    assert list(await store.rates.states(2)) == ["rate:a", "rate:b"]
    assert [each.pace for each in states.values()] == [SLOW, SLOW, None]
    assert states["rate:a"].next_start <= 0
    assert HOUR - 60 < states["rate:b"].next_start <= HOUR
    assert 0 < states["rate:c"].held_for <= 60
    assert states["rate:c"].next_start == states["rate:c"].held_for
    assert states["rate:b"].held_for == 0


async def test_many_who_reserve_at_once_get_no_more_than_there_is(stores: Stores) -> None:
    """Ten ask for a new lane at the same moment, again and again: the burst is granted once."""
    everyone = await stores.several(10)
    for lane in ("rate:a", "rate:b", "rate:c"):
        asked = (store.rates.reserve(lane, Pace.of(1, HOUR, 7), 2) for store in everyone)
        granted = [each.granted for each in await asyncio.gather(*asked)]
        assert sum(granted) == 7


async def test_whoever_waits_is_told_of_a_hold(store: Store) -> None:
    """It may have been ended."""
    listener = Listener()
    forget = store.subscribe(listener)
    await listener.hears(Hint.WORK)
    listener.forget()
    await store.rates.hold("rate:a", 0)
    await listener.hears(Hint.WORK)
    forget()
