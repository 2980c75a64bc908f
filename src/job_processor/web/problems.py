"""Errors as problem documents (RFC 9457), and which error has which status."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import JSONResponse

from job_processor.errors import (
    FlowNotFoundError,
    GroupClosedError,
    GroupNotFoundError,
    InvalidArgumentError,
    JobConflictError,
    JobNotFoundError,
    JobProcessorError,
    JobStateError,
    PayloadError,
    ScheduleNotFoundError,
    SearchLimitError,
    StoreRefusedError,
    StoreUnavailableError,
    UnknownJobError,
)

_STATUSES: tuple[tuple[type[JobProcessorError], int], ...] = (
    (JobNotFoundError, 404),
    (ScheduleNotFoundError, 404),
    (GroupNotFoundError, 404),
    (FlowNotFoundError, 404),
    (UnknownJobError, 422),
    (PayloadError, 422),
    (StoreRefusedError, 422),
    (InvalidArgumentError, 400),
    (JobConflictError, 409),
    (JobStateError, 409),
    (GroupClosedError, 409),
    (SearchLimitError, 429),
    (StoreUnavailableError, 503),
)


RETRY_AFTER = "1"
"""Seconds after which what was too much may be asked for again."""


def status_of(error: JobProcessorError) -> int:
    """Return the status of an answer to a request that raised this."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


_TITLES: tuple[tuple[type[JobProcessorError], str], ...] = (
    (JobNotFoundError, "Job not found"),
    (ScheduleNotFoundError, "Schedule not found"),
    (GroupNotFoundError, "Group not found"),
    (FlowNotFoundError, "Flow not found"),
    (SearchLimitError, "Too many searches at a time"),
    (StoreUnavailableError, "The database cannot be reached"),
)


def title_of(error: Exception, status: int) -> str:
    """Return what a page of an error is headed by."""
    other = "Page not found" if status == 404 else "Something is not right"
    return next((title for kind, title in _TITLES if isinstance(error, kind)), other)


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return a problem document."""
    title = HTTPStatus(status).phrase
    return JSONResponse(
        {"type": "about:blank", "title": title, "status": status, "detail": detail},
        status_code=status,
        headers=headers,
        media_type="application/problem+json",
    )
