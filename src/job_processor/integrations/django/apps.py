"""The app for INSTALLED_APPS."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks

from job_processor.integrations.django.checks import check_database
from job_processor.integrations.django.conf import has_tasks
from job_processor.integrations.django.project import load_jobs


class JobProcessorConfig(AppConfig):
    """Makes the processor of the project, and imports what defines jobs, crons and tasks."""

    name = "job_processor.integrations.django"
    label = "job_processor"
    verbose_name = "Job Processor"  # type: ignore[mutable-override]  # its type may be lazy

    def ready(self) -> None:
        """Begin; raises ImproperlyConfigured."""
        load_jobs()
        if has_tasks():
            from job_processor.integrations.django.tasks.discovery import load_tasks  # noqa: PLC0415  # see there

            load_tasks()
        checks.register(check_database, checks.Tags.database, deploy=True)
