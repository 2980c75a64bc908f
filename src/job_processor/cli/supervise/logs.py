"""The log lines of a worker: where they go, and one for each job that ended."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from job_processor.cli.app.output import plain
from job_processor.clock import span
from job_processor.events import Event, EventKind
from job_processor.integrations.logs import ConsoleFormatter, JobFilter, JsonFormatter, of_job
from job_processor.processor import JobProcessor

if TYPE_CHECKING:  # only on a terminal
    from rich.console import Console

_FORMAT = "%(asctime)s %(levelname)-8s %(message)s"
_FORMAT_OF_MANY = "%(asctime)s %(process)d %(levelname)-8s %(message)s"
_WARNINGS = frozenset({EventKind.ERRORED, EventKind.RETRIED})
_DETAILS = frozenset(
    {
        EventKind.SCHEDULED,
        EventKind.CLAIMED,
        EventKind.STARTED,
        EventKind.PROGRESSED,
        EventKind.CRON_FIRED,
    }
)


def configure(
    level: str | None,
    live: Console | None,
    format: str | None = None,
    *,
    one_of_many: bool = False,
) -> None:
    """Send log lines to stderr, or above the live view of `live`.

    Handlers that the application configured itself stay, unless a `format` is asked for; `level`
    then only sets ours. `one_of_many`: lines for people begin with the process that they are of.
    """
    logger = logging.getLogger("job_processor")
    if level is not None:
        logger.setLevel(level.upper())
    if logging.getLogger().handlers and format is None:
        return
    handler: logging.Handler
    if live is None:
        handler = logging.StreamHandler()
        pattern = _FORMAT_OF_MANY if one_of_many else _FORMAT
        handler.setFormatter(JsonFormatter() if format == "json" else ConsoleFormatter(pattern))
        handler.addFilter(JobFilter())
    else:
        from rich.logging import RichHandler  # noqa: PLC0415  # only on a terminal

        handler = RichHandler(
            console=live, show_path=False, omit_repeated_times=False, log_time_format="%H:%M:%S"
        )
        handler.setFormatter(logging.Formatter("%(message)s"))
    if level is None:
        logger.setLevel(logging.INFO if live is None else logging.WARNING)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=format is not None)


def log_events(processor: JobProcessor) -> Callable[[], None]:
    """Log what happens to each job of this process; returns a function that ends it.

    Nobody listens where no such line would be written: each event costs a little.
    """
    logger = processor.logger
    if not logger.isEnabledFor(logging.WARNING):
        return lambda: None
    details = logger.isEnabledFor(logging.DEBUG)

    def on_event(event: Event) -> None:
        if details or event.kind not in _DETAILS:
            with of_job(event.job):
                tell(event)

    def tell(event: Event) -> None:
        job = event.job
        if event.kind is EventKind.WORKER_LOST:
            pass  # logged by the rescuer
        elif job is None:
            logger.info("%s %s", event.kind, event.worker_id)
        elif event.kind in _DETAILS:
            logger.debug("%s job %r (%s)", event.kind, job.name, job.id)
        elif event.kind is EventKind.RESCUED:
            pass  # logged by the rescuer, and another event tells what became of it
        elif event.kind in _WARNINGS:
            error = job.output.error if job.output is not None else None
            reason = plain((error or "").partition("\n")[0])
            logger.warning("%s job %r (%s): %s", event.kind, job.name, job.id, reason)
        else:
            ended, began = job.ended_at, job.started_at
            took = f" after {span((ended - began).total_seconds())}" if ended and began else ""
            logger.info("%s job %r (%s)%s", event.kind, job.name, job.id, took)

    return processor.listen(on_event)
