"""The backend for Django's `TASKS`: tasks are jobs on the processor of the project."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar

from django.core import checks
from django.db.backends.signals import connection_created

from job_processor.errors import DefinitionError, InvalidArgumentError, StoreError
from job_processor.handlers.definitions import JobDef
from job_processor.integrations.django.tasks.checking import problems_of
from job_processor.integrations.django.tasks.definitions import define
from job_processor.integrations.django.tasks.interface import (
    BaseTaskBackend,
    InvalidTask,
    InvalidTaskBackend,
    Task,
    TaskResult,
    TaskResultDoesNotExist,
    task_enqueued,
)
from job_processor.integrations.django.tasks.listing import list_unless_found
from job_processor.integrations.django.tasks.names import original_of
from job_processor.integrations.django.tasks.options import OF_JOB, OF_TASK, check_given, chosen
from job_processor.integrations.django.tasks.places import Place, place_of
from job_processor.integrations.django.tasks.requests import request_for
from job_processor.integrations.django.tasks.results import result_of, task_of
from job_processor.integrations.django.tasks.task import JobTask
from job_processor.integrations.django.tasks.transactions import (
    INSIDE,
    ON_COMMIT,
    enqueue,
    follows_of,
    shares,
)
from job_processor.jobs.intake import schedule
from job_processor.jobs.request import JobRequest
from job_processor.models import Job, SimpleJob, object_id
from job_processor.parts import ready_parts_of
from job_processor.processor import JobProcessor

_PROCESSOR = "processor"


class TasksBackend(BaseTaskBackend):
    """A backend of django.tasks that runs tasks as jobs.

    ```python
    TASKS = {"default": {"BACKEND": "job_processor.integrations.django.TasksBackend"}}
    ```

    Its `OPTIONS`, all in capitals:

    - options of a job, as defaults for tasks that do not set them, such as `{"RETRY": 3}`
    - `PROCESSOR`: the dotted path of a JobProcessor; without it, that of the project
    - `ENQUEUE_ON_COMMIT`: True, or the alias of a database: store a job once the open transaction
      commits
    - `ENQUEUE_IN_TRANSACTION`: the same, but store it in that transaction; the jobs must be in the
      same SQLite file or MongoDB

    Raises InvalidTaskBackend for an option that is not allowed.
    """

    task_class: ClassVar[type[Task]] = JobTask  # type: ignore[misc]  # of the instance in the stubs
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        given = {str(name).lower(): value for name, value in self.options.items()}
        self._processor = given.pop(_PROCESSOR, None)
        self.follows = follows_of(given, partial(_place, alias))
        given = {name: given[name] for name in given if name not in (ON_COMMIT, INSIDE)}
        if self.follows is not None and self.follows.inside:
            connection_created.connect(self._prepare)
        self.of_tasks = _checked(alias, given)
        """Options of all its tasks that say nothing else."""
        self._of_jobs = chosen(given, OF_JOB)

    @property
    def place(self) -> Place:
        """The processor that stores its tasks; raises InvalidTaskBackend."""
        try:
            return place_of(self._processor)
        except InvalidTaskBackend as error:
            raise InvalidTaskBackend(f"{_place(self.alias, _PROCESSOR)}: {error}") from error

    def validate_task(self, task: Task) -> None:
        """Raise InvalidTask for a task that cannot be enqueued."""
        span: object = task.run_after
        if isinstance(span, timedelta):
            task = _without_run_after(task)
        super().validate_task(task)
        if not task.queue_name.strip():
            raise InvalidTask(f"Queue {task.queue_name!r} is not valid: it has no name.")

    def enqueue(self, task: Task, args: Any, kwargs: Any) -> TaskResult:  # type: ignore[override]  # see interface
        """Store a job for a task; returns its state."""
        request = self._request(task, args, kwargs)
        if self.follows is not None:
            return enqueue(type(self), self.place, self.follows, task, request)
        result = result_of(self.place.portal.call(_storing(task, request)), task)
        task_enqueued.send(type(self), task_result=result)
        return result

    async def aenqueue(self, task: Task, args: Any, kwargs: Any) -> TaskResult:  # type: ignore[override]  # see interface
        """Do as `enqueue` does, without blocking the event loop."""
        if self.follows is not None:  # the transaction is of the thread that Django's own calls use
            return await super().aenqueue(task, args, kwargs)
        request = self._request(task, args, kwargs)
        result = result_of(await self.place.portal.call_async(_storing(task, request)), task)
        await task_enqueued.asend(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> TaskResult:
        """Return the state of a task; raises TaskResultDoesNotExist."""
        return _result(result_id, self.place.portal.call(_reading(result_id)))

    async def aget_result(self, result_id: str) -> TaskResult:
        """Do as `get_result` does, without blocking the event loop."""
        return _result(result_id, await self.place.portal.call_async(_reading(result_id)))

    def check(self, **_: Any) -> list[checks.CheckMessage]:
        """Return errors in the settings that keep tasks from running, for `manage.py check`."""
        return problems_of(self.alias, self.queues, self.follows, lambda: self.place.processor)

    def _prepare(self, connection: Any, **_: Any) -> None:
        """Make what jobs need in Django's database as it connects, so before any transaction.

        Made in one that has written already, they would wait for its end.
        """
        if self.follows is not None and connection.alias == self.follows.using:
            place = self.place
            if shares(connection, place.processor):
                with contextlib.suppress(StoreError):  # the first task that is enqueued says it
                    place.portal.call(_set_up)

    def _request(self, task: Task, args: Any, kwargs: Any) -> JobRequest:
        """Return the job for a task; raise InvalidTask, and TypeError for its arguments."""
        self.validate_task(task)
        original = original_of(task)
        name = define_task(self, original, task.queue_name)
        return request_for(task, original, name, (args, kwargs), self._of_jobs)


def define_task(backend: TasksBackend, original: Task, queue_name: str) -> str:
    """Define the jobs of a task in a queue, unless they are; return their name.

    original: the task as it is at its place, whose own backend says what holds for it. backend:
        says where they run, and what holds where the task's own is not one of ours.

    Raises InvalidTask.
    """
    own = original.get_backend()
    usual = (own if isinstance(own, TasksBackend) else backend).of_tasks
    try:
        return define(backend.place.processor, original, queue_name, usual)
    except DefinitionError as error:
        raise InvalidTask(f"Task {original.module_path!r}: {error}") from error


async def _set_up(_: JobProcessor) -> None:
    """Do nothing, with a processor that is set up."""


def _storing(
    task: Task, request: JobRequest
) -> Callable[[JobProcessor], Coroutine[Any, Any, SimpleJob]]:
    async def store(processor: JobProcessor) -> SimpleJob:
        await list_unless_found(processor, task, request.name)
        return await schedule(ready_parts_of(processor), request)

    return store


def _reading(result_id: str) -> Callable[[JobProcessor], Coroutine[Any, Any, Job | None]]:
    try:
        job_id = object_id(result_id)
    except InvalidArgumentError as error:
        raise TaskResultDoesNotExist(result_id) from error
    return lambda processor: processor.get_job(job_id)


def _result(result_id: str, job: Job | None) -> TaskResult:
    if not isinstance(job, SimpleJob):
        raise TaskResultDoesNotExist(result_id)
    try:
        return result_of(job, task_of(job))
    except InvalidTask as error:
        raise TaskResultDoesNotExist(f"{result_id}: {error}") from error


def _without_run_after(task: Task) -> Task:
    """Return the same task to be run at once: Django's own check knows times only."""
    plain: Task = object.__new__(type(task))
    for name in type(task).__dataclass_fields__:
        object.__setattr__(plain, name, None if name == "run_after" else getattr(task, name))
    return plain


def _checked(alias: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of tasks; raise InvalidTaskBackend for one that cannot work."""
    options = chosen(given, OF_TASK)
    try:
        check_given("task", given, OF_TASK | OF_JOB)
        JobDef(None, **options)
    except DefinitionError as error:
        told = str(error).removeprefix(error.argument)
        raise InvalidTaskBackend(f"{_place(alias, error.argument)}{told}") from error
    return options


def _place(alias: str, option: str) -> str:
    return f"TASKS[{alias!r}]['OPTIONS'][{option.upper()!r}]"
