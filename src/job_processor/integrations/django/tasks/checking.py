"""What `manage.py check` says of a backend of tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from django.apps import apps
from django.core import checks
from django.db import connections

from job_processor.integrations.django.isolation import test_database
from job_processor.integrations.django.tasks.interface import InvalidTaskBackend
from job_processor.integrations.django.tasks.transactions import Follows, is_file_of, shares
from job_processor.processor import JobProcessor

APP = "job_processor.integrations.django"


def problems_of(
    alias: str,
    queues: Iterable[str],
    follows: Follows | None,
    processor: Callable[[], JobProcessor],
) -> list[checks.CheckMessage]:
    """Return what of the settings keeps the tasks of a backend from being run.

    processor: returns that of the backend, or raises InvalidTaskBackend.
    """
    if not apps.is_installed(APP):
        hint = f"Add {APP!r} to INSTALLED_APPS, which has the command that runs workers."
        told = f"TASKS[{alias!r}] needs an app that is not installed."
        return [checks.Error(told, hint=hint, id="job_processor.E002")]
    try:
        found = processor()
    except InvalidTaskBackend as error:
        return [checks.Error(str(error), id="job_processor.E003")]
    return [*_of_queues(queues, found), *_of_file(follows, found), *_of_other(follows, found)]


def _of_queues(queues: Iterable[str], processor: JobProcessor) -> list[checks.CheckMessage]:
    tags = processor.settings.worker_tags
    missing = sorted(set(queues) - set(tags)) if tags is not None else []
    if not missing:
        return []
    told = f"The workers of this project do not serve the queues {', '.join(missing)}."
    hint = "A queue is a tag: add it to JOB_PROCESSOR['WORKER_TAGS'], or leave that out."
    return [checks.Warning(told, hint=hint, id="job_processor.W002")]


def _of_file(follows: Follows | None, processor: JobProcessor) -> list[checks.CheckMessage]:
    """Warn of a file that a transaction locks, against what is enqueued inside of it."""
    using = None if follows is None else follows.using
    shared = [
        each.alias
        for each in connections.all()
        if each.alias != using and is_file_of(each, processor)
    ]
    if not shared:
        return []
    told = f"Jobs are in the SQLite file of Django's database {shared[0]!r}."
    hint = (
        "A transaction that has written locks it, and an enqueue inside it times out: give "
        "JOB_PROCESSOR['DB'] a file of its own, or set the option ENQUEUE_IN_TRANSACTION or "
        "ENQUEUE_ON_COMMIT."
    )
    return [checks.Warning(told, hint=hint, id="job_processor.W003")]


def _of_other(follows: Follows | None, processor: JobProcessor) -> list[checks.CheckMessage]:
    """Warn of a transaction that cannot take jobs; in tests the jobs are elsewhere on purpose."""
    if follows is None or not follows.inside or test_database() is not None:
        return []
    if shares(connections[follows.using], processor):
        return []
    told = f"Jobs are not in the same place as Django's database {follows.using!r}."
    hint = "With ENQUEUE_IN_TRANSACTION they are stored after the commit then, not in it."
    return [checks.Warning(told, hint=hint, id="job_processor.W004")]
