"""From a task and its arguments to the job that is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from job_processor.integrations.django.tasks.interface import Task, normalize_json
from job_processor.integrations.django.tasks.options import OF_JOB, chosen
from job_processor.integrations.django.tasks.task import options_of
from job_processor.jobs.request import HIGHEST_PRIORITY, JobRequest

_HIGHEST = 100


def request_for(
    task: Task,
    original: Task,
    name: str,
    arguments: tuple[Any, dict[str, Any]],
    usual: Mapping[str, Any],
) -> JobRequest:
    """Return the job of a task with these arguments.

    original: the task as it is at its place; what differs from it is kept beside the arguments.
    usual: options that hold where the task says nothing else.

    Raises TypeError for an argument that JSON does not have.
    """
    args, kwargs = arguments
    payload = {"args": normalize_json(list(args)), "kwargs": normalize_json(kwargs)}
    moment = _moment(task.run_after)
    changed = _changed(task, original, moment)
    if changed:
        payload["using"] = changed
    options = {**usual, **chosen(options_of(task), OF_JOB)}
    if callable(options.get("unique_key")):
        options["unique_key"] = options["unique_key"](*args, **kwargs)
    request = JobRequest(name, payload, moment, _priority(task.priority))
    return replace(request, **options)


def _changed(task: Task, original: Task, moment: datetime | None) -> dict[str, Any]:
    """Return what `using` has changed, but for the queue, which is in the name."""
    found: dict[str, Any] = {
        name: getattr(task, name)
        for name in ("priority", "backend")
        if getattr(task, name) != getattr(original, name)
    }
    if moment is not None:
        found["run_after"] = moment
    return found


def _moment(run_after: datetime | timedelta | None) -> datetime | None:
    """Return a moment that is aware; Django takes a span from now as well."""
    if isinstance(run_after, timedelta):
        moment = timezone.now() + run_after
    elif run_after is None:
        return None
    else:
        moment = run_after
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)


def _priority(priority: int) -> int:
    """Return our priority, 0 to 9, for one of -100 to 100: Django's usual 0 is our usual 0.

    What is below it is 0 as well, so that a job of the usual priority has no more fields.
    """
    return -(-max(priority, 0) * HIGHEST_PRIORITY // _HIGHEST)
