"""Spans of time: for people in one format, and as the database keeps them."""

from __future__ import annotations

import pytest

from job_processor.clock import duration_ms, span, stored_duration
from job_processor.models import Output


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 ms"),
        (0.3409, "340 ms"),
        (0.57, "570 ms"),
        (0.9999, "999 ms"),
        (1, "1 s"),
        (9.99, "9.9 s"),
        (10, "10 s"),
        (59.9, "59 s"),
        (120, "2 min"),
        (125, "2 min 05 s"),
        (3600, "1 h"),
        (86_399, "23 h 59 min"),
        (86_400 * 3 + 4 * 3600, "3 d 4 h"),
        (86_400 * 3, "3 d"),
    ],
)
def test_a_span_for_people(seconds: float, text: str) -> None:
    """A span has its two largest units, and is never rounded up."""
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0ms"),
        (0.5039, "503ms"),
        (1, "1 second"),
        (1.2346, "1.234 seconds"),
        (59.9, "59.9 seconds"),
        (62, "1 minute 2 seconds"),
        (7200, "2 hours"),
        (90_061.5, "1 day 1 hour 1 minute 1.5 seconds"),
    ],
)
def test_a_stored_duration_is_read_to_the_millisecond(seconds: float, text: str) -> None:
    """Words as the Node package writes them, and nothing of the time is lost in them."""
    assert stored_duration(seconds) == text
    assert duration_ms(text) == int(seconds * 1000)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("18 seconds", 18_000),
        ("1 month 2 days 3 hours", 2_775_600_000),
        ("1 s", 1000),
        ("--", None),
        ("", None),
        ("7", None),
        ("1 minute, 3 seconds", None),
        ("3 parsecs", None),
        ("9" * 100 + "s", None),
    ],
)
def test_durations_that_others_wrote(text: str, milliseconds: int | None) -> None:
    """Those of the Node package are numbers, too; what is no duration has none."""
    assert Output(text).duration_ms == milliseconds
