"""How workers find tasks: in the modules `tasks` of all apps, and by the names that are listed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from django.conf import settings
from django.utils.module_loading import autodiscover_modules, import_string

from job_processor.handlers.registry import Registry
from job_processor.integrations.django.tasks.backend import TasksBackend, define_task
from job_processor.integrations.django.tasks.interface import InvalidTask, Task, task_backends
from job_processor.integrations.django.tasks.listing import MODULE
from job_processor.integrations.django.tasks.names import find_task, may_be_place, parted
from job_processor.integrations.django.tasks.task import decorated
from job_processor.jobs.services import KIND, names_of
from job_processor.store.desks.settings import Setting
from job_processor.tasks import Trouble, cancel
from job_processor.worker.engine import Engine
from job_processor.worker.watching import SettingsWatch


def load_tasks() -> None:
    """Import the modules that define tasks, and define their jobs.

    Raises InvalidTaskBackend and InvalidTask.
    """
    if _backends():
        autodiscover_modules(MODULE)
        define_decorated()


def define_decorated() -> None:
    """Define the jobs of all tasks that were decorated so far, wherever one may be enqueued.

    Raises InvalidTaskBackend and InvalidTask.
    """
    for backend in _backends():
        for task in list(decorated.values()):
            define_task(backend, task, task.queue_name)


@asynccontextmanager
async def finding(engine: Engine) -> AsyncIterator[None]:
    """Let a worker of this engine find tasks, from before it begins until it has ended."""
    finder = Finder(engine)
    await Trouble(engine.logger, finder.what).attempt(finder.look)
    watching = asyncio.create_task(finder.run(), name=finder.what)
    try:
        yield
    finally:
        await cancel([watching])


class Finder(SettingsWatch):
    """Looks for names that are listed and not defined here; each is looked at once."""

    kind = KIND
    what = "tasks of Django"

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._none: set[str] = set()
        """Names of what is no task here."""

    def _take(self, settings: Mapping[str, Setting]) -> bool:
        """Define what is a task among the names that this service lists; nobody is told."""
        define_decorated()
        listed = names_of(self._engine.settings.service, settings)
        registry = self._engine.registry
        for name in listed - self._none:
            if name not in registry.jobs and name not in registry.crons:
                self._define(name)
        return False

    def _define(self, name: str) -> None:
        """Define the jobs of a name, where that is one of a task; what is none is let be."""
        place, queue_name = parted(name)
        backend = _backend_of(self._engine.registry)
        task = _found(place)
        if task is None or backend is None:
            self._none.add(name)
            return
        try:
            define_task(backend, task, queue_name or task.queue_name)
        except InvalidTask as error:
            self._none.add(name)
            self._engine.logger.warning("%s", error)


def _found(place: str) -> Task | None:
    """Return the task at a place; None: there is none. Jobs of other names are listed, too."""
    if not may_be_place(place):
        return None
    try:
        return find_task(place)
    except InvalidTask:
        return None


def _backends() -> list[TasksBackend]:
    """Return the backends of the settings that are ours, the first of each processor."""
    found: dict[int, TasksBackend] = {}
    for alias, params in settings.TASKS.items():
        kind = import_string(params["BACKEND"])
        if isinstance(kind, type) and issubclass(kind, TasksBackend):
            backend = task_backends[alias]
            assert isinstance(backend, TasksBackend)  # noqa: S101  # it is made of that class
            found.setdefault(id(backend.place.processor), backend)
    return list(found.values())


def _backend_of(registry: Registry) -> TasksBackend | None:
    """Return the backend whose tasks are jobs of this registry."""
    found = (each for each in _backends() if each.place.processor.registry is registry)
    return next(found, None)
