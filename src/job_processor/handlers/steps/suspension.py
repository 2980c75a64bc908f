"""What leaves a handler that sleeps, or waits for a message."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from job_processor.handlers.retries import leaves


class Suspended(BaseException):
    """Leaves a handler that sleeps, or waits for a message.

    No Exception: a handler that catches all of those lets it pass.
    """

    def __init__(self, until: datetime, topics: tuple[str, ...] = ()) -> None:
        waits = f"waits for {', '.join(topics)}" if topics else "sleeps"
        super().__init__(f"its handler {waits} until {until.isoformat()}")
        self.until = until
        self.topics = topics
        """The messages of which any wakes it."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Tell pickle how it is made: it may be raised in a process of its own."""
        return type(self), (self.until, self.topics)


def suspension_of(error: BaseException | None) -> Suspended | None:
    """Return for what a handler sleeps or waits that ended with this; None: it ended otherwise.

    Of a group all must be such, and whatever comes first wakes it.
    """
    if error is None:
        return None
    members = leaves(error)
    suspended = [each for each in members if isinstance(each, Suspended)]
    return together(suspended) if len(suspended) == len(members) else None


def together(suspended: Iterable[Suspended]) -> Suspended:
    """Return what stands for all of them: the first that is over wakes the handler."""
    each = list(suspended)
    topics = sorted({topic for one in each for topic in one.topics})
    return Suspended(min(one.until for one in each), tuple(topics))
