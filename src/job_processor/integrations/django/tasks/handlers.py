"""What workers call: one function for all plain tasks, one for all that are coroutines.

They are functions of a module, so that a process of its own finds them, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from job_processor.errors import JobFailed
from job_processor.handlers.context import Context as RunContext
from job_processor.integrations.django.tasks.interface import (
    Context,
    Task,
    TaskResult,
    normalize_json,
    task_finished,
    task_started,
)
from job_processor.integrations.django.tasks.results import result_of, task_of
from job_processor.models import SimpleJob


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTaskContext(Context):  # type: ignore[misc]  # it is frozen, too
    """What a task gets that takes a context: Django's, and the run of its job."""

    run: RunContext
    """Takes progress, lines of a log and a state, and has the signal that asks it to stop."""


def call_task(job: SimpleJob, context: RunContext) -> Any:
    """Run a plain task."""
    task, result = _begun(job)
    task_started.send_robust(_sender(task), task_result=result)
    arguments, keywords = _arguments(result, context)
    return normalize_json(task.func(*arguments, **keywords))


async def acall_task(job: SimpleJob, context: RunContext) -> Any:
    """Run a task that is a coroutine."""
    task, result = _begun(job)
    await task_started.asend_robust(_sender(task), task_result=result)
    arguments, keywords = _arguments(result, context)
    return normalize_json(await task.func(*arguments, **keywords))


def tell_finished(job: SimpleJob) -> None:
    """Tell Django's receivers how a task has ended, once that is in the database.

    Those of a failure find it in `sys.exc_info()`, as Django's own logging expects.
    """
    task, result = _begun(job)
    try:
        job.result()
    except JobFailed:
        task_finished.send_robust(_sender(task), task_result=result)
    else:
        task_finished.send_robust(_sender(task), task_result=result)


def _begun(job: SimpleJob) -> tuple[Task, TaskResult]:
    task = task_of(job)
    return task, result_of(job, task)


def _arguments(result: TaskResult, context: RunContext) -> tuple[list[Any], dict[str, Any]]:
    if not result.task.takes_context:
        return result.args, result.kwargs
    return [JobTaskContext(task_result=result, run=context), *result.args], result.kwargs


def _sender(task: Task) -> type[Any]:
    return type(task.get_backend())
