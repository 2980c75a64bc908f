"""Django: one processor for the project, made from its settings, with the jobs of its apps.

Needs the extra `django`, and this package in INSTALLED_APPS.
"""

from __future__ import annotations

from job_processor.errors import MissingExtraError

try:
    import django  # noqa: F401  # here, so that the error is ours
except ModuleNotFoundError as error:
    raise MissingExtraError("job_processor.integrations.django", "django") from error

from job_processor.integrations.django.commits import schedule_on_commit
from job_processor.integrations.django.project import forget_jobs, get_client, get_processor

__all__ = ["forget_jobs", "get_client", "get_processor", "schedule_on_commit"]
