"""What crons ask of the process that plans them, besides its parts: a worker's engine answers."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from bson import ObjectId

from job_processor.parts import Parts


class ClockWatch(Protocol):
    """Knows whether the clock of this process is the database's."""

    ahead: float | None
    """Seconds by which it is ahead, behind if negative; None: they agree."""

    def compare(self, before: datetime, theirs: datetime) -> None:
        """Take in the database's time in an answer, and our own before the question."""


class Tally(Protocol):
    """Counts what comes of crons and schedules."""

    def add_missed(self, name: str, count: int, at: datetime) -> None:
        """Count occurrences that nobody started in time, as judged at a moment."""


class Process(Protocol):
    """A process that is registered as a worker."""

    @property
    def parts(self) -> Parts:
        """What it is made of."""

    @property
    def worker_id(self) -> ObjectId:
        """The id that it is registered under at present."""

    @property
    def clock_watch(self) -> ClockWatch:
        """What it knows of its clock."""

    @property
    def tally(self) -> Tally:
        """Where it counts."""
