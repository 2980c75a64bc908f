"""The one processor of a project, and the client by which its synchronous code schedules."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from django.utils.module_loading import autodiscover_modules

from job_processor.handlers.abort import AbortSignal
from job_processor.integrations.django import isolation
from job_processor.integrations.django.conf import (
    configuration,
    has_tasks,
    make_processor,
    refuse,
)
from job_processor.integrations.django.connections import Connections
from job_processor.processor import JobProcessor
from job_processor.sync import JobClient


class ProjectProcessor(JobProcessor):
    """The processor of a project; while its tests run it is on the database of their process."""

    _made: Callable[[], JobProcessor] | None = None
    """Returns it in another process; None: that is the one of the project."""

    def __init__(self, db: str, **options: Any) -> None:
        super().__init__(db, **options)
        self._of_the_site = self._chosen = db

    async def setup(self) -> None:
        """Connect, as `JobProcessor.setup` does."""
        self._isolate()
        await super().setup()

    def twin(self) -> JobProcessor:
        """Return another one, as `JobProcessor.twin` does."""
        self._isolate()
        return super().twin()

    def observer(self, **options: Any) -> JobProcessor:
        """Return one without handlers, as `JobProcessor.observer` does."""
        self._isolate()
        return super().observer(**options)

    def _elsewhere(self) -> Callable[[], JobProcessor]:
        return self._made or get_processor  # there it is made from the same settings

    async def run_worker(self, signal: AbortSignal | None = None, burst: bool = False) -> None:
        """Run jobs, crons and Django's tasks, as `JobProcessor.run_worker` does."""
        if not has_tasks():
            await super().run_worker(signal, burst)
            return
        from job_processor.integrations.django.tasks.discovery import finding  # noqa: PLC0415  # it needs this

        async with finding(self._engine):
            await super().run_worker(signal, burst)

    def _isolate(self) -> None:
        address = isolation.test_database() or self._of_the_site
        # What somebody has overridden by hand, such as by a database in memory, stays.
        if self._db == self._chosen != address and self._waiting is None:
            self.override(db=address)
            self._chosen = address


def adopted(processor: JobProcessor, made: Callable[[], JobProcessor]) -> JobProcessor:
    """Give a processor of the application's own what that of the project has; return it.

    Django's connections around its handlers, the database of tests, and tasks that it finds while
    it works. One of a class of its own has the first of these alone.

    made: returns it in another process.
    """
    processor.twin()  # raises for a database that cannot be shared
    if isinstance(processor, ProjectProcessor):
        return processor
    processor.install(Connections())
    if type(processor) is JobProcessor:
        db = processor._db  # noqa: SLF001  # it becomes one of ours
        processor.__class__ = ProjectProcessor
        vars(processor).update(_of_the_site=db, _chosen=db, _made=made)
    return processor


@cache
def get_processor() -> JobProcessor:
    """Return the processor of the project, always the same one; define jobs and crons on it.

    Raises ImproperlyConfigured for settings that are not allowed.
    """
    return make_processor(configuration(), Connections(), kind=ProjectProcessor)


@cache
def get_client() -> JobClient:
    """Return the synchronous client of the project, for views and other sync code.

    Safe in threads and after a fork; it connects with the first call in each process. Raises
    ImproperlyConfigured for settings that are not allowed.
    """
    return JobClient(get_processor())


def database() -> str:
    """Return the address of the project's jobs: of its settings, or that of its running tests."""
    return isolation.test_database() or configuration().options["db"]


def forget_jobs() -> None:
    """Start a test with an empty database of jobs: call it in `setUp`, or in a fixture.

    It does nothing outside of tests, and if the settings have a `TEST_DB`.
    """
    get_client().close()
    isolation.forget()


def load_jobs() -> None:
    """Import the modules that define jobs and crons; raise ImproperlyConfigured."""
    found = configuration()
    get_processor()
    if found.autodiscover is not None:
        autodiscover_modules(found.autodiscover)
    for name in found.modules:
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise  # it is there, and what it imports is not
            raise refuse("MODULES", name, "allowed are modules that can be imported") from error
