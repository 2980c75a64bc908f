"""Jobs that are retried together, spread over time: so that they do not all hit one service."""

from __future__ import annotations

from datetime import datetime, timedelta

from job_processor.errors import InvalidArgumentError
from job_processor.handlers.rates import Rate, as_rate

LONGEST = timedelta(days=90)
"""Beyond that nobody meant to wait: the rate is mistaken, or the jobs are too many."""


class Spread:
    """Gives one time after the other, no more in a time than a rate says.

    By the clock of whoever retries, when it begins; the jobs wait like any others for later, so a
    spread holds though nobody is there any more who asked for it.
    """

    def __init__(self, rate: Rate) -> None:
        self._every = timedelta(seconds=rate.seconds / rate.amount)
        self._at_once = rate.at_once
        self._taken = 0
        self._began: datetime | None = None

    @classmethod
    def by(cls, rate: object) -> Spread:
        """Return one for a rate, which may be a text such as `100/m`.

        Raises InvalidArgumentError, for a rate with a key or a group, too: it is of these jobs.
        """
        found = as_rate(rate)
        if found is None or (found.key, found.group, found.on_full) != (None, None, "wait"):
            allowed = 'allowed is how many in a time: rate="100/m", or rate=Rate(100, per=60)'
            raise InvalidArgumentError("rate", rate, allowed)
        return cls(found)

    def next(self, now: datetime) -> datetime | None:
        """Return when the next one is due, not before now; None: too late to be meant."""
        began = self._began = self._began or now
        due = began + self._every * max(self._taken + 1 - self._at_once, 0)
        return None if due - began > LONGEST else max(due, now)

    def take(self) -> None:
        """Count the next one as given away."""
        self._taken += 1
