"""What happened to jobs and workers, for whoever listens."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from bson import ObjectId

from job_processor.errors import InvalidArgumentError
from job_processor.handlers.callables import runs_at_once
from job_processor.listeners import Listeners
from job_processor.models import Job, JobStatus


class EventKind(StrEnum):
    """What happened to a job, cron or worker.

    `scheduled`, `skipped`: a job was stored; `claimed`, `started`, `progressed`: a worker claimed
    it, called its handler, stored its progress; `finished`, `errored`, `killed`: it ended;
    `retried`: an attempt failed, and another follows; `paused`: it was interrupted and will be
    resumed; `rescued`: it was recovered from a crashed worker; `cron fired`, `cron refused`: an
    occurrence was stored, or a cron cannot run beside the Node package; `worker started`, `worker
    stopped`, `worker lost`: a worker of this process started or stopped, or another one has
    crashed.
    """

    SCHEDULED = "scheduled"
    CLAIMED = "claimed"
    STARTED = "started"
    PROGRESSED = "progressed"
    FINISHED = "finished"
    ERRORED = "errored"
    RETRIED = "retried"
    PAUSED = "paused"
    KILLED = "killed"
    SKIPPED = "skipped"
    RESCUED = "rescued"
    CRON_FIRED = "cron fired"
    CRON_REFUSED = "cron refused"
    WORKER_STARTED = "worker started"
    WORKER_STOPPED = "worker stopped"
    WORKER_LOST = "worker lost"


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a job or worker, in this process or noticed by it."""

    kind: EventKind
    worker_id: ObjectId | None = None
    """The worker of the event; for WORKER_LOST, the one that crashed; None: no worker was involved.
    """
    job: Job | None = None
    """The job as it was last stored; None for events of workers."""
    error: BaseException | None = None
    """For ERRORED and RETRIED, the exception of the handler; None if something else ended the
    attempt: a crash, an interruption or a timeout. For CRON_REFUSED, the SharedDatabaseError
    that names the cron.
    """


Listener: TypeAlias = Callable[[Event], object]


class EventBus:
    """Hands each event to every listener; a listener that fails is logged and harms nothing."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self.listeners: Listeners[Listener] = Listeners()
        """Where there are none, as for most, an event need not be made."""

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each event, in the event loop; returns a function that ends it.

        Raises InvalidArgumentError unless it is a plain function of one argument.
        """
        if not callable(listener) or not runs_at_once(listener):
            allowed = "allowed is a sync function of one argument, the event"
            raise InvalidArgumentError("listener", listener, allowed)
        return self.listeners.add(listener)

    def emit(self, event: Event) -> None:
        """Hand `event` to the listeners."""
        for listener in self.listeners.all:
            try:
                listener(event)
            except BaseException:  # a SystemExit of a listener ends no worker
                self._logger.exception("a listener failed on the event %r", event.kind.value)

    def tell_stored(self, jobs: Iterable[Job]) -> None:
        """Tell of jobs that were put into the database to wait there, or as skipped."""
        for job in jobs:
            skipped = job.status is JobStatus.SKIPPED
            kind = EventKind.SKIPPED if skipped else EventKind.SCHEDULED
            self.emit(Event(kind, None, job))
