"""The shop of `examples/django_shop`, in this process, with databases of each test's own."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import django
import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections
from django.test import Client
from starlette.testclient import TestClient

from job_processor import Job, JobProcessor
from job_processor.integrations.django import get_client, get_processor
from tests.examples.programs import EXAMPLES

PROJECT = EXAMPLES / "django_shop"


class Shop:
    """The project, and what a test does with it."""

    def __init__(self, data: Path) -> None:

        self.data = data
        self.orders: Any = apps.get_model("shop.Order")._default_manager
        self.users: Any = get_user_model()._default_manager
        self.processor: JobProcessor = get_processor()
        self.client = get_client()

    def work(self) -> None:
        """Run what is due, in a worker of its own."""

        async def burst() -> None:
            async with self.processor:
                await self.processor.run_worker(burst=True)

        asyncio.run(burst())

    def jobs(self, name: str | None = None) -> list[Job]:
        """Return the jobs of a name."""

        async def find() -> list[Job]:
            async with self.processor.twin() as processor:
                return list((await processor.find_jobs(name, type="simple")).jobs)

        return asyncio.run(find())

    def browser(self, **user: Any) -> TestClient:
        """Return a client of the whole site, logged in as a new user where one is described."""
        application = import_module("shop.asgi").application

        browser = TestClient(application, follow_redirects=False)
        if user:
            login = Client()
            login.force_login(self.users.create_user(**user))
            browser.cookies.set("sessionid", login.cookies["sessionid"].value)
        return browser


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the databases; Django is set up for good, there is no way back."""
    data = tmp_path_factory.mktemp("shop")
    os.environ |= {"SHOP_DATA": str(data), "DJANGO_SETTINGS_MODULE": "shop.settings"}
    sys.path.insert(0, str(PROJECT))

    django.setup()

    call_command("migrate", verbosity=0)
    connections.close_all()
    shutil.copy(data / "shop.sqlite3", data / "empty.sqlite3")
    yield data
    sys.path.remove(str(PROJECT))
    del os.environ["SHOP_DATA"], os.environ["DJANGO_SETTINGS_MODULE"]


@pytest.fixture
def shop(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """The shop without orders, users and jobs."""
    monkeypatch.delenv("JOB_PROCESSOR_DB", raising=False)
    shutil.copy(project / "empty.sqlite3", project / "shop.sqlite3")
    for file in project.glob("jobs.sqlite3*"):
        file.unlink()
    get_client.cache_clear()
    shop = Shop(project)
    yield shop
    shop.client.close()
    connections.close_all()
