"""What a handler may tell and keep while it runs."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from job_processor.errors import InvalidArgumentError, NotSetUpError
from job_processor.handlers.abort import AbortSignal
from job_processor.handlers.resources import LIFESPAN_TO_WRITE, MISSING
from job_processor.settings import LOG_LINE_LIMIT, MESSAGE_LIMIT
from job_processor.texts import told

if TYPE_CHECKING:  # it is handed through
    from job_processor.models import Job


class Recorder(ABC):
    """Takes what a context is told, wherever its handler runs."""

    @abstractmethod
    def progress(self, fraction: float, message: str | None) -> None:
        """Take how far the run has come, with a message that is short enough; never blocks."""

    @abstractmethod
    def log(self, text: str) -> None:
        """Take a line, which is short enough; never blocks."""

    @abstractmethod
    async def save(self, state: Any) -> None:
        """Write a state; return once it is in the database."""

    @abstractmethod
    def save_sync(self, state: Any) -> None:
        """The same, from a thread that is not the event loop's."""


class Context:
    """A run, for its handler: a parameter named `context` gets it.

    `progress` and `log` may be called from anywhere, as often as one likes: they keep what they are
    given in memory and return. It is written at most once a second, and at the end.
    """

    __slots__ = ("_recorder", "_resources", "job", "signal", "state")

    def __init__(
        self,
        job: Job,
        signal: AbortSignal,
        state: Any,
        recorder: Recorder,
        resources: Any = MISSING,
    ) -> None:
        self.job = job
        """The job as it was claimed."""
        self.signal = signal
        """Tells when to stop, and why."""
        self.state = state
        """What was saved last, by this run or, when it was interrupted, retried or its worker
        died, by the one before; None when nothing was."""
        self._recorder = recorder
        self._resources = resources

    @property
    def resources(self) -> Any:
        """What the lifespan of the processor yields; raises NotSetUpError where it has none."""
        if self._resources is MISSING:
            raise NotSetUpError(f"there are no resources: {LIFESPAN_TO_WRITE}")
        return self._resources

    @property
    def attempt(self) -> int:
        """Number of this attempt, from 1."""
        return self.job.attempt

    def progress(self, fraction: float, message: str | None = None) -> None:
        """Tell how far the run has come, from 0 to 1.

        Of a message the first 200 characters are kept. Raises InvalidArgumentError.
        """
        number = isinstance(fraction, int | float) and not isinstance(fraction, bool)
        if not number or not math.isfinite(fraction) or not 0 <= fraction <= 1:
            raise InvalidArgumentError("fraction", fraction, "allowed is a number from 0 to 1")
        shown = None if message is None else told(message, MESSAGE_LIMIT)
        self._recorder.progress(float(fraction), shown)

    def log(self, text: object) -> None:
        """Add a line to the job's log, which keeps the last 100, of 500 characters each."""
        self._recorder.log(told(text, LOG_LINE_LIMIT))

    async def save(self, state: Any) -> None:
        """Keep a state for the next run, should this one be interrupted; replaces the one before.

        Returns once it is in the database, for which it waits. `state` may hold what a payload
        may. Raises PayloadError, and AbortedError when the run was taken away from this worker.
        """
        await self._recorder.save(state)
        self.state = state

    def save_sync(self, state: Any) -> None:
        """Do as `save` does, in a plain handler: return once it is in the database."""
        self._recorder.save_sync(state)
        self.state = state
