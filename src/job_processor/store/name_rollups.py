"""What happened to the jobs of a name, or of a tag, in a span of time.

How long they waited and ran is counted in classes whose bounds grow by a fifth, so that a median is
never further from the truth than that, however many spans are added up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from math import ceil, log2
from typing import Literal

from job_processor.clock import duration_ms
from job_processor.store.rollups import DAY, DELAYS, HOUR, MINUTE, added, within

Kind = Literal["all", "name", "tag"]
"""Of what a rollup is: of all jobs, of those with a name, or of those with a tag."""

NAME_SPANS = (MINUTE, HOUR, DAY)
"""Seconds that a rollup of a name is of."""

_STEPS = 4  # classes to a doubling
_DOUBLINGS = 30
CLASSES: tuple[float, ...] = tuple(
    round(0.001 * 2 ** (n / _STEPS), 5) for n in range(_STEPS * _DOUBLINGS + 1)
)
"""Upper bounds, in seconds, of the classes in which spans of time are counted: 1 ms to 12 days."""


@dataclass(frozen=True, slots=True)
class NameRollup:
    """Counts, waiting times and durations of one name or tag in one span of time."""

    kind: Kind
    """Whether `name` is a name or a tag, or all jobs are counted."""
    name: str
    """The name or tag; empty for all jobs; `…` for the names or tags that are not counted
    separately.
    """
    seconds: int
    """Length of the span: 60, 3600 or 86400."""
    start: datetime
    """Start of the span, in UTC."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Number of runs by how they ended: `finished`, `errored` (for good), `killed`, `skipped`,
    `paused`, `retried` (failed, with another attempt), `postponed` (sleeps or waits for a
    message); and `missed`: occurrences of a cron or schedule that were not started in time.
    """
    delays: Mapping[int, int] = field(default_factory=dict)
    """Number of jobs by how long they had waited since they were due, as an index in `CLASSES`. See
    `delay`.
    """
    durations: Mapping[int, int] = field(default_factory=dict)
    """Number of attempts by how long they ran, as an index in `CLASSES`, without killed ones. See
    `duration`.
    """

    @property
    def count(self) -> int:
        """Jobs that have ended, in whatever way."""
        return sum(self.counts.get(end, 0) for end in ("finished", "errored", "killed", "skipped"))

    @property
    def finished(self) -> int:
        """Jobs that have finished."""
        return self.counts.get("finished", 0)

    @property
    def errored(self) -> int:
        """Jobs that have failed for good."""
        return self.counts.get("errored", 0)

    @property
    def retried(self) -> int:
        """Failed attempts that were followed by another one."""
        return self.counts.get("retried", 0)

    @property
    def missed(self) -> int:
        """Occurrences that were missed."""
        return self.counts.get("missed", 0)

    @property
    def failure_share(self) -> float | None:
        """The part (0 to 1) of finished and errored jobs that were errored; None: no jobs."""
        ended = self.finished + self.errored
        return self.errored / ended if ended else None

    def delay(self, part: float) -> float | None:
        """Return the seconds within which this part (0 to 1) of the jobs started; None: no jobs.

        `delay(0.95)` is the 95th percentile.
        """
        return within(self.delays, CLASSES, part)

    def duration(self, part: float) -> float | None:
        """Return the seconds within which this part (0 to 1) of the attempts ended; None: none ran.

        `duration(0.5)` is the median.
        """
        return within(self.durations, CLASSES, part)

    def plus(self, other: NameRollup) -> NameRollup:
        """Return the sum of two rollups, with the name and span of this one."""
        return NameRollup(
            self.kind,
            self.name,
            self.seconds,
            self.start,
            added(self.counts, other.counts),
            added(self.delays, other.delays),
            added(self.durations, other.durations),
        )


def by_name(rollups: Iterable[NameRollup]) -> list[NameRollup]:
    """Return what the rollups of each name add up to, in order of name; its start is the first."""
    sums: dict[str, _Sum] = {}
    for each in rollups:
        if each.name not in sums:
            sums[each.name] = _Sum(each)
        sums[each.name].add(each)
    return [sums[name].whole() for name in sorted(sums)]


class _Sum:
    """Rollups of a name while they are added up: thousands of them, for one page."""

    def __init__(self, first: NameRollup) -> None:
        self._first = first
        self._counts: defaultdict[str, int] = defaultdict(int)
        self._delays: defaultdict[int, int] = defaultdict(int)
        self._durations: defaultdict[int, int] = defaultdict(int)

    def add(self, rollup: NameRollup) -> None:
        for key, count in rollup.counts.items():
            self._counts[key] += count
        for index, count in rollup.delays.items():
            self._delays[index] += count
        for index, count in rollup.durations.items():
            self._durations[index] += count

    def whole(self) -> NameRollup:
        first = self._first
        return NameRollup(
            first.kind,
            first.name,
            first.seconds,
            first.start,
            dict(self._counts),
            dict(self._delays),
            dict(self._durations),
        )


_BY_MS = tuple(ceil(log2(ms) * _STEPS) if ms > 1 else 0 for ms in range(2048))
"""The classes of the first milliseconds, which is what most jobs wait and run."""


def class_of(span: timedelta) -> int:
    """Return the index in `CLASSES` of the class of a span of time."""
    return _class_of_ms(span.days * 86_400_000 + span.seconds * 1000 + span.microseconds // 1000)


@lru_cache(maxsize=4096)
def class_of_duration(stored: str) -> int | None:
    """Return the index in `CLASSES` of a duration as it is stored; None: nothing ran."""
    ms = duration_ms(stored)
    return None if ms is None else _class_of_ms(ms)


def delay_index(index: int) -> int:
    """Return the index in `DELAYS`, which are broader, of a class of ours."""
    return min(-(-index // _STEPS), len(DELAYS) - 1)


def _class_of_ms(ms: int) -> int:
    if ms < len(_BY_MS):
        return _BY_MS[ms] if ms > 0 else 0
    return min(ceil(log2(ms) * _STEPS), len(CLASSES) - 1)
