"""Time as the processor sees it: aware, in UTC, to the millisecond. Tests replace the clock.

And spans of it as text: one format for people (`span`), wherever one is shown, and the one in which
a run's duration is stored (`stored_duration`), which is that of the Node package.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MOMENT = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""The last second that a datetime can tell."""
FAR = datetime(9999, 12, 31, tzinfo=UTC)
"""Where the stored `scheduled_for` of a job stands that no plain claim is to meet."""


@lru_cache(maxsize=1024)  # what is claimed, or ends, in one moment shares its datetime
def from_ms(milliseconds: int) -> datetime:
    """Return the aware UTC datetime that lies `milliseconds` after the Unix epoch."""
    return EPOCH + timedelta(milliseconds=milliseconds)


@lru_cache(maxsize=1024)
def to_ms(moment: datetime) -> int:
    """Return the whole milliseconds from the Unix epoch to `moment`, an aware datetime."""
    since = moment - EPOCH
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000


def truncate(moment: datetime) -> datetime:
    """Return `moment` in UTC, cut to the millisecond that both stores keep."""
    utc = moment.astimezone(UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)


def span(seconds: float, day: str = "d") -> str:
    """Return a span in its two largest units: `340 ms`, `4.2 s`, `2 min 05 s`, `1 h 20 min`, `3 d`.

    Never rounded up. day: the unit of days, which is another letter in other languages.
    """
    milliseconds = _milliseconds(seconds)
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    if milliseconds < 10_000:
        return f"{milliseconds // 100 / 10:g} s"
    minutes, second = divmod(milliseconds // 1000, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} {day} {hour} h" if hour else f"{days} {day}"
    if hours:
        return f"{hours} h {minute:02} min" if minute else f"{hours} h"
    if minutes:
        return f"{minutes} min {second:02} s" if second else f"{minutes} min"
    return f"{second} s"


_UNITS = ((86_400, "day"), (3600, "hour"), (60, "minute"))
_MILLISECONDS = {
    "ms": 1,
    "s": 1000,
    "second": 1000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": 86_400_000,
    "month": 2_592_000_000,
    "year": 31_536_000_000,
}
"""In a unit of a stored duration: ours, and those of the Node package."""
_AMOUNT = re.compile(r"(\d{1,12}(?:\.\d{1,6})?) ?([a-z]+)(?: |$)")


def stored_duration(seconds: float) -> str:
    """Return how long a run took, as the database keeps it: `503ms`, `1 minute 2.5 seconds`.

    The Node package stores words as well, of whole seconds.
    """
    if seconds < 1:  # most runs
        return f"{int(seconds * 1000)}ms"
    milliseconds = _milliseconds(seconds)
    rest, thousandths = divmod(milliseconds, 1000)
    parts = []
    for size, unit in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}{'s' if count > 1 else ''}")
    if rest or thousandths:
        number = f"{rest}.{thousandths:03}".rstrip("0").rstrip(".")
        parts.append(f"{number} second{'' if number == '1' else 's'}")
    return " ".join(parts)


def duration_ms(stored: str) -> int | None:
    """Return the milliseconds of a stored duration, whoever wrote it; None where it is none."""
    total, position = 0.0, 0
    while position < len(stored):
        amount = _AMOUNT.match(stored, position)
        if amount is None:
            return None
        word = amount[2]
        unit = _MILLISECONDS.get(word) or _MILLISECONDS.get(word.removesuffix("s"))
        if unit is None:
            return None
        total += float(amount[1]) * unit
        position = amount.end()
    return round(total) if stored else None


def total_ms(
    scheduled_for: datetime, started_at: datetime | None, ended_at: datetime | None
) -> int | None:
    """Return the milliseconds from a job's scheduled time to its end; None while it has none."""
    if ended_at is None:
        return None
    began = scheduled_for if started_at is None else min(scheduled_for, started_at)
    return max(to_ms(ended_at) - to_ms(began), 0)


def _milliseconds(seconds: float) -> int:
    """Return whole milliseconds, cut; 0.57 s are 570, whatever a float makes of them."""
    return int(round(max(seconds, 0.0) * 1000, 3))


class Clock:
    """The system's clock. A subclass may replace it in tests, for one processor."""

    def now(self) -> datetime:
        """Return the present time: aware, in UTC, in whole milliseconds."""
        return from_ms(time.time_ns() // 1_000_000)
