"""The log lines of a worker: where they go, and those of each step of a job."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from job_processor.events import Event, EventKind
from job_processor.integrations.logs import ConsoleFormatter, JobFilter, JsonFormatter, of_job
from job_processor.processor import JobProcessor

if TYPE_CHECKING:  # only on a terminal
    from rich.console import Console

_FORMAT = "%(asctime)s %(levelname)-8s %(message)s"
_FORMAT_OF_MANY = "%(asctime)s %(process)d %(levelname)-8s %(message)s"
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
        handler.setFormatter(ConsoleFormatter("%(message)s"))
    if level is None:
        logger.setLevel(logging.INFO if live is None else logging.WARNING)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=format is not None)


def log_events(processor: JobProcessor) -> Callable[[], None]:
    """Log each step of the jobs of this process, for who wants them; returns what ends it.

    Nobody listens where no such line would be written: each event costs a little.
    """
    logger = processor.logger
    if not logger.isEnabledFor(logging.DEBUG):
        return lambda: None

    def on_event(event: Event) -> None:
        job = event.job
        if job is not None and event.kind in _DETAILS:
            with of_job(job):
                logger.debug("%s job %r (%s)", event.kind, job.name, job.id)

    return processor.listen(on_event)
