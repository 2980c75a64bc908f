"""What a run tells of itself while it runs: its progress and its log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come."""

    fraction: float
    """From 0 to 1."""
    message: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a run's log."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Notes:
    """Progress and log, as far as they are kept: the last 100 lines of all runs of a job."""

    progress: Progress | None = None
    log: tuple[LogLine, ...] = ()
