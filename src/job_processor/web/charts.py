"""Counts over time as bars: SVG that can be read without its colours, and without script."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from job_processor.store.name_rollups import NameRollup
from job_processor.store.rollups import Rollup, start_of

HEIGHT = 80
WIDTH = 720
_GAP = 0.2  # part of a bar's width
_TICKS = 4


@dataclass(frozen=True, slots=True)
class Counts:
    """What happened in one span of time."""

    done: int = 0
    """Jobs that finished."""
    failed: int = 0
    """Jobs that failed for good."""
    retried: int = 0
    """Attempts that failed and were followed by another one."""

    @property
    def all(self) -> int:
        """All of it: the height of a bar."""
        return self.done + self.failed + self.retried


@dataclass(frozen=True, slots=True)
class Bar:
    """One span of time in which something happened."""

    x: float
    width: float
    counts: Counts
    begin: datetime
    end: datetime
    query: str
    """Of the address of the jobs that ended then."""


@dataclass(frozen=True, slots=True)
class Chart:
    """All spans, and what they add up to."""

    bars: tuple[Bar, ...]
    """Those in which something happened."""
    done: str
    """The areas of what finished, as a path."""
    retried: str
    failed: str
    total: Counts
    highest: int
    seconds: int
    """Of one bar."""
    ticks: tuple[datetime, ...]
    """Moments at equal distances, the first and the last among them."""
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def half(self) -> int | None:
        """What half of the height stands for; None: it is no whole number."""
        return self.highest // 2 if self.highest and self.highest % 2 == 0 else None


def chart(
    rollups: Sequence[Rollup] | Sequence[NameRollup],
    seconds: int,
    span: timedelta,
    now: datetime,
    of: Mapping[str, str] | None = None,
) -> Chart:
    """Return the bars of a span of time that ends now.

    seconds: of one bar, one or several of the rollups' spans. of: what else selects the jobs that
    a bar leads to, such as their name.
    """
    end = start_of(now, seconds) + timedelta(seconds=seconds)
    count = int(span.total_seconds() // seconds)
    begin = end - timedelta(seconds=seconds * count)
    counted = [Counts()] * count
    for each in rollups:
        index = int((each.start - begin).total_seconds() // seconds)
        if 0 <= index < count:
            counted[index] = _plus(counted[index], _counts(each))
    highest = max((each.all for each in counted), default=0)
    width = WIDTH / count
    bars = []
    for index, each_counts in enumerate(counted):
        if each_counts.all:
            first = begin + timedelta(seconds=seconds * index)
            behind = first + timedelta(seconds=seconds)
            query = urlencode({**(of or {}), "ended_from": _iso(first), "ended_to": _iso(behind)})
            x, broad = round(index * width, 2), round(width, 2)
            bars.append(Bar(x, broad, each_counts, first, behind, query))
    scale = HEIGHT / highest if highest else 0.0
    step = span / _TICKS
    return Chart(
        bars=tuple(bars),
        done=_path(bars, scale, lambda counts: (0, counts.done)),
        retried=_path(bars, scale, lambda counts: (counts.done, counts.retried)),
        failed=_path(bars, scale, lambda counts: (counts.done + counts.retried, counts.failed)),
        total=_sum(counted),
        highest=highest,
        seconds=seconds,
        ticks=tuple(begin + step * n for n in range(_TICKS + 1)),
    )


def _counts(rollup: Rollup | NameRollup) -> Counts:
    counts = rollup.counts
    done, failed = counts.get("finished", 0), counts.get("errored", 0)
    if isinstance(rollup, NameRollup):
        return Counts(done, failed, rollup.retried)
    # There the attempts that failed are counted by name, whatever followed.
    return Counts(done, failed, max(sum(rollup.failures.values()) - failed, 0))


def _plus(first: Counts, second: Counts) -> Counts:
    return Counts(
        first.done + second.done, first.failed + second.failed, first.retried + second.retried
    )


def _sum(counted: Iterable[Counts]) -> Counts:
    whole = Counts()
    for each in counted:
        whole = _plus(whole, each)
    return whole


def _path(bars: Iterable[Bar], scale: float, part: Callable[[Counts], tuple[int, int]]) -> str:
    """Return the areas of one kind, each from what stands below it upwards."""
    areas = []
    for bar in bars:
        below, count = part(bar.counts)
        if count:
            x, width = round(bar.x + bar.width * _GAP / 2, 1), round(bar.width * (1 - _GAP), 1)
            bottom, height = round(HEIGHT - below * scale, 1), round(count * scale, 1)
            areas.append(f"M{x} {bottom}h{width}v-{height}h-{width}z")
    return "".join(areas)


def _iso(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
