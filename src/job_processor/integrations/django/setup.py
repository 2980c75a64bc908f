"""Sets Django up as it is imported, where that has not been done.

In the processes of handlers, before their own modules; and for the command line, which finds the
processor here: `job-processor worker job_processor.integrations.django.setup:get_processor`, and
that of another backend of tasks as `…setup:backends.reports`.
"""

from __future__ import annotations

import django
from django.apps import apps
from django.conf import settings

from job_processor.errors import InvalidArgumentError
from job_processor.integrations.django.project import get_processor
from job_processor.processor import JobProcessor

__all__ = ["backends", "get_processor"]


class _Backends:
    """The processors of the backends in `TASKS`, by alias."""

    def __getattr__(self, alias: str) -> JobProcessor:
        """Return that of a backend of ours; raises InvalidArgumentError."""
        from job_processor.integrations.django.tasks.backend import TasksBackend  # noqa: PLC0415  # see `TasksBackend` of the package
        from job_processor.integrations.django.tasks.interface import task_backends  # noqa: PLC0415  # see above

        backend = task_backends[alias] if alias in settings.TASKS else None
        if not isinstance(backend, TasksBackend):
            known = ", ".join(map(repr, settings.TASKS))
            allowed = f"allowed is the alias of a backend of this package; TASKS has {known}"
            raise InvalidArgumentError("--backend", alias, allowed)
        return backend.place.processor


backends = _Backends()

if not apps.ready:
    django.setup()
