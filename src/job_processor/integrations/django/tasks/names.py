"""Tasks by the names of their jobs.

A job is named after the place of its task, `shop.tasks.send`; where it goes into another queue than
the task's own, the queue follows: `shop.tasks.send@urgent`. So every name has one queue, its tag.
"""

from __future__ import annotations

from django.utils.module_loading import import_string

from job_processor.integrations.django.tasks.interface import InvalidTask, Task

_QUEUE = "@"


def find_task(place: str) -> Task:
    """Return the task at a dotted path, imported if need be; raise InvalidTask."""
    try:
        found = import_string(place)
    except ImportError as error:
        raise InvalidTask(f"There is no task {place!r} that can be imported: {error}") from error
    if not isinstance(found, Task):  # type: ignore[misc]  # a plain class at run time
        raise InvalidTask(f"There is no task {place!r}; what is there is a {type(found).__name__}.")
    return found


def original_of(task: Task) -> Task:
    """Return the task that workers find by the place of this one, which `using` may have changed.

    Raises InvalidTask where they would find none, or another.
    """
    place = task.module_path
    if task.func.__module__ == "__main__":
        raise InvalidTask(
            f"Task {place!r} is defined in a script, which no worker imports. Put it into a module "
            "such as tasks.py of an app."
        )
    original = find_task(place)
    if original.func is not task.func:
        raise InvalidTask(f"Task {place!r} is not at its place: workers find another one there.")
    return original


def name_of(original: Task, queue_name: str) -> str:
    """Return the name of the jobs of a task in a queue."""
    place = original.module_path
    return place if queue_name == original.queue_name else f"{place}{_QUEUE}{queue_name}"


def parted(name: str) -> tuple[str, str | None]:
    """Return the place of a task, and its queue where that is not the task's own."""
    place, _, queue_name = name.partition(_QUEUE)
    return place, queue_name or None


def may_be_place(place: str) -> bool:
    """True for a text that may be the place of a function in a module."""
    parts = place.split(".")
    return len(parts) > 1 and all(part.isidentifier() for part in parts)
