"""From an error to a message that names the option, and to an exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from job_processor.cli.app.streams import abandon_stdout
from job_processor.errors import (
    InvalidArgumentError,
    JobNotFoundError,
    JobProcessorError,
    StoreSetupError,
)
from job_processor.texts import harmless

DONE = 0
FAILED = 1
BAD_INPUT = 2

_OPTIONS = {
    "after": "--after",
    "allowed_hosts": "--allowed-host",
    "collection_prefix": "--prefix",
    "created_from": "--since",
    "created_to": "--until",
    "error": "--error",
    "concurrency": "--concurrency",
    "db": "--db",
    "job_id": "ID",
    "job_ids": "ID",
    "limit": "--limit",
    "on_parent_failure": "--on-parent-failure",
    "name": "NAME",
    "payload": "--payload",
    "priority": "--priority",
    "scheduled_for": "--at",
    "status": "--status",
    "type": "--type",
    "worker": "--worker",
    "worker_tags": "--tags",
}
"""What an argument of the Python API is called on the command line."""


_TYPED = (
    ("an AsyncDatabase of pymongo, ", ""),
    (", or None ($JOB_PROCESSOR_DB, else 'sqlite:///job_processor.db')", ""),
    ("an ObjectId or its 24 hex digits", "24 hex digits, as `jobs` shows them"),
)
"""What the Python API allows, and what of it can be typed."""


class UsageError(JobProcessorError):
    """Arguments are missing or do not go together; the message says which."""


class AppError(JobProcessorError):
    """What names the application names nothing that gives a JobProcessor; the message says why."""

    def __init__(self, message: str, by: str | None = None) -> None:
        super().__init__(message)
        self.by = by
        """Who named it: `APP`, a variable, a file."""

    def __str__(self) -> str:
        message = super().__str__()
        return message if self.by is None else f"{self.by}: {message}"


class BrokenAppError(AppError):
    """The application is there, and its own code failed."""


@contextmanager
def report_failures() -> Iterator[None]:
    """Turn errors of ours and of the system into a line on stderr and an exit code."""
    try:
        yield
    except JobProcessorError as error:
        fail(describe(error), exit_code(error))
    except BrokenPipeError:  # whoever read us has seen enough, as `head` does
        abandon_stdout()
        sys.exit(FAILED)
    except OSError as error:  # such as a full disk behind stdout
        abandon_stdout()
        fail(str(error), FAILED)


def fail(message: str, code: int) -> None:
    """Print an error and leave with this exit code."""
    sys.stderr.write("Error: " + harmless(message, "\n") + "\n")
    sys.exit(code)


def exit_code(error: JobProcessorError) -> int:
    """Return 2 for what another input would mend, else 1."""
    bad_input = (AppError, UsageError, InvalidArgumentError, JobNotFoundError, StoreSetupError)
    return BAD_INPUT if isinstance(error, bad_input) else FAILED


def describe(error: JobProcessorError) -> str:
    """Return the message, with the option named as on the command line."""
    text = str(error)
    if not isinstance(error, InvalidArgumentError | BrokenAppError):
        return text
    for ours, typed in _TYPED:
        text = text.replace(ours, typed)
    if isinstance(error, BrokenAppError):
        return text
    for argument, option in _OPTIONS.items():
        rest = text.removeprefix(argument)
        if rest != text and rest[0] in ":.[":
            return option + rest
    return text
