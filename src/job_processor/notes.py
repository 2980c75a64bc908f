"""What a run tells of itself while it runs: its progress and its log.

Wherever it comes from, the text in them is text that can be kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from job_processor.texts import storable


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come."""

    fraction: float
    """From 0 to 1."""
    message: str | None
    at: datetime

    def __post_init__(self) -> None:
        if self.message is not None:
            object.__setattr__(self, "message", storable(self.message))


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a run's log."""

    at: datetime
    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", storable(self.text))


@dataclass(frozen=True, slots=True)
class Notes:
    """Progress and log, as far as they are kept: the last 100 lines of all runs of a job."""

    progress: Progress | None = None
    log: tuple[LogLine, ...] = ()
