"""A clock that stands until a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from job_processor.clock import Clock, truncate
from job_processor.errors import InvalidArgumentError


class MovableClock(Clock):
    """A clock for tests, which stands still until it is moved.

    start: an aware datetime; None: the present time.

    Raises InvalidArgumentError.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._now = truncate(datetime.now(UTC)) if start is None else _checked("start", start)

    def now(self) -> datetime:
        """Return the time of the clock."""
        return self._now

    def move(self, by: timedelta | None = None, **duration: float) -> datetime:
        """Move the clock forward by a timedelta or its arguments, `hours=2`; return the new time.

        Raises InvalidArgumentError for a move back, which workers do not support.
        """
        try:
            step = timedelta(**duration) if by is None else by + timedelta(**duration)
        except TypeError as error:
            allowed = "allowed are a timedelta, and what one takes, such as hours="
            raise InvalidArgumentError("by", by if by is not None else duration, allowed) from error
        return self.move_to(self._now + step)

    def move_to(self, moment: datetime) -> datetime:
        """Move the clock forward to an aware datetime; return it. Raises InvalidArgumentError."""
        checked = _checked("moment", moment)
        if checked < self._now:
            allowed = f"allowed is a time from {self._now.isoformat()} on"
            raise InvalidArgumentError("moment", moment, allowed)
        self._now = checked
        return checked


def _checked(argument: str, moment: object) -> datetime:
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise InvalidArgumentError(argument, moment, "allowed is an aware datetime")
    return truncate(moment)
