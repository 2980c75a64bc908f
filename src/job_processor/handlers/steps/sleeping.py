"""Until when a handler sleeps, and under which name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from job_processor.clock import LAST_MOMENT, truncate
from job_processor.errors import InvalidArgumentError
from job_processor.settings import Duration, check_name, duration


def end_of_sleep(
    seconds: Duration | None,
    minutes: Duration | None,
    hours: Duration | None,
    until: datetime | None,
) -> Callable[[datetime], datetime]:
    """Return what tells, of the present, until when it is slept.

    Raises InvalidArgumentError.
    """
    lengths = [each is not None for each in (seconds, minutes, hours)]
    if until is None and not any(lengths):
        allowed = "allowed is how long, or until when: await context.sleep(hours=1)"
        raise InvalidArgumentError("seconds", seconds, allowed)
    if until is not None:
        if any(lengths):
            allowed = "allowed is one of the two: how long, or until when"
            raise InvalidArgumentError("until", until, allowed)
        if not isinstance(until, datetime) or until.utcoffset() is None:
            raise InvalidArgumentError("until", until, "allowed is an aware datetime")
        moment = truncate(until)
        return lambda _: moment
    total = (
        duration("seconds", seconds or 0, zero=True)
        + 60 * duration("minutes", minutes or 0, "minutes", zero=True)
        + 3600 * duration("hours", hours or 0, "hours", zero=True)
    )
    return partial(_later, seconds=total)


def name_of_sleep(name: object) -> str:
    """Return the name of a sleep; raise InvalidArgumentError for a duration in its place."""
    if name is None:
        return "sleep"
    if not isinstance(name, str):
        allowed = "allowed is a str; to sleep for some seconds, write context.sleep(seconds=…)"
        raise InvalidArgumentError("name", name, allowed)
    check_name("name", name)
    return name


def _later(now: datetime, seconds: float) -> datetime:
    try:
        return truncate(now + timedelta(seconds=seconds))
    except OverflowError:
        return LAST_MOMENT
