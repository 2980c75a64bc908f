"""What leaves a handler that sleeps."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from job_processor.handlers.retries import leaves


class Suspended(BaseException):
    """Leaves a handler that sleeps.

    No Exception: a handler that catches all of those lets it pass.
    """

    def __init__(self, until: datetime) -> None:
        super().__init__(f"its handler sleeps until {until.isoformat()}")
        self.until = until

    def __reduce__(self) -> tuple[Any, ...]:
        """Tell pickle how it is made: it may be raised in a process of its own."""
        return type(self), (self.until,)


def suspended_until(error: BaseException | None) -> datetime | None:
    """Return until when a handler sleeps that ended with this; None: it ended otherwise.

    Of a group all must be sleeps, and the first that is over wakes it.
    """
    if error is None:
        return None
    members = leaves(error)
    if not all(isinstance(each, Suspended) for each in members):
        return None
    return min(each.until for each in members if isinstance(each, Suspended))
