"""What can be said of a task beyond Django's own interface: the options of our jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from job_processor.errors import DefinitionError
from job_processor.handlers.definitions import JobOptions
from job_processor.handlers.options import check_options
from job_processor.jobs.handle import ScheduleOptions

_BY_DJANGO = {
    "tag": 'its queue is its tag: write queue_name="emails"',
    "on_job_exited": "receive the signal task_finished",
    "priority": "write priority=5, a number from -100 to 100, beside it",
    "scheduled_for": "write .using(run_after=…)",
    "batch": "a task is called once for each enqueue; write a job with batch=",
    "batch_wait": "a task is called once for each enqueue; write a job with batch=",
    "session": 'see the options "ENQUEUE_ON_COMMIT" and "ENQUEUE_IN_TRANSACTION" of TASKS',
}
"""What Django has words of its own for."""

OF_TASK = frozenset(JobOptions.__annotations__) - frozenset(_BY_DJANGO)
"""Options of all jobs of a task: `@task(retry=3)`. Workers read them where they import it."""
OF_JOB = frozenset(ScheduleOptions.__annotations__) - frozenset(_BY_DJANGO)
"""Options of one job: `send.using(unique_key="ada")`; `@task(unique_for=60)` for each."""


def check_given(what: str, given: Mapping[str, Any], allowed: Iterable[str]) -> None:
    """Raise DefinitionError, which says what to write, for an option that is not one of these."""
    known = sorted(allowed)
    for name, value in given.items():
        if name in _BY_DJANGO:
            raise DefinitionError(name, value, f"a {what} has no such option: {_BY_DJANGO[name]}")
        if name in OF_TASK and name not in known:
            told = f"it is of the task, where it is defined: @task({name}=…)"
            raise DefinitionError(name, value, told)
    check_options(what, given, known)


def chosen(given: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """Return those of the options that have one of these names."""
    return {name: value for name, value in given.items() if name in names}
