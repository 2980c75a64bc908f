"""Ties log lines to the job whose handler writes them, of the standard library and of structlog.

The fields are `job_id`, `job_name`, `attempt` and `worker_id`. They follow the handler wherever its
context variables go, and into a process of its own.
"""

from __future__ import annotations

import json
import logging
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any

from job_processor.handlers.current import current_job, of_job
from job_processor.models import Job
from job_processor.texts import harmless
from job_processor.worker import job_log

FIELDS = ("job_id", "job_name", "attempt", "worker_id")
"""What a line of a run has beyond other lines; as text, but for the number of the attempt."""

OF_ENDS = job_log.FIELDS
"""What a line of the worker about the end of a run has beyond those: numbers, `where` a text."""

__all__ = [
    "FIELDS",
    "ConsoleFormatter",
    "JobFilter",
    "JsonFormatter",
    "add_job",
    "current_job",
    "of_job",
]


class JobFilter(logging.Filter):
    """A logging filter that adds the fields of the running job to each record.

    The fields are None outside of a job. Add it to a logging handler, not to a logger, so that it
    sees the records of all loggers.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields; never drops a record."""
        for field, value in zip(FIELDS, _values(current_job()), strict=True):
            if not hasattr(record, field):
                setattr(record, field, value)
        return True


def add_job(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Add the fields of the running job to an event of structlog; nothing outside of a job.

    A processor for `structlog.configure(processors=[…])`.
    """
    job = current_job()
    if job is not None:
        for field, value in zip(FIELDS, _values(job), strict=True):
            event.setdefault(field, value)
    return event


class ConsoleFormatter(logging.Formatter):
    """A log formatter for people: one line for each record, with the running job at its end.

    Control characters are replaced, so that logged text cannot steer the terminal.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line with its traceback."""
        return harmless(super().format(record), "\n\t\u2028\u2029")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        """Return the line without its traceback."""
        line = super().formatMessage(record)
        if getattr(record, "job_id", None) is None or record.__dict__["job_id"] in line:
            return line
        job: dict[str, Any] = record.__dict__
        again = f" #{job['attempt']}" if job["attempt"] > 1 else ""
        return f"{line} [{job['job_name']} {job['job_id']}{again}]"


class JsonFormatter(logging.Formatter):
    """A log formatter that writes each record as a JSON object in one line.

    Its keys: time, level, logger, message, the fields of the running job, and the exception.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for field in (*FIELDS, *OF_ENDS):
            value = getattr(record, field, None)
            if value is not None:
                fields[field] = value
        if record.exc_info or record.exc_text:  # that of another process is text
            fields["exception"] = record.exc_text or self.formatException(record.exc_info)  # type: ignore[arg-type]
        if record.stack_info:
            fields["stack"] = self.formatStack(record.stack_info)
        return json.dumps(fields, ensure_ascii=False, default=str)


def _values(job: Job | None) -> tuple[Any, ...]:
    if job is None:
        return None, None, None, None
    worker = None if job.worker_id is None else str(job.worker_id)
    return str(job.id), job.name, job.attempt, worker
