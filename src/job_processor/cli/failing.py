"""From an error to a message that names the option, and to an exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from job_processor.errors import (
    InvalidArgumentError,
    JobNotFoundError,
    JobProcessorError,
    StoreSetupError,
)

DONE = 0
FAILED = 1
BAD_INPUT = 2

_OPTIONS = {
    "after": "--after",
    "collection_prefix": "--prefix",
    "concurrency": "--concurrency",
    "db": "--db",
    "job_id": "ID",
    "limit": "--limit",
    "name": "NAME",
    "payload": "--payload",
    "scheduled_for": "--at",
    "status": "--status",
    "type": "--type",
    "worker_tags": "--tags",
}
"""What an argument of the Python API is called on the command line."""


class AppError(JobProcessorError):
    """APP names nothing that gives a JobProcessor; the message says why."""


@contextmanager
def report_failures() -> Iterator[None]:
    """Turn the errors that we raise into one line on stderr and an exit code."""
    try:
        yield
    except JobProcessorError as error:
        fail(describe(error), exit_code(error))


def fail(message: str, code: int) -> None:
    """Print an error and leave with this exit code."""
    sys.stderr.write(f"Error: {message}\n")
    sys.exit(code)


def exit_code(error: JobProcessorError) -> int:
    """Return 2 for what another input would mend, else 1."""
    bad_input = (AppError, InvalidArgumentError, JobNotFoundError, StoreSetupError)
    return BAD_INPUT if isinstance(error, bad_input) else FAILED


def describe(error: JobProcessorError) -> str:
    """Return the message, with the option named as on the command line."""
    text = str(error)
    if isinstance(error, InvalidArgumentError) and text.startswith(error.argument):
        for argument, option in _OPTIONS.items():
            rest = text.removeprefix(argument)
            if rest != text and rest[0] in ":.[":
                return option + rest
    return text
