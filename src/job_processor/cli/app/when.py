"""Times on the command line: read from `--at`, written for people."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from job_processor.clock import span
from job_processor.errors import InvalidArgumentError

_DELAY = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_ALLOWED = (
    "allowed are a time in ISO 8601 with its zone, such as 2030-01-31T08:00:00+01:00 or "
    "2030-01-31T07:00Z, and a delay such as 10s, 5m, 2h or 1d"
)


def parse_when(text: str, option: str = "--at") -> datetime | timedelta:
    """Return the moment or the delay that an option gives; raises InvalidArgumentError."""
    delay = _DELAY.fullmatch(text.strip())
    try:
        if delay is not None:
            return _within_time(timedelta(seconds=float(delay[1]) * _UNITS[delay[2]]))
        moment = datetime.fromisoformat(text.strip())
        if moment.utcoffset() is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidArgumentError(option, text, _ALLOWED) from error
    raise InvalidArgumentError(option, text, f"it has no time zone; {_ALLOWED}")


def parse_delay(text: str, option: str, most: float) -> timedelta:
    """Return the delay that is typed, such as 30s, 5m, 2h or 1d, of `most` seconds at the most.

    Raises InvalidArgumentError.
    """
    found = _DELAY.fullmatch(text.strip())
    seconds = float(found[1]) * _UNITS[found[2]] if found is not None else most + 1
    if seconds > most:
        allowed = f"allowed is a time such as 30s, 5m, 2h or 1d, up to {most / 86_400:g}d"
        raise InvalidArgumentError(option, text, allowed)
    return timedelta(seconds=seconds)


def read_time(text: str) -> datetime:
    """Return a time of our JSON as an aware datetime."""
    return datetime.fromisoformat(text)


def relative(moment: datetime, now: datetime) -> str:
    """Return a moment as seen from `now`: `3 min 10 s ago`, `in 2 h`, `now`."""
    seconds = (moment - now).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"in {_rough(seconds)}" if seconds > 0 else f"{_rough(-seconds)} ago"


def between(began: str | None, ended: str | None) -> str:
    """Return the span between two times of our JSON, nothing when one is missing."""
    if began is None or ended is None:
        return ""
    return span((read_time(ended) - read_time(began)).total_seconds())


def _within_time(delay: timedelta) -> timedelta:
    """Return the delay; raises OverflowError when it leads out of the years that Python knows."""
    datetime.now(UTC) + delay  # computed for its error
    return delay


def _rough(seconds: float) -> str:
    return span(seconds) if seconds >= 10 else f"{int(seconds)} s"
