"""Tasks on the processor of the shop, on each store in turn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings

from job_processor import JobProcessor, SimpleJob
from job_processor.integrations.django import get_client, get_processor
from tests.conftest import STORES
from tests.integrations.django.conftest import Shop

BACKEND = "job_processor.integrations.django.TasksBackend"


class Board:
    """The tasks of `samples`, Django's interface of them, and a worker."""

    def __init__(self, db_url: str | None) -> None:
        self.db_url = db_url
        self.samples: Any = import_module("tests.integrations.django.tasks.samples")
        self.api: Any = import_module("job_processor.integrations.django.tasks.interface")
        self.processor: JobProcessor = get_processor()

    @property
    def backend(self) -> Any:
        """The default backend."""
        return self.api.task_backends["default"]

    @property
    def logger(self) -> str:
        """The name of the logger that Django's own receivers of signals use."""
        module: str = self.api.BaseTaskBackend.__module__
        return "django_tasks" if module.startswith("django_tasks") else "django.tasks"

    def settings(self, **backend: Any) -> AbstractContextManager[Any]:
        """Let the default backend have other settings."""
        return override_settings(TASKS={"default": {"BACKEND": BACKEND, **backend}})

    @contextmanager
    def also(self, **backends: Any) -> Iterator[None]:
        """Let there be other backends, too."""
        with override_settings(TASKS={**settings.TASKS, **backends}):
            yield

    def work(self) -> None:
        """Run what is due."""
        asyncio.run(self.work_async())

    async def work_async(self) -> None:
        """Run what is due."""
        async with self.processor.twin() as processor:
            await processor.run_worker(burst=True)

    def done(self, result: Any) -> Any:
        """Return the result of a task once a worker has run what is due."""
        self.work()
        result.refresh()
        return result

    def job(self, result: Any) -> SimpleJob:
        """Return the job of a task."""
        job = get_client().get_job(result.id)
        assert isinstance(job, SimpleJob)
        return job


def _board(shop: Shop, db_url: str | None) -> Iterator[Board]:
    shop.client.close()
    asyncio.run(shop.processor.close())  # a dashboard may have set it up
    undo = shop.processor.override(db=db_url)
    try:
        with override_settings(TASKS={"default": {"BACKEND": BACKEND, "QUEUES": []}}):
            yield Board(db_url)
    finally:
        shop.client.close()
        asyncio.run(shop.processor.close())
        undo()
        jobs = shop.processor.registry.jobs
        for name in [name for name in jobs if "@" in name]:  # of queues that a test made up
            del jobs[name]
        shop.processor.registry._served.clear()


@pytest.fixture
def board(shop: Shop) -> Iterator[Board]:
    """The tasks, on SQLite; a queue of any name is allowed."""
    yield from _board(shop, None)


@pytest.fixture
def shared(shop: Shop) -> Iterator[Board]:
    """The same, in the file of Django's own database."""
    yield from _board(shop, f"sqlite:///{shop.data / 'shop.sqlite3'}")


@pytest.fixture(params=STORES)
def both(request: pytest.FixtureRequest, shop: Shop) -> Iterator[Board]:
    """The same, on each store in turn."""
    yield from _board(shop, str(request.getfixturevalue(f"{request.param}_db_url")))
