"""Django's own interface of tasks: its `django.tasks`, or before Django 6 the package django-tasks.

Nothing else here asks which of the two it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from job_processor.errors import JobProcessorError

if TYPE_CHECKING:
    from typing import TypeAlias

    from django.tasks import base, task_backends
    from django.tasks.backends.base import BaseTaskBackend
    from django.tasks.base import TaskContext, TaskError, TaskResultStatus
    from django.tasks.exceptions import (
        InvalidTask,
        InvalidTaskBackend,
        TaskException,
        TaskResultDoesNotExist,
    )
    from django.tasks.signals import task_enqueued, task_finished, task_started
    from django.utils.json import normalize_json

    Task: TypeAlias = base.Task[..., Any]
    TaskResult: TypeAlias = base.TaskResult[..., Any]
    Context: TypeAlias = TaskContext[..., Any]
else:
    try:
        from django.tasks import task_backends
        from django.tasks.backends.base import BaseTaskBackend
        from django.tasks.base import Task, TaskContext, TaskError, TaskResult, TaskResultStatus
        from django.tasks.exceptions import (
            InvalidTask,
            InvalidTaskBackend,
            TaskException,
            TaskResultDoesNotExist,
        )
        from django.tasks.signals import task_enqueued, task_finished, task_started
        from django.utils.json import normalize_json
    except ModuleNotFoundError:
        try:
            from django_tasks import exceptions, task_backends
            from django_tasks.backends.base import BaseTaskBackend
            from django_tasks.base import (
                Task,
                TaskContext,
                TaskError,
                TaskResult,
                TaskResultStatus,
            )
            from django_tasks.exceptions import TaskException, TaskResultDoesNotExist
            from django_tasks.signals import task_enqueued, task_finished, task_started
            from django_tasks.utils import normalize_json

            # Up to its version 0.12 they have other names.
            InvalidTask = getattr(exceptions, "InvalidTask", None) or exceptions.InvalidTaskError
            InvalidTaskBackend = (
                getattr(exceptions, "InvalidTaskBackend", None)
                or exceptions.InvalidTaskBackendError
            )
        except ModuleNotFoundError as error:
            raise JobProcessorError(
                "this Django has no tasks of its own; install Django 6, or: pip install "
                "'django-tasks>=0.12'"
            ) from error
    Context = TaskContext

__all__ = [
    "BaseTaskBackend",
    "Context",
    "InvalidTask",
    "InvalidTaskBackend",
    "Task",
    "TaskError",
    "TaskException",
    "TaskResult",
    "TaskResultDoesNotExist",
    "TaskResultStatus",
    "normalize_json",
    "task_backends",
    "task_enqueued",
    "task_finished",
    "task_started",
]
