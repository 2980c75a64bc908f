"""Time as the processor sees it: aware, in UTC, to the millisecond. Tests replace the clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MOMENT = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""The last second that a datetime can tell."""


@lru_cache(maxsize=1024)  # jobs that come together share their times
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


class Clock:
    """The system's clock. A subclass may tell another time; one clock serves one processor."""

    def now(self) -> datetime:
        """Return the present moment: aware, UTC, whole milliseconds."""
        return from_ms(time.time_ns() // 1_000_000)
