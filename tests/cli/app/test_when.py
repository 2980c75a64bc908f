"""Spans and moments as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from job_processor.cli.app.when import between, relative, span


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0ms"),
        (0.3409, "340ms"),
        (0.9999, "999ms"),
        (1, "1.0s"),
        (9.99, "9.9s"),
        (10, "10s"),
        (59.9, "59s"),
        (125, "2m 05s"),
        (3600, "1h 00m"),
        (86_399, "23h 59m"),
        (86_400 * 3 + 4 * 3600, "3d 4h"),
    ],
)
def test_span(seconds: float, text: str) -> None:
    """A span has its two largest units, and is never rounded up."""
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "now"), (-0.4, "now"), (2.7, "in 2s"), (-2.7, "2s ago"), (7200, "in 2h 00m")],
)
def test_relative(seconds: float, text: str) -> None:
    """A moment is told as seen from now."""
    now = datetime(2030, 1, 1, tzinfo=UTC)
    assert relative(now + timedelta(seconds=seconds), now) == text


def test_between() -> None:
    """Nothing is said about a span that has no end yet."""
    assert between("2030-01-01T00:00:00.000Z", "2030-01-01T00:00:02.500Z") == "2.5s"
    assert between("2030-01-01T00:00:00.000Z", None) == ""
