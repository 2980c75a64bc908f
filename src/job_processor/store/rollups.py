"""What happened in a span of time, as counts: for charts that read no jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

K = TypeVar("K")

MINUTE = 60
TEN_MINUTES = 600
SPANS = (MINUTE, TEN_MINUTES)
"""Seconds that a rollup is of: minutes for the last hours, ten of them for the last days."""

KEPT: Mapping[int, timedelta] = {MINUTE: timedelta(hours=3), TEN_MINUTES: timedelta(days=3)}
"""How long rollups of each span are kept."""

NAMES_KEPT = 100
"""Failing names that one rollup counts apart at the most; the others count as `…`."""

DELAYS: tuple[float, ...] = tuple(round(0.001 * 2.0**n, 3) for n in range(24))
"""Upper bounds, in seconds, of the classes in which queue delays are counted: 1 ms to 2.3 hours."""


@dataclass(frozen=True, slots=True)
class Rollup:
    """The counts of one span, of all workers or of one."""

    seconds: int
    """Length of the span: one of `SPANS`."""
    start: datetime
    """Its first moment, in UTC."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Runs by how they ended: `finished`, `errored`, `killed`, `skipped`, `retried`, `paused`."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """Attempts that failed, by name."""
    delays: Mapping[int, int] = field(default_factory=dict)
    """Runs by the index in `DELAYS` of how long they had waited since they were due."""

    def plus(self, other: Rollup) -> Rollup:
        """Return the sum of two rollups of the same span, or of any two: the span is ours."""
        return Rollup(
            self.seconds,
            self.start,
            _sum(self.counts, other.counts),
            _sum(self.failures, other.failures),
            _sum(self.delays, other.delays),
        )

    def delay(self, part: float) -> float | None:
        """Return the seconds within which this part (0 to 1) of the runs began; None: none did."""
        total = sum(self.delays.values())
        if total == 0:
            return None
        seen = 0
        for index in sorted(self.delays):
            seen += self.delays[index]
            if seen >= part * total:
                return DELAYS[index]
        return DELAYS[-1]


def start_of(moment: datetime, seconds: int) -> datetime:
    """Return the first moment of the span that a moment is in."""
    return datetime.fromtimestamp(int(moment.timestamp()) // seconds * seconds, UTC)


def delay_index(delay: timedelta) -> int:
    """Return the index in `DELAYS` of the class of a delay: its milliseconds as a power of two."""
    ms = delay.days * 86_400_000 + delay.seconds * 1000 + delay.microseconds // 1000
    return min((ms - 1).bit_length(), len(DELAYS) - 1) if ms > 1 else 0


def total(rollups: Iterable[Rollup]) -> Rollup:
    """Return the sum of all."""
    result = Rollup(0, datetime.fromtimestamp(0, UTC))
    for each in rollups:
        result = result.plus(each)
    return result


def _sum(first: Mapping[K, int], second: Mapping[K, int]) -> dict[K, int]:
    return dict(Counter(first) + Counter(second))
