"""Moments of schedules, against a walk over all of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job_processor import InvalidArgumentError, Schedule
from job_processor.crons.moments import (
    expiry,
    first_moment,
    next_moment,
    plan,
    repair,
    shifted,
    upcoming,
)
from job_processor.settings import MISFIRE_LIMIT

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
MS = timedelta(milliseconds=1)


def schedule(**fields: Any) -> Schedule:
    """Return one that was made at noon."""
    stamps = {"created_at": NOON, "updated_at": NOON, "moved_at": NOON}
    timing = {} if "cron" in fields or "every" in fields else {"every": MINUTE}
    return Schedule(name="s", job="digest", **{**stamps, **timing, **fields})


def put(**fields: Any) -> Schedule:
    """Return one as it is put at noon."""
    made = schedule(**fields)
    return replace(made, next=first_moment(made, NOON))


@given(
    every=st.integers(1, 500),
    missed=st.integers(0, 300),
    limit=st.none() | st.integers(1, 250),
    misfire=st.sampled_from(["once", "skip", "all"]),
    end=st.none() | st.integers(0, 100_000),
)
def test_what_is_due_is_that_of_a_walk(
    every: int, missed: int, limit: int | None, misfire: str, end: int | None
) -> None:
    """The standing one; with `all` those after it up to now, to the end, and within the limit."""
    last = None if end is None else NOON + timedelta(seconds=end)
    made = put(every=every * SECOND, misfire=misfire, limit=limit, end=last)
    now = NOON + (missed + 1) * every * SECOND + SECOND / 2
    due, after = plan(made, now)
    walk = [NOON + (each + 1) * every * SECOND for each in range(missed + 1)]
    walk = [each for each in walk if last is None or each <= last]
    if misfire != "all":
        expected = walk[:1]
    elif limit is None:
        expected = walk[:1] + walk[1:][-MISFIRE_LIMIT:]
    else:
        expected = walk[: MISFIRE_LIMIT + 1]
    expected = expected[:limit]
    assert list(due) == expected
    assert after.made == len(expected)
    coming = NOON + (missed + 2) * every * SECOND
    is_over = (last is not None and coming > last) or (limit is not None and after.made >= limit)
    if made.next is not None:
        assert after.next == (None if is_over else coming)
        assert after.ended_at == (now if is_over else None)


@given(st.integers(1, 10_000), st.lists(st.integers(1, 5_000_000), max_size=20))
def test_there_is_no_drift(every: int, delays: list[int]) -> None:
    """However late each pass is, every moment is a whole number of intervals from the anchor."""
    made, now = put(every=every * SECOND), NOON
    for delay in delays:
        now += delay * MS
        due, made = plan(made, now)
        assert all((each - NOON) % (every * SECOND) == timedelta(0) for each in due)
        assert made.next is not None
        assert now < made.next <= now + every * SECOND


@pytest.mark.parametrize(
    ("fields", "first"),
    [
        ({}, MINUTE),
        ({"start": NOON}, timedelta(0)),
        ({"start": NOON + MS}, SECOND),
        ({"start": NOON + 90 * SECOND}, 90 * SECOND),
        ({"start": NOON - 90 * SECOND}, 30 * SECOND),
        ({"anchor": NOON + 7 * SECOND}, 7 * SECOND),
        ({"anchor": NOON + 7 * SECOND, "start": NOON + MINUTE}, 67 * SECOND),
        ({"created_at": NOON + MS}, MINUTE),
        ({"cron": "0 13 * * *"}, HOUR),
        ({"cron": "0 13 * * *", "timezone": "Europe/Paris"}, 24 * HOUR),
        ({"cron": "0 14 * * *", "timezone": "Europe/Paris"}, HOUR),
        ({"cron": "0 13 * * *", "start": NOON + 2 * HOUR}, 25 * HOUR),
        ({"cron": "0 12 * * *", "start": NOON}, timedelta(0)),
        ({"cron": "0 12 * * *"}, 24 * HOUR),
    ],
)
def test_the_first_moment(fields: dict[str, Any], first: timedelta) -> None:
    """From the start on, which is one itself; else after now, and counted from its making."""
    assert put(**fields).next == NOON + first


@pytest.mark.parametrize(
    "fields",
    [
        {"end": NOON},
        {"cron": "0 13 * * *", "end": NOON + HOUR - MS},
        {"limit": 2, "made": 2},
        {"start": datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC), "every": 9 * HOUR},
    ],
)
def test_there_may_be_none(fields: dict[str, Any]) -> None:
    """Behind the end, after the last of the limit, or at the end of the years."""
    made = schedule(**fields)
    if made.start is not None:
        made = replace(made, anchor=NOON)
    assert first_moment(made, NOON) is None


def test_the_end_is_a_moment_itself() -> None:
    """One at the very end is made, and it ends with it."""
    made = put(cron="0 13 * * *", end=NOON + HOUR)
    due, after = plan(made, NOON + HOUR)
    assert due == (NOON + HOUR,)
    assert (after.next, after.ended_at) == (None, NOON + HOUR)


@pytest.mark.parametrize(
    ("cron", "day", "expected"),
    [
        ("30 2 * * *", datetime(2026, 3, 29, tzinfo=UTC), [1, 24.5]),  # 02:30 is 03:00 there
        ("30 2 * * *", datetime(2026, 10, 24, 23, tzinfo=UTC), [1.5, 26.5]),  # it is 02:30 twice
        ("30 * * * *", datetime(2026, 10, 24, 23, tzinfo=UTC), [0.5, 1.5, 2.5]),
    ],
)
def test_clocks_that_change_are_seen_as_by_crons(
    cron: str, day: datetime, expected: list[float]
) -> None:
    """A time of day is made once a day, a rhythm at each instant."""
    made = schedule(cron=cron, timezone="Europe/Paris")
    found, moment = [], day
    for _ in expected:
        following = next_moment(made, moment)
        assert following is not None
        found.append((following - day) / HOUR)
        moment = following
    assert found == expected


def test_a_zone_that_is_not_known_here_is_no_end() -> None:
    """It is told, so that nobody takes the schedule for one that has ended."""
    with pytest.raises(InvalidArgumentError, match="Mars"):
        next_moment(schedule(cron="0 8 * * *", timezone="Mars/Olympus"), NOON)


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({}, None),
        ({"expires_after": 20.5}, 20.5),
        ({"misfire": "skip"}, 60),
        ({"misfire": "skip", "every": HOUR}, 300),
        ({"misfire": "skip", "every": HOUR, "expires_after": 30.0}, 30),
        ({"misfire": "skip", "every": HOUR, "end": NOON}, 300),
    ],
)
def test_until_when_a_job_may_begin(fields: dict[str, Any], seconds: float | None) -> None:
    """`skip` leaves it five minutes, or less where the next moment comes before that."""
    expected = None if seconds is None else NOON + timedelta(seconds=seconds)
    assert expiry(schedule(**fields), NOON) == expected


def test_a_clock_that_was_ahead_leaves_no_moment_out() -> None:
    """What it skipped, and what lay ahead, comes at its time."""
    made = put()
    due, ahead = plan(made, NOON + HOUR)
    assert due == (NOON + MINUTE,)
    mended = repair(ahead, NOON + 10 * SECOND)
    assert mended.next == NOON + 2 * MINUTE  # the first ran, if early
    mended = repair(replace(ahead, last=None), NOON + 10 * SECOND)
    assert mended.next == NOON + MINUTE
    ended = replace(plan(put(end=NOON + 5 * MINUTE), NOON + HOUR).after, last=None)
    assert ended.next is None
    assert repair(ended, NOON).next == NOON + MINUTE
    assert repair(ended, NOON).ended_at is None


def test_of_moments_that_were_made_before_their_time_a_rhythm_comes_again() -> None:
    """A millisecond later, so that they are others; a time of day is not made again."""
    ahead = replace(put(), next=NOON + 61 * MINUTE, last=NOON + HOUR, moved_at=NOON + HOUR)
    mended = repair(ahead, NOON)
    assert mended.next == NOON + MINUTE
    assert plan(mended, NOON + MINUTE).moments == (NOON + MINUTE + MS,)
    assert shifted(mended, NOON + HOUR) == NOON + HOUR + MS
    assert shifted(mended, NOON + HOUR + MINUTE) == NOON + HOUR + MINUTE
    daily = replace(put(cron="0 13 * * *"), last=NOON + 49 * HOUR, moved_at=NOON + 50 * HOUR)
    assert repair(daily, NOON).again == 0


def test_what_comes_is_told_as_far_as_the_limit_leaves_any() -> None:
    """The next moments; what is due stands first."""
    assert upcoming(put(), NOON, 2) == (NOON + MINUTE, NOON + 2 * MINUTE)
    assert upcoming(put(limit=3, made=2), NOON, 5) == (NOON + MINUTE,)
    assert upcoming(put(), NOON + HOUR, 2) == (NOON + MINUTE, NOON + HOUR + MINUTE)
    assert upcoming(put(end=NOON), NOON, 5) == ()
