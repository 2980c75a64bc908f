"""Django's task with our options: `@task(retry=3)`, `send.using(unique_key="ada").enqueue(…)`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from job_processor.errors import DefinitionError
from job_processor.handlers.definitions import JobDef
from job_processor.integrations.django.tasks.interface import InvalidTask, Task
from job_processor.integrations.django.tasks.options import (
    OF_JOB,
    OF_TASK,
    check_given,
    chosen,
)

_OF_DJANGO = frozenset(
    ("func", "priority", "queue_name", "backend", "takes_context", "run_after"),
)

decorated: dict[str, JobTask] = {}
"""What was decorated so far, by its place: the first that was."""


@dataclass(frozen=True, slots=True, kw_only=True, init=False)
class JobTask(Task):
    """A task that is run as a job.

    given: Django's own fields, and options: those of a `JobDef`, and of a job `unique_key` (a text,
        or a function of the task's arguments that returns one), `on_conflict`, `unique_for` and
        `expires_at`.

    Raises InvalidTask for a value that is not allowed, TypeError for an option that there is not.
    """

    options: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """Ours, by name."""

    def __init__(self, *, options: Mapping[str, Any] | None = None, **given: Any) -> None:
        ours = {**(options or {})}
        ours |= {name: value for name, value in given.items() if name not in _OF_DJANGO}
        _refuse_unknown(ours, OF_TASK | OF_JOB)
        object.__setattr__(self, "options", ours)
        _check(ours)
        # Not `super()`: a class with slots is another one than this code was compiled in.
        Task.__init__(self, **{name: given[name] for name in given if name in _OF_DJANGO})
        decorated.setdefault(self.module_path, self)

    def using(
        self,
        *,
        priority: int | None = None,
        queue_name: str | None = None,
        run_after: datetime | None = None,
        backend: str | None = None,
        **options: Any,
    ) -> JobTask:
        """Return this task with other defaults, as Django's does.

        options: of what is enqueued by it: unique_key, on_conflict, unique_for, expires_at.
        """
        _refuse_unknown(options, OF_JOB)
        changes = {
            "priority": priority,
            "queue_name": queue_name,
            "run_after": run_after,
            "backend": backend,
        }
        given: dict[str, Any] = {
            name: value for name, value in changes.items() if value is not None
        }
        return replace(self, options={**self.options, **options}, **given)


def _check(options: Mapping[str, Any]) -> None:
    """Raise InvalidTask for a value that cannot work."""
    of_task = chosen(options, OF_TASK)
    try:
        if of_task:
            JobDef(None, **of_task)
    except DefinitionError as error:
        raise InvalidTask(str(error)) from error


def options_of(task: Task) -> Mapping[str, Any]:
    """Return our options of a task; one that was decorated for another backend has none."""
    return task.options if isinstance(task, JobTask) else {}


def _refuse_unknown(options: Mapping[str, Any], allowed: frozenset[str]) -> None:
    try:
        check_given("task", options, allowed)
    except DefinitionError as error:
        raise TypeError(str(error)) from error
