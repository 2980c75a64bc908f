"""Intervals: moments that lie apart by the same time, whatever is asked and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job_processor.schedule import (
    interval_expression,
    interval_of,
    is_rhythm,
    latest_occurrences,
    next_occurrence,
    parse,
)

SECOND = timedelta(seconds=1)
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # bounds
SECONDS = st.integers(1, 10_000_000)


@given(SECONDS, MOMENTS, MOMENTS)
def test_moments_are_counted_from_the_anchor(
    seconds: int, anchor: datetime, after: datetime
) -> None:
    """Each is strictly later, no more than one interval, and a whole number of them away."""
    every = seconds * SECOND
    expression = interval_expression(every, anchor)
    moment = next_occurrence(expression, "Europe/Paris", after)
    assert timedelta(0) < moment - after <= every
    assert (moment - anchor.replace(microsecond=0)) % every == timedelta(0)
    assert next_occurrence(expression, "Pacific/Apia", moment) == moment + every


@given(SECONDS, MOMENTS, st.integers(0, 500), st.integers(1, 120))
def test_the_latest_are_the_last_of_all(
    seconds: int, after: datetime, count: int, limit: int
) -> None:
    """Of a gap of any length, the last ones up to its end."""
    every = seconds * SECOND
    expression = interval_expression(every, after)
    start = after.replace(microsecond=0)
    found = latest_occurrences(expression, "UTC", start, start + count * every, limit)
    expected = [start + each * every for each in range(1, count + 1)][-limit:]
    assert found == expected


@given(SECONDS, MOMENTS)
def test_an_expression_is_read_as_it_was_written(seconds: int, anchor: datetime) -> None:
    """The text of an interval means it, and is its own normal form."""
    expression = interval_expression(seconds, anchor)
    interval = interval_of(parse(expression))
    assert interval is not None
    assert (interval.every, interval.anchor) == (seconds * SECOND, anchor.replace(microsecond=0))
    assert parse(expression) == interval.expression == expression


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("@every 5m", "@every 300s"),
        (" @EVERY 2H ", "@every 7200s"),
        ("@every 10d", "@every 864000s"),
        (
            "@every 1m from 2026-01-01T08:00:00+01:00",
            "@every 60s from 2026-01-01T07:00:00+00:00",
        ),
    ],
)
def test_units_and_zones_are_read(written: str, meant: str) -> None:
    """Seconds and UTC are what is kept of them."""
    assert parse(written) == meant
    assert is_rhythm(meant)


def test_clocks_that_change_have_no_part_in_it() -> None:
    """A day of an interval has 24 hours, also where that of the zone has 23."""
    expression = interval_expression(timedelta(days=1), datetime(2026, 3, 28, 7, tzinfo=UTC))
    day = datetime(2026, 3, 28, 7, tzinfo=UTC)
    assert next_occurrence(expression, "Europe/Paris", day) == day + timedelta(days=1)
