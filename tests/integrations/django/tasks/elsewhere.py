"""A task in a module that no worker imports by itself."""

from __future__ import annotations

try:
    from django.tasks import task
except ModuleNotFoundError:
    from django_tasks import task  # type: ignore[no-redef]  # the same before Django 6


@task()
def far() -> str:
    return "found"
