"""Django: one processor for the project, made from its settings, with the jobs of its apps.

Needs the extra `django`, and this package in INSTALLED_APPS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from job_processor.errors import MissingExtraError

try:
    import django  # noqa: F401  # here, so that the error is ours
except ModuleNotFoundError as error:
    raise MissingExtraError("job_processor.integrations.django", "django") from error

from job_processor.integrations.django.commits import schedule_on_commit
from job_processor.integrations.django.project import forget_jobs, get_client, get_processor

if TYPE_CHECKING:
    from job_processor.integrations.django.tasks.backend import TasksBackend

__all__ = ["TasksBackend", "forget_jobs", "get_client", "get_processor", "schedule_on_commit"]


def __getattr__(name: str) -> Any:
    """Return the backend of tasks, which not every Django has."""
    if name == "TasksBackend":
        from job_processor.integrations.django.tasks.backend import TasksBackend  # noqa: PLC0415  # see above

        return TasksBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
