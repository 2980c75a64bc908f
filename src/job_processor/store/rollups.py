"""What happened in a span of time, as counts: for charts that read no jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

K = TypeVar("K")

MINUTE = 60
TEN_MINUTES = 600
HOUR = 3600
DAY = 86_400
SPANS = (MINUTE, TEN_MINUTES, HOUR, DAY)
"""Seconds that a rollup is of: minutes for the last hours, days for the last months."""

KEPT: Mapping[int, timedelta] = {
    MINUTE: timedelta(hours=3),
    TEN_MINUTES: timedelta(days=3),
    HOUR: timedelta(days=8),
    DAY: timedelta(days=90),
}
"""How long rollups of each span are kept."""

NAMES_KEPT = 200
"""Names, and tags, that are counted apart at the most; the others count as `…`."""

OTHERS = "…"
"""What stands for those that are not counted apart."""

DELAYS: tuple[float, ...] = tuple(round(0.001 * 2.0**n, 3) for n in range(24))
"""Upper bounds, in seconds, of the classes in which queue delays are counted: 1 ms to 2.3 hours."""


@dataclass(frozen=True, slots=True)
class Rollup:
    """Counts of ended runs in one span of time."""

    seconds: int
    """Length of the span: 60, 600, 3600 or 86400."""
    start: datetime
    """Start of the span, in UTC."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Number of runs by how they ended: `finished`, `errored`, `killed`, `skipped`, `retried`,
    `paused`.
    """
    failures: Mapping[str, int] = field(default_factory=dict)
    """Number of failed attempts by name, retried ones included."""
    delays: Mapping[int, int] = field(default_factory=dict)
    """Number of runs by how long they had waited since they were due, as an index in `DELAYS`. See
    `delay`.
    """

    def plus(self, other: Rollup) -> Rollup:
        """Return the sum of two rollups, with the span of this one."""
        return Rollup(
            self.seconds,
            self.start,
            added(self.counts, other.counts),
            added(self.failures, other.failures),
            added(self.delays, other.delays),
        )

    def delay(self, part: float) -> float | None:
        """Return the seconds within which this part (0 to 1) of the runs started; None: no runs.

        `delay(0.95)` is the 95th percentile.
        """
        return within(self.delays, DELAYS, part)


def start_of(moment: datetime, seconds: int) -> datetime:
    """Return the first moment of the span that a moment is in."""
    return datetime.fromtimestamp(int(moment.timestamp()) // seconds * seconds, UTC)


def total(rollups: Iterable[Rollup]) -> Rollup:
    """Return the sum of all."""
    result = Rollup(0, datetime.fromtimestamp(0, UTC))
    for each in rollups:
        result = result.plus(each)
    return result


def within(classes: Mapping[int, int], bounds: Sequence[float], part: float) -> float | None:
    """Return the upper bound of the class in which so much (0 to 1) of what is counted ends.

    classes: counts by index in `bounds`. None: nothing is counted.
    """
    count = sum(classes.values())
    if count == 0:
        return None
    seen = 0
    for index in sorted(classes):
        seen += classes[index]
        if seen >= part * count:
            return bounds[index]
    return bounds[-1]


def added(first: Mapping[K, int], second: Mapping[K, int]) -> dict[K, int]:
    """Return the sum of two mappings of counts."""
    result = dict(first)
    for key, count in second.items():
        result[key] = result.get(key, 0) + count
    return result
