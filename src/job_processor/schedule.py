"""When a cron fires next: pure functions over cron expressions, intervals and time zones.

The expression's fields and their meaning are `cronsim`'s (Debian cron): 5 fields, or 6 with seconds
first; `*`, lists, ranges, steps, month and day names, `L`, `LW` and `#`.

Daylight saving follows the same rule as cronsim's: where the minute or the hour field starts with
`*`, and in every expression with seconds, each matching instant counts, so hours that a gap skips
are left out and hours that a fold repeats count twice. Every other expression fires once a local
day for each matching local time: at the first instant after a gap that swallowed it, in the first
pass of a fold.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple

from cronsim import CronSim, CronSimError
from cronsim.cronsim import SYMBOLIC_DAYS as DAYS
from cronsim.cronsim import SYMBOLIC_MONTHS as MONTHS

from job_processor.clock import EPOCH
from job_processor.errors import InvalidArgumentError, shorten
from job_processor.settings import Duration, duration, time_zone

__all__ = ["next_occurrence"]

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS = {
    "second": range(60),
    "minute": range(60),
    "hour": range(24),
    "day of the month": range(1, 32),
    "month": range(1, 13),
    "day of the week": range(7),
}
_LONGEST = 1000  # characters of an expression
_ANCHOR = datetime(2024, 1, 1)  # noqa: DTZ001  # local time of no zone, to try expressions
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
LONGEST_INTERVAL = 50 * 365 * 86_400
"""Seconds: what is rarer never fires."""

_EVERY = re.compile(r"@every (\d{1,12})([smhd])(?: from (\S+))?", re.IGNORECASE)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Interval(NamedTuple):
    """Moments that lie apart by the same time."""

    every: timedelta
    """Whole seconds, one at least."""
    anchor: datetime = EPOCH
    """One of the moments, a whole second: all others follow from it, before it and after."""

    def next(self, after: datetime) -> datetime:
        """Return the first moment strictly later than `after`."""
        return self.anchor + ((after - self.anchor) // self.every + 1) * self.every

    @property
    def expression(self) -> str:
        """Return it as it is written and kept."""
        text = f"@every {self.every // _SECOND}s"
        return text if self.anchor == EPOCH else f"{text} from {self.anchor.isoformat()}"


def next_occurrence(cron_string: str, timezone: str | tzinfo, after: datetime) -> datetime:
    """Return the first time of a cron expression strictly later than `after`.

    cron_string: 5 fields, 6 with seconds first, or an alias such as `@hourly`.
    timezone: IANA name, or a tzinfo.
    after: aware datetime.

    ```python
    next_occurrence("0 2 * * *", "Europe/Paris", datetime.now(UTC))
    ```

    Returns an aware datetime in UTC. Raises InvalidArgumentError for an expression, time zone or
    time that is not allowed, and for an expression without an occurrence within 50 years.
    """
    if after.tzinfo is None or after.utcoffset() is None:
        raise InvalidArgumentError("after", after, "allowed is an aware datetime")
    zone = time_zone(timezone) if isinstance(timezone, str) else timezone
    expression = parse(cron_string)
    moment = after.astimezone(UTC)
    try:
        interval = interval_of(expression)
        if interval is not None:
            return interval.next(moment)
        if is_rhythm(expression):
            return _next_instant(expression, zone, moment)
        return _next_local_time(expression, zone, moment)
    except (StopIteration, OverflowError) as error:
        raise InvalidArgumentError(
            "cron_string", cron_string, "allowed is an expression that fires within 50 years"
        ) from error


def latest_occurrences(
    cron_string: str, timezone: str | tzinfo, after: datetime, until: datetime, limit: int
) -> list[datetime]:
    """Return the last occurrences in (after, until], at most `limit`, the earliest first.

    However many there are: no more than some thousand occurrences are computed. Raises as
    `next_occurrence` does.
    """

    def walk(start: datetime, end: datetime, most: int) -> list[datetime]:
        """Return the first occurrences in (start, end]."""
        found: list[datetime] = []
        moment = next_occurrence(cron_string, timezone, start)
        while moment <= end and len(found) < most:
            found.append(moment)
            moment = next_occurrence(cron_string, timezone, moment)
        return found

    found = walk(after, until, limit + 1)
    if len(found) <= limit:
        return found
    # Behind `early` there are too many. Behind `late` there are those of `last`, too few. They are
    # a second apart at least, so that bisecting meets a place behind which there are just as many.
    # Tried first are places as far back as the first ones lie apart, then twice as far, and so on.
    early, late, last, back = after, until, list[datetime](), found[-1] - found[0]
    while True:
        start = max(until - back, early + (late - early) / 2)
        found = walk(start, late, limit + 1 - len(last)) + last
        if len(found) == limit:
            return found
        if len(found) > limit:
            early = start
        else:
            late, last = start, found
        back = min(2 * back, until - after)


@lru_cache(maxsize=1024)
def parse(cron_string: str, argument: str = "cron_string") -> str:
    """Return the expression in 5 or 6 fields, or an interval with its unit in seconds.

    Raises InvalidArgumentError with the reason.
    """
    if not isinstance(cron_string, str):
        raise InvalidArgumentError(argument, cron_string, f"allowed is a str{_meant(cron_string)}")
    text = cron_string.strip()
    if len(text) > _LONGEST:
        raise InvalidArgumentError(
            argument, shorten(text, 60), f"allowed are at most {_LONGEST} characters"
        )
    if text.startswith("@"):
        interval = _EVERY.fullmatch(text)
        if interval is not None:
            return _interval(interval, argument, cron_string).expression
        if text.lower() not in ALIASES:
            allowed = f"allowed are {', '.join(ALIASES)}, and an interval such as @every 90s"
            raise InvalidArgumentError(argument, cron_string, allowed)
        return ALIASES[text.lower()]
    try:
        next(CronSim(text, _ANCHOR))
    except CronSimError as error:
        raise InvalidArgumentError(
            argument, cron_string, f"{error}; allowed are 5 cron fields, or 6 with seconds first"
        ) from error
    except StopIteration as error:
        raise InvalidArgumentError(
            argument, cron_string, "it never fires; allowed is one that fires within 50 years"
        ) from error
    told = next(filter(None, map(_misleading_step, _FIELDS.items(), _six(text))), None)
    if told is not None:
        raise InvalidArgumentError(argument, cron_string, told)
    return " ".join(text.split())


def interval_expression(every: Duration, anchor: datetime | None = None) -> str:
    """Return the expression of moments that lie apart by `every`, seconds or a timedelta.

    anchor: one of them, cut to its second; None: the beginning of 1970 in UTC. Raises
    InvalidArgumentError for what is no interval of whole seconds, and for a naive anchor.
    """
    seconds = duration("every", every)
    if not 1 <= seconds <= LONGEST_INTERVAL or seconds != int(seconds):
        allowed = "allowed are whole seconds, from 1 to 50 years, as a number or a timedelta"
        raise InvalidArgumentError("every", every, allowed)
    if anchor is None:
        return Interval(_SECOND * int(seconds)).expression
    if not isinstance(anchor, datetime) or anchor.utcoffset() is None:
        allowed = "allowed is an aware datetime, such as datetime(2026, 1, 1, tzinfo=UTC)"
        raise InvalidArgumentError("anchor", anchor, allowed)
    return Interval(_SECOND * int(seconds), _whole(anchor)).expression


@lru_cache(maxsize=1024)
def interval_of(expression: str) -> Interval | None:
    """Return what a parsed expression means where it is an interval; None: it is a cron's."""
    found = _EVERY.fullmatch(expression)
    return None if found is None else _interval(found, "cron_string", expression)


def _interval(found: re.Match[str], argument: str, text: str) -> Interval:
    seconds = int(found[1]) * _UNITS[found[2].lower()]
    if not 1 <= seconds <= LONGEST_INTERVAL:
        raise InvalidArgumentError(argument, text, "allowed are from 1 second to 50 years")
    if found[3] is None:
        return Interval(_SECOND * seconds)
    try:
        anchor = datetime.fromisoformat(found[3])
        if anchor.utcoffset() is not None:
            return Interval(_SECOND * seconds, _whole(anchor))
    except (ValueError, OverflowError):
        pass
    allowed = "allowed behind from is a time in ISO 8601 with its zone: 2026-01-01T08:00:00+01:00"
    raise InvalidArgumentError(argument, text, allowed)


def _whole(moment: datetime) -> datetime:
    """Return a moment in UTC, cut to its second."""
    return moment.astimezone(UTC).replace(microsecond=0)


def _meant(value: object) -> str:
    if isinstance(value, timedelta) or (isinstance(value, int) and not isinstance(value, bool)):
        return "; an interval is every=timedelta(…), or a number of seconds"
    return ""


def _six(expression: str) -> list[str]:
    fields = expression.split()
    return fields if len(fields) == 6 else ["0", *fields]


def _misleading_step(field: tuple[str, range], text: str) -> str | None:
    """Return what is wrong with a step that never steps: it reads as if it did.

    `*/90` in the minutes does not fire every 90 minutes, it fires at minute 0; `5-5/15` is 5, and
    not the 5, 20, 35, 50 of `5/15`.
    """
    name, values = field
    for term in text.upper().split(","):
        start, slash, step = term.partition("/")
        if not slash:
            continue
        first, _, last = start.partition("-")
        if not step.isdigit() or first.startswith("L"):
            return f"{term!r} has no step (field {name}); write {start!r}"
        if first == "*" and int(step) == len(values) != 31:
            continue  # every 60 minutes, every 24 hours: it fires as it reads
        low = values.start if first == "*" else _number(name, first)
        high = _number(name, last) if last else values.stop - 1
        if low + int(step) > high:
            write = str(low) if first == "*" else first
            return f"{term!r} never steps (field {name}), it fires at {low} only; write {write!r}"
    return None


def _number(name: str, text: str) -> int:
    """Return a value of a field, which may be the name of a month or a day."""
    if text.isdigit():
        return int(text)
    return MONTHS.index(text) + 1 if name == "month" else DAYS.index(text)


def is_rhythm(expression: str) -> bool:
    """True when a parsed expression counts every matching instant, not local times of day."""
    if interval_of(expression) is not None:
        return True
    fields = expression.split()
    return len(fields) == 6 or fields[0].startswith("*") or fields[1].startswith("*")


def _next_instant(expression: str, zone: tzinfo, after: datetime) -> datetime:
    """Walk the stretches of constant offset: within one, local time has neither gap nor fold."""
    later_than = stretch = after
    while True:
        offset = _offset(stretch, zone)
        local = (later_than + offset).replace(tzinfo=None)
        candidate: datetime = next(CronSim(expression, local)).replace(tzinfo=UTC) - offset
        change = _next_offset_change(stretch, candidate, zone)
        if change is None:
            return candidate
        later_than, stretch = change - _SECOND, change


def _next_local_time(expression: str, zone: tzinfo, after: datetime) -> datetime:
    """Walk local times; each stands for its first instant, or the first one after its gap."""
    local = after.astimezone(zone).replace(tzinfo=None, fold=0)
    walk = CronSim(expression, local)
    while True:
        instant = _first_instant(next(walk), zone)
        if instant > after:
            return instant


def _first_instant(local_time: datetime, zone: tzinfo) -> datetime:
    """Return the instant of a local time in UTC: its first pass; the end of a gap it lies in."""
    aware = local_time.replace(tzinfo=zone, fold=0)
    instant = aware.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None, fold=0) == local_time:
        return instant
    # In a gap, fold=0 reads the offset before it: the instant lies behind the change.
    change = _next_offset_change(instant - _DAY * 1.25, instant, zone)
    return instant if change is None else change


def _offset(instant: datetime, zone: tzinfo) -> timedelta:
    offset = instant.astimezone(zone).utcoffset()
    return timedelta(0) if offset is None else offset


def _next_offset_change(start: datetime, end: datetime, zone: tzinfo) -> datetime | None:
    """Return the first instant in (start, end] whose offset differs from the second before it."""
    before, offset = start, _offset(start, zone)
    while before < end:
        ahead = min(before + _DAY, end)
        if _offset(ahead, zone) != offset:
            return _bisect(before, ahead, zone)
        before = ahead
    return None


def _bisect(before: datetime, behind: datetime, zone: tzinfo) -> datetime:
    """Return the first instant of the new offset, to the second; `before` has the old one."""
    offset = _offset(before, zone)
    low, high = 0, -int((before - behind) // _SECOND)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(before + _SECOND * middle, zone) == offset:
            low = middle
        else:
            high = middle
    return (before + _SECOND * high).replace(microsecond=0)
