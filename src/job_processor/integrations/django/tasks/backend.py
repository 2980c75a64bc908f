"""The backend for Django's `TASKS`: tasks are jobs on the processor of the project."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

from django.apps import apps
from django.core import checks
from django.db import connections, transaction

from job_processor.errors import DefinitionError, InvalidArgumentError
from job_processor.handlers.definitions import JobDef
from job_processor.integrations.django.conf import configuration
from job_processor.integrations.django.project import get_client, get_processor
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
from job_processor.integrations.django.tasks.requests import request_for
from job_processor.integrations.django.tasks.results import result_of, task_of
from job_processor.integrations.django.tasks.task import JobTask
from job_processor.jobs.intake import new_job, put, schedule
from job_processor.jobs.portal import Portal
from job_processor.jobs.request import JobRequest
from job_processor.models import Job, SimpleJob, object_id
from job_processor.parts import parts_of, ready_parts_of
from job_processor.processor import JobProcessor
from job_processor.settings import file_address
from job_processor.sync import portal_of

APP = "job_processor.integrations.django"
_COMMIT = "enqueue_on_commit"


class TasksBackend(BaseTaskBackend):
    """Runs Django's tasks as jobs: `{"BACKEND": "job_processor.integrations.django.TasksBackend"}`.

    OPTIONS: what `@task` takes beside Django's own, in capitals, for tasks that say nothing else,
        such as `{"RETRY": 3}`; and `ENQUEUE_ON_COMMIT`: True, or the alias of a database, to store
        a job once the transaction that is open commits.

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
        self._commit = _database(given.pop(_COMMIT, False), alias)
        self.of_tasks = _checked(alias, given)
        """Options of all its tasks that say nothing else."""
        self._of_jobs = chosen(given, OF_JOB)

    def validate_task(self, task: Task) -> None:
        """Raise InvalidTask for a task that cannot be enqueued."""
        span: object = task.run_after
        if isinstance(span, timedelta):
            task = _without_run_after(task)
        super().validate_task(task)
        if not task.queue_name.strip():
            raise InvalidTask(f"Queue {task.queue_name!r} is not valid: it has no name.")

    def enqueue(self, task: Task, args: Any, kwargs: Any) -> TaskResult:  # type: ignore[override]  # see interface
        """Store a job for a task; return how it stands."""
        request = self._request(task, args, kwargs)
        if self._commit is not None:
            return self._enqueue_on_commit(task, request, self._commit)
        result = result_of(_portal().call(_storing(task, request)), task)
        task_enqueued.send(type(self), task_result=result)
        return result

    async def aenqueue(self, task: Task, args: Any, kwargs: Any) -> TaskResult:  # type: ignore[override]  # see interface
        """Do as `enqueue` does, while the event loop goes on."""
        if self._commit is not None:  # the transaction is of the thread that Django's own calls use
            return await super().aenqueue(task, args, kwargs)
        request = self._request(task, args, kwargs)
        result = result_of(await _portal().call_async(_storing(task, request)), task)
        await task_enqueued.asend(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> TaskResult:
        """Return how a task stands; raise TaskResultDoesNotExist."""
        return _result(result_id, _portal().call(_reading(result_id)))

    async def aget_result(self, result_id: str) -> TaskResult:
        """Do as `get_result` does, while the event loop goes on."""
        return _result(result_id, await _portal().call_async(_reading(result_id)))

    def check(self, **_: Any) -> list[checks.CheckMessage]:
        """Say what of the settings keeps tasks from being run."""
        if not apps.is_installed(APP):
            hint = f"Add {APP!r} to INSTALLED_APPS, which has the command that runs workers."
            told = f"TASKS[{self.alias!r}] needs an app that is not installed."
            return [checks.Error(told, hint=hint, id="job_processor.E002")]
        return [*self._check_queues(), *self._check_file()]

    def _check_queues(self) -> list[checks.CheckMessage]:
        tags = configuration().options.get("worker_tags")
        missing = sorted(self.queues - set(tags)) if tags is not None else []
        if not missing:
            return []
        told = f"The workers of this project do not serve the queues {', '.join(missing)}."
        hint = "A queue is a tag: add it to JOB_PROCESSOR['WORKER_TAGS'], or leave that out."
        return [checks.Warning(told, hint=hint, id="job_processor.W002")]

    def _check_file(self) -> list[checks.CheckMessage]:
        jobs = configuration().options["db"]
        shared = [
            each.alias
            for each in connections.all()
            if each.vendor == "sqlite"
            and each.alias != self._commit
            and jobs == file_address(Path(each.settings_dict["NAME"]))
        ]
        if not shared:
            return []
        told = f"Jobs are in the SQLite file of Django's database {shared[0]!r}."
        hint = (
            "A transaction that has written locks it, and an enqueue inside waits in vain: give "
            "JOB_PROCESSOR['DB'] a file of its own, or set the option ENQUEUE_ON_COMMIT."
        )
        return [checks.Warning(told, hint=hint, id="job_processor.W003")]

    def _request(self, task: Task, args: Any, kwargs: Any) -> JobRequest:
        """Return the job for a task; raise InvalidTask, and TypeError for its arguments."""
        self.validate_task(task)
        original = original_of(task)
        name = define_task(self, original, task.queue_name)
        return request_for(task, original, name, (args, kwargs), self._of_jobs)

    def _enqueue_on_commit(self, task: Task, request: JobRequest, using: str) -> TaskResult:
        """Store a job once the transaction commits; its id is known before."""
        job = new_job(parts_of(get_processor()), request)
        result = result_of(job, task)
        object.__setattr__(result, "enqueued_at", None)

        def store() -> None:
            stored = result_of(_portal().call(_putting(task, job, request)), task)
            for name in ("id", "enqueued_at", "status", "errors"):  # it may be another, or skipped
                object.__setattr__(result, name, getattr(stored, name))
            task_enqueued.send(type(self), task_result=result)

        transaction.on_commit(store, using=using)
        return result


def define_task(backend: TasksBackend, original: Task, queue_name: str) -> str:
    """Define the jobs of a task in a queue, unless they are; return their name.

    original: the task as it is at its place, whose own backend says what holds for it. backend:
        says so where that is not one of ours.

    Raises InvalidTask.
    """
    own = original.get_backend()
    usual = (own if isinstance(own, TasksBackend) else backend).of_tasks
    try:
        return define(original, queue_name, usual)
    except DefinitionError as error:
        raise InvalidTask(f"Task {original.module_path!r}: {error}") from error


def _portal() -> Portal:
    return portal_of(get_client())


def _storing(
    task: Task, request: JobRequest
) -> Callable[[JobProcessor], Coroutine[Any, Any, SimpleJob]]:
    async def store(processor: JobProcessor) -> SimpleJob:
        await list_unless_found(processor, task, request.name)
        return await schedule(ready_parts_of(processor), request)

    return store


def _putting(
    task: Task, job: SimpleJob, request: JobRequest
) -> Callable[[JobProcessor], Coroutine[Any, Any, SimpleJob]]:
    async def store(processor: JobProcessor) -> SimpleJob:
        await list_unless_found(processor, task, request.name)
        return await put(ready_parts_of(processor), job, request.on_conflict)

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


def _database(given: object, alias: str) -> str | None:
    """Return the alias of the database whose commit counts; None: none does."""
    if isinstance(given, bool):
        return "default" if given else None
    if isinstance(given, str):
        return given
    told = "allowed are True, False and the alias of a database"
    raise InvalidTaskBackend(f"{_place(alias, _COMMIT)}: {given!r} is not allowed; {told}")


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
