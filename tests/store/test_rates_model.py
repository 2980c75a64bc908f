"""In no window of a rate's time start more than its amount and its burst: by chance, many times."""

from __future__ import annotations

from bisect import bisect_right
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from job_processor.store.rates import Lane, Pace, Reservation

AMOUNTS = st.integers(1, 20)
SECONDS = st.sampled_from([0.05, 0.3, 1.0, 7.0, 60.0])
BURSTS = st.integers(1, 30)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "reserve", "reserve", "crash", "give back", "hold"]),
        st.integers(1, 12),  # how many
        st.one_of(st.floats(0.0, 0.2), st.floats(0.0, 3.0), st.just(0.0)),  # intervals of pause
    ),
    max_size=120,
)
LONG_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "reserve", "give back"]),
        st.integers(1, 30),
        st.one_of(st.just(0.0), st.floats(0.0, 1.0), st.floats(0.0, 40.0)),
    ),
    max_size=20,
)
HOUR = 3_600_000.0


def in_windows(starts: list[float], length: float) -> int:
    """Return the most starts in any closed window of this length."""
    ends = (bisect_right(starts, start + length) - place for place, start in enumerate(starts))
    return max(ends, default=0)


@settings(max_examples=300, deadline=None)
@given(AMOUNTS, SECONDS, BURSTS, STEPS)
def test_no_window_has_more_starts_than_amount_and_burst(
    amount: int, per: float, burst: int, steps: list[tuple[str, int, float]]
) -> None:
    """Whoever reserves, gives back, crashes in between or holds, whenever and however many."""
    pace, lane, now = Pace.of(amount, per, burst), Lane(), 1e12
    starts: list[float] = []
    last: Reservation | None = None
    for step, count, pause in steps:
        now += pause * pace.interval
        if step == "hold":
            lane = lane.held(pause * pace.interval / 1000.0, now, at_least=bool(count % 2))
            continue
        lane, last = lane.reserved(pace, count, now)
        used = last.granted
        if step == "crash":  # between the reservation and the claim
            used = 0
        elif step == "give back" and (unused := min(count // 2, last.granted)):
            lane = lane.given_back(last, unused) or lane
            used -= unused
        starts += [now] * used
    assert in_windows(starts, per * 1000.0 - 0.01) <= amount + burst


@settings(max_examples=500, deadline=None)
@given(st.integers(1, 3), SECONDS, BURSTS, LONG_STEPS)
def test_what_is_given_back_late_lets_no_window_have_more(
    amount: int, per: float, burst: int, steps: list[tuple[str, int, float]]
) -> None:
    """However many hold starts that they have not used yet, and in whatever order they tell.

    Each start counts at the moment at which it was reserved, which is when it may begin.
    """
    pace, lane, now = Pace.of(amount, per, burst), Lane(), 1e12
    starts: list[float] = []
    unused: list[tuple[Reservation, int]] = []
    for number, (step, count, pause) in enumerate(steps):
        now += pause * pace.interval
        if step == "give back" and unused:
            reservation, left = unused.pop(count % len(unused))
            lane = lane.given_back(reservation, left) or lane
            continue
        lane, reservation = lane.reserved(pace, count, now, str(number))
        used = (0, reservation.granted, reservation.granted // 2)[number % 3]
        starts += [now] * used
        if used < reservation.granted:
            unused.append((reservation, reservation.granted - used))
    assert in_windows(starts, per * 1000.0 - 0.01) <= amount + burst


@settings(max_examples=200, deadline=None)
@given(BURSTS, st.integers(2, 6), st.randoms())
def test_no_start_is_lost_between_those_who_ask_at_once(
    burst: int, askers: int, chance: Random
) -> None:
    """Many reserve, one uses a start, all others give back: as if it had been alone."""
    pace, lane, now = Pace.of(1, 60.0, burst), Lane(), 1e12
    held = list[Reservation]()
    for number in range(askers):
        lane, reservation = lane.reserved(pace, chance.randint(1, burst), now + number, str(number))
        held.append(reservation)
    chance.shuffle(held)
    winner = next(each for each in held if each.granted)
    for each in held:
        if left := each.granted - (each is winner):
            changed = lane.given_back(each, left)
            assert changed is not None
            lane = changed
    assert lane.reserved(pace, burst, now + askers)[1].granted == burst - 1


@settings(max_examples=100, deadline=None)
@given(AMOUNTS, SECONDS, BURSTS, st.floats(0.0, 0.45))
def test_who_wakes_a_little_late_starts_as_many_all_the_same(
    amount: int, per: float, burst: int, late: float
) -> None:
    """Always something to start, each wake-up late by less than half an interval: the full rate."""
    pace, lane, now = Pace.of(amount, per, burst), Lane(), 1e12
    lateness = min(late * pace.interval, 45.0)
    began, starts = now, 0
    while now < began + 20 * pace.interval + 3 * per * 1000.0:
        lane, reservation = lane.reserved(pace, burst, now)
        starts += reservation.granted
        now += max(reservation.wait * 1000.0, 0.0) + lateness
    assert starts >= 0.98 * ((now - began - pace.respite) / pace.interval - 1)


@settings(max_examples=100, deadline=None)
@given(st.integers(10, 1000), st.integers(2, 100), st.floats(0.0, 49.0))
def test_handlers_that_begin_late_do_not_come_too_close(
    amount: int, burst: int, late: float
) -> None:
    """A burst begins late by less than 50 ms, all others at once: no second has too many still."""
    pace, lane, now = Pace.of(amount, 1.0, burst), Lane(), 1e12
    delay = max(min(late, 50.0 - pace.interval, pace.tolerance), 0.0)
    starts: list[float] = []
    while now < 1e12 + 3000.0:
        lane, reservation = lane.reserved(pace, burst, now)
        starts += [now + (0.0 if starts else delay)] * reservation.granted
        now += max(reservation.wait * 1000.0, 0.01)
    assert in_windows(sorted(starts), 1000.0 - 0.01) <= amount + burst


@settings(max_examples=100, deadline=None)
@given(AMOUNTS, SECONDS, BURSTS, st.sampled_from([-HOUR, HOUR]), st.integers(1, 40))
def test_a_clock_that_steps_by_an_hour_stops_nothing(
    amount: int, per: float, burst: int, step: float, before: int
) -> None:
    """One that goes back delays by an interval at most; one that goes ahead grants a burst once."""
    pace, lane, now = Pace.of(amount, per, burst), Lane(), 1e12
    for _ in range(before):
        lane, _ = lane.reserved(pace, 1, now)
    now += step
    lane, after = lane.reserved(pace, burst, now)
    assert after.granted <= burst
    assert after.wait * 1000.0 <= pace.interval + pace.respite + 0.01
    now += pace.interval + pace.respite + 0.01
    lane, later = lane.reserved(pace, 1, now)
    assert later.granted == 1


@settings(max_examples=100, deadline=None)
@given(AMOUNTS, SECONDS, BURSTS, st.integers(1, 100))
def test_after_a_minute_without_workers_a_burst_starts_and_no_more(
    amount: int, per: float, burst: int, waiting: int
) -> None:
    """What was not started in that time is not made up for."""
    pace, lane, now = Pace.of(amount, per, burst), Lane(), 1e12
    lane, _ = lane.reserved(pace, waiting, now)
    now += max(60_000.0, pace.horizon)
    lane, first = lane.reserved(pace, burst + waiting, now)
    lane, second = lane.reserved(pace, burst + waiting, now)
    assert (first.granted, second.granted) == (burst, 0)
