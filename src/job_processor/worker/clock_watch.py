"""Compares this process's clock with the database's, and names the one that is wrong."""

from __future__ import annotations

import logging
from datetime import datetime

from job_processor.clock import Clock
from job_processor.settings import CLOCK_TOLERANCE
from job_processor.store import Store


class ClockWatch:
    """Warns once when the clocks differ, again when the difference changes, and at its end."""

    def __init__(self, store: Store, clock: Clock, logger: logging.Logger) -> None:
        self._store = store
        self._clock = clock
        self._logger = logger
        self.ahead: float | None = None
        """Seconds by which our clock is ahead of the database's, behind it if negative; None: they
        agree, as far as can be told."""

    async def look(self) -> None:
        """Compare the two; raises StoreError."""
        before = self._clock.now()
        self.compare(before, await self._store.ping())

    def compare(self, before: datetime, theirs: datetime) -> None:
        """Compare the database's time in an answer with ours, `before` the question and now."""
        least = (before - theirs).total_seconds()
        most = (self._clock.now() - theirs).total_seconds()
        # Theirs was read at some moment in between, so ours was ahead by something in between.
        ahead = least if least > CLOCK_TOLERANCE else most if most < -CLOCK_TOLERANCE else None
        if abs((ahead or 0.0) - (self.ahead or 0.0)) <= CLOCK_TOLERANCE:
            return
        self.ahead = ahead
        if ahead is None:
            self._logger.info("this process's clock and the database's agree again")
        else:
            self._logger.warning(
                "this process's clock is %.1f s %s the database's: its jobs start that much too "
                "%s; synchronize both machines (NTP)",
                abs(ahead),
                "ahead of" if ahead > 0 else "behind",
                "early" if ahead > 0 else "late",
            )
