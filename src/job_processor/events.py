"""What happened to jobs and workers, for whoever listens."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from bson import ObjectId

from job_processor.models import Job


class EventKind(StrEnum):
    """What an event tells."""

    CLAIMED = "claimed"
    FINISHED = "finished"
    ERRORED = "errored"
    RETRIED = "retried"
    PAUSED = "paused"
    KILLED = "killed"
    SKIPPED = "skipped"
    RESCUED = "rescued"
    WORKER_STARTED = "worker started"
    WORKER_STOPPED = "worker stopped"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; `job` is the job as last written, None for a worker's events."""

    kind: EventKind
    worker_id: ObjectId
    job: Job | None = None


Listener: TypeAlias = Callable[[Event], object]


class EventBus:
    """Hands each event to every listener; a listener that fails is logged and harms nothing."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._listeners: tuple[Listener, ...] = ()

    @property
    def has_listeners(self) -> bool:
        """False when an event would reach nobody, so that it need not be made."""
        return bool(self._listeners)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each event, in the event loop; returns a function that ends it."""
        self._listeners = (*self._listeners, listener)

        def forget() -> None:
            self._listeners = tuple(other for other in self._listeners if other is not listener)

        return forget

    def emit(self, event: Event) -> None:
        """Hand `event` to the listeners."""
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                self._logger.exception("a listener failed on the event %r", event.kind.value)
