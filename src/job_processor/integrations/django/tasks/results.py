"""A job as Django's result of a task."""

from __future__ import annotations

import builtins
import re
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from job_processor.errors import JobFailed
from job_processor.integrations.django.tasks.interface import (
    InvalidTask,
    InvalidTaskBackend,
    Task,
    TaskError,
    TaskResult,
    TaskResultStatus,
)
from job_processor.integrations.django.tasks.names import find_task, parted
from job_processor.models import JobStatus, SimpleJob

_STATUS = {
    JobStatus.PENDING: TaskResultStatus.READY,
    JobStatus.PAUSED: TaskResultStatus.READY,
    JobStatus.RUNNING: TaskResultStatus.RUNNING,
    JobStatus.FINISHED: TaskResultStatus.SUCCESSFUL,
    JobStatus.ERRORED: TaskResultStatus.FAILED,
    JobStatus.KILLED: TaskResultStatus.FAILED,
    JobStatus.SKIPPED: TaskResultStatus.FAILED,
}
_FRAME = '  File "'
_CLASS = re.compile(r"([^\W\d][\w.<>]*)(?::|$)")
_OURS = f"{JobFailed.__module__}.{JobFailed.__qualname__}"
"""Stands for what no exception of the task ended: a kill, a crash, a maximum runtime."""
_NOBODY = "unknown"
"""Stands for the worker of an attempt of which it is not kept."""


def task_of(job: SimpleJob) -> Task:
    """Return the task of a job, as it was enqueued; raise InvalidTask where it is of none."""
    place, queue_name = parted(job.name)
    original = find_task(place)
    changed = dict(arguments_of(job, "using", {}))
    if queue_name is not None:
        changed["queue_name"] = queue_name
    if "run_after" in changed:
        changed["run_after"] = _moment(changed["run_after"])
    if not changed:
        return original
    try:
        return original.using(**changed)
    except (InvalidTask, InvalidTaskBackend):  # the settings are others by now
        return original


def arguments_of(job: SimpleJob, key: str, default: Any) -> Any:
    """Return `args`, `kwargs` or `using` of a job's payload."""
    return (job.payload or {}).get(key, default)


def result_of(job: SimpleJob, task: Task) -> TaskResult:
    """Return how the task of a job stands."""
    result = TaskResult(
        task=task,
        id=str(job.id),
        status=_STATUS[job.status],
        enqueued_at=_moment(job.created_at),
        started_at=_moment(job.started_at),
        finished_at=_moment(job.ended_at),
        last_attempted_at=_moment(_last_attempted_at(job)),
        args=arguments_of(job, "args", []),
        kwargs=arguments_of(job, "kwargs", {}),
        backend=task.backend,
        errors=_errors(job),
        worker_ids=_worker_ids(job),
    )
    if job.status is JobStatus.FINISHED and job.output is not None:
        object.__setattr__(result, "_return_value", job.output.result)
    return result


def _moment(moment: datetime | None) -> datetime | None:
    """Return a time as Django's settings have it: aware, or naive in the current time zone."""
    return moment if moment is None or settings.USE_TZ else timezone.make_naive(moment)


def _last_attempted_at(job: SimpleJob) -> datetime | None:
    """Return when the last attempt that has begun did so."""
    if job.status is JobStatus.RUNNING:
        return job.updated_at  # the moment of its claim
    failed = job.attempts[-1] if job.attempts else None
    if not job.settled and failed is not None:
        return failed.started_at
    ran = job.output.duration_ms if job.output is not None else None
    if failed is None or job.ended_at is None or ran is None:
        return job.started_at
    return max(job.ended_at - timedelta(milliseconds=ran), failed.ended_at)


def _worker_ids(job: SimpleJob) -> list[str]:
    """Return who has run it, one for each attempt: Django counts attempts by them."""
    known = [_id(attempt.worker_id) for attempt in job.attempts]
    before = [_NOBODY] * (job.attempt - 1 - len(known)) + known
    began = job.status is not JobStatus.PENDING and job.started_at is not None
    return [*before, _id(job.worker_id)] if began else before


def _id(worker_id: object) -> str:
    return _NOBODY if worker_id is None else str(worker_id)


def _errors(job: SimpleJob) -> list[TaskError]:
    failed = [_error(attempt.error or "") for attempt in job.attempts]
    if _STATUS[job.status] is TaskResultStatus.FAILED:
        failed.append(_error(_last_error(job)))
    return failed


def _last_error(job: SimpleJob) -> str:
    output = job.output
    if output is not None and output.error:
        return output.error
    if job.status is JobStatus.SKIPPED:
        return "Skipped: another one was in its way"
    return job.status.value.capitalize()


def _error(text: str) -> TaskError:
    """Return an error by its text: what was raised first, then where, as `describe_error` says."""
    lines = text.splitlines()
    frames = next((i for i, line in enumerate(lines) if line.startswith(_FRAME)), len(lines))
    heads, trace = lines[:frames], lines[frames:]
    traced = ["Traceback (most recent call last):", *trace] if trace else []
    return TaskError(
        exception_class_path=_class_path(lines[0] if lines else ""),
        traceback="\n".join((*traced, *heads, "")),
    )


def _class_path(head: str) -> str:
    """Return the place of the exception's class, with which its text begins."""
    found = _CLASS.match(head)
    if found is None:
        return _OURS
    path = found[1]
    if "." in path:
        return path
    known = getattr(builtins, path, None)
    is_error = isinstance(known, type) and issubclass(known, BaseException)
    return f"builtins.{path}" if is_error else _OURS
