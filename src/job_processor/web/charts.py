"""Counts over time as bars: SVG that can be read without its colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from job_processor.store.rollups import Rollup, start_of

HEIGHT = 80
_GAP = 0.2  # part of a bar's width


@dataclass(frozen=True, slots=True)
class Bar:
    """One span of time."""

    x: float
    width: float
    done: float
    """Height of what finished, from the bottom."""
    failed: float
    """Height of what failed, on top of it."""
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """All spans, and what they add up to."""

    bars: tuple[Bar, ...]
    width: int
    height: int
    highest: int
    done: int
    failed: int
    begin: datetime
    end: datetime


def chart(rollups: Sequence[Rollup], seconds: int, span: timedelta, now: datetime) -> Chart:
    """Return the bars of a span of time that ends now."""
    end = start_of(now, seconds) + timedelta(seconds=seconds)
    count = int(span.total_seconds() // seconds)
    begin = end - timedelta(seconds=seconds * count)
    by_start = {rollup.start: rollup for rollup in rollups}
    moments = [begin + timedelta(seconds=seconds * i) for i in range(count)]
    pairs = [_pair(by_start.get(moment)) for moment in moments]
    highest = max((done + failed for done, failed in pairs), default=0)
    width = 720 / count
    bars = []
    for index, (moment, (done, failed)) in enumerate(zip(moments, pairs, strict=True)):
        scale = HEIGHT / highest if highest else 0
        title = f"{moment:%H:%M} UTC: {done} / {failed}"
        x, broad = round(index * width, 2), round(width * (1 - _GAP), 2)
        bars.append(Bar(x, broad, done * scale, failed * scale, title))
    return Chart(
        bars=tuple(bars),
        width=720,
        height=HEIGHT,
        highest=highest,
        done=sum(done for done, _ in pairs),
        failed=sum(failed for _, failed in pairs),
        begin=begin,
        end=end,
    )


def _pair(rollup: Rollup | None) -> tuple[int, int]:
    """Return how many runs finished, and how many attempts failed."""
    if rollup is None:
        return 0, 0
    return rollup.counts.get("finished", 0), sum(rollup.failures.values())
