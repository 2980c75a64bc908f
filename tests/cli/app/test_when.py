"""Spans and moments as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from job_processor.cli.app.when import between, relative


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "now"), (-0.4, "now"), (2.7, "in 2 s"), (-2.7, "2 s ago"), (7200, "in 2 h")],
)
def test_relative(seconds: float, text: str) -> None:
    """A moment is told as seen from now."""
    now = datetime(2030, 1, 1, tzinfo=UTC)
    assert relative(now + timedelta(seconds=seconds), now) == text


def test_between() -> None:
    """Nothing is said about a span that has no end yet."""
    assert between("2030-01-01T00:00:00.000Z", "2030-01-01T00:00:02.500Z") == "2.5 s"
    assert between("2030-01-01T00:00:00.000Z", None) == ""
