"""What the pages tell of a name over an hour, a day and a week: from rollups to numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from job_processor.store.name_rollups import NameRollup
from job_processor.store.rollups import HOUR, MINUTE, start_of


@dataclass(frozen=True, slots=True)
class Span:
    """A time that ends now."""

    told: str
    """A text of the pages."""
    length: timedelta
    seconds: int
    """Of the rollups that it is read from."""
    bar: int
    """Seconds of a bar of its chart."""
    unit: str
    """A text of the pages: what a bar counts."""

    def since(self, now: datetime) -> datetime:
        """Return where it begins: with the first bar of its chart, so that both count the same."""
        return start_of(now, self.bar) + timedelta(seconds=self.bar) - self.length


SPANS: Mapping[str, Span] = {
    "hour": Span("The last hour", timedelta(hours=1), MINUTE, MINUTE, "a minute"),
    "day": Span("The last day", timedelta(days=1), HOUR, HOUR, "an hour"),
    "week": Span("The last week", timedelta(days=7), HOUR, 3 * HOUR, "in three hours"),
}


@dataclass(frozen=True, slots=True)
class Figures:
    """The numbers of a name, a tag or a group in a span of time."""

    span: Span
    ended: int
    per_minute: float
    errored: int
    """Jobs that failed for good."""
    share: float | None
    """Part of what ran to its end that failed for good."""
    retried: int
    missed: int
    ran: tuple[float, float] | None
    """Seconds within which half, and 95 of 100, attempts were over; None: none ran."""
    delayed: tuple[float, float] | None
    """Seconds within which half, and 95 of 100, jobs began after they were due."""

    def as_json(self) -> dict[str, Any]:
        """Return them in plain JSON values; times in seconds."""
        ran, delayed = self.ran or (None, None), self.delayed or (None, None)
        return {
            "ended": self.ended,
            "per_minute": round(self.per_minute, 4),
            "errored": self.errored,
            "failure_share": None if self.share is None else round(self.share, 4),
            "retried": self.retried,
            "missed": self.missed,
            "run_time": {"p50": ran[0], "p95": ran[1]},
            "delay": {"p50": delayed[0], "p95": delayed[1]},
        }


def figures(rollup: NameRollup | None, span: Span) -> Figures:
    """Return what a sum of rollups tells; zeros where there is none."""
    if rollup is None:
        return Figures(span, 0, 0.0, 0, None, 0, 0, None, None)
    return Figures(
        span,
        ended=rollup.count,
        per_minute=rollup.count / (span.length.total_seconds() / 60),
        errored=rollup.errored,
        share=rollup.failure_share,
        retried=rollup.retried,
        missed=rollup.missed,
        ran=_pair(rollup.duration(0.5), rollup.duration(0.95)),
        delayed=_pair(rollup.delay(0.5), rollup.delay(0.95)),
    )


def over_time(
    hour: Iterable[NameRollup], week: Sequence[NameRollup], now: datetime
) -> dict[str, Figures]:
    """Return the figures of each span: of minutes of the last hour, and hours of the last week."""
    begun = SPANS["day"].since(now)
    of_spans = {"hour": hour, "day": [each for each in week if each.start >= begun], "week": week}
    return {key: figures(_sum(rollups), SPANS[key]) for key, rollups in of_spans.items()}


def of_names(totals: Iterable[NameRollup], names: Iterable[str], span: Span) -> Figures:
    """Return the figures of several names together."""
    wanted = set(names)
    return figures(_sum(each for each in totals if each.name in wanted), span)


def _sum(rollups: Iterable[NameRollup]) -> NameRollup | None:
    whole: NameRollup | None = None
    for each in rollups:
        whole = each if whole is None else whole.plus(each)
    return whole


def _pair(half: float | None, most: float | None) -> tuple[float, float] | None:
    return None if half is None or most is None else (half, most)
