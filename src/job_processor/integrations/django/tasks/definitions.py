"""Tasks as definitions of jobs on the processor of the project."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from inspect import iscoroutinefunction
from typing import Any

from job_processor.handlers.definitions import JobOptions
from job_processor.integrations.django.tasks.handlers import acall_task, call_task, tell_finished
from job_processor.integrations.django.tasks.interface import Task
from job_processor.integrations.django.tasks.names import name_of
from job_processor.integrations.django.tasks.options import OF_TASK, chosen
from job_processor.integrations.django.tasks.task import options_of
from job_processor.processor import JobProcessor

_SAME = ("max_runtime", "max_runtime_in_minutes")
_defining = threading.Lock()


def define(
    processor: JobProcessor, original: Task, queue_name: str, usual: Mapping[str, Any]
) -> str:
    """Define the jobs of a task in a queue on a processor, unless they are; return their name.

    original: the task as it is at its place. usual: what holds where it says nothing else.

    Raises DefinitionError.
    """
    name = name_of(original, queue_name)
    with _defining:
        if name not in processor.registry.jobs:
            handler = acall_task if iscoroutinefunction(original.func) else call_task
            options: JobOptions = {
                **_merged(usual, chosen(options_of(original), OF_TASK)),  # type: ignore[typeddict-item]  # checked by it
                "tag": queue_name,
                "on_job_exited": tell_finished,
            }
            processor.job(name, **options)(handler)
    return name


def _merged(usual: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a task; of two that say the same its own counts."""
    said = {*own, *(_SAME if any(name in own for name in _SAME) else ())}
    return {name: value for name, value in usual.items() if name not in said} | dict(own)
