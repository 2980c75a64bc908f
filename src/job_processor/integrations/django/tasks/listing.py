"""Tells workers of tasks that they do not find by themselves.

They import the modules `tasks` of all apps, and those that the settings name. Of a task elsewhere
the name of its jobs is listed in the database, as workers list theirs, before the first is stored.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from django.apps import apps

from job_processor.integrations.django.conf import configuration
from job_processor.integrations.django.tasks.interface import Task
from job_processor.jobs.services import list_names
from job_processor.parts import ready_parts_of
from job_processor.processor import JobProcessor

MODULE = "tasks"
"""The module of each app that is imported for its tasks."""

_listed: WeakKeyDictionary[JobProcessor, set[str]] = WeakKeyDictionary()


async def list_unless_found(processor: JobProcessor, task: Task, name: str) -> None:
    """List the name of a task's jobs once, unless all workers find it; raises StoreError."""
    listed = _listed.setdefault(processor, set())
    if name in listed or (name == task.module_path and _is_found(task.func.__module__)):
        return
    parts = ready_parts_of(processor)
    await list_names(parts.store, parts.registry, parts.settings)
    listed.add(name)


def _is_found(module: str) -> bool:
    """True for a module that every worker of this project imports."""
    app, _, last = module.rpartition(".")
    if last == MODULE and any(each.name == app for each in apps.get_app_configs()):
        return True
    return module in configuration().modules
