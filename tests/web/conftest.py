"""Fixtures of the dashboard's tests: an application, clients, a browser, a server on a port."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2 as httpx
import pytest
import uvicorn
from playwright.async_api import Browser, ConsoleMessage, Dialog, Page, async_playwright, expect
from starlette.applications import Starlette

from job_processor import Context, CronDef, JobDef, JobProcessor, Retry
from job_processor.web import create_app
from tests.definitions import nothing
from tests.processors import WAIT, Processors, eventually
from tests.web.forms import Forms

REQUIRED = "JOB_PROCESSOR_TEST_BROWSER"
"""Set where a missing browser is a failure."""

HOSTILE = "<script>alert(1)</script>\"'&{{7*7}}"


def browser_path() -> str | None:
    """Return the Chromium of this machine."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


async def echo(payload: Any) -> Any:
    """Return what it was given."""
    return payload


async def fail(payload: Any) -> None:
    """Fail with what it was given."""
    raise ValueError((payload or {}).get("text", "no"))


async def slow(context: Context) -> None:
    """Tell of itself until it is stopped."""
    for n in range(600):
        context.progress(n / 600, f"step {n} {HOSTILE}")
        context.log(f"line {n} {HOSTILE}")
        await asyncio.sleep(0.1)


JOBS = {
    "echo": JobDef(echo, tag="light"),
    "fail": JobDef(fail, retry=Retry(2, delay=0)),
    "slow": JobDef(slow),
    HOSTILE: JobDef(fail),
}
CRONS = {"nightly": CronDef("0 2 * * *", nothing, timezone="Europe/Paris")}


@pytest.fixture
async def processor(processors: Processors) -> JobProcessor:
    """A processor with jobs of several kinds and a cron."""
    return await processors.make(jobs=JOBS, crons=CRONS)


@pytest.fixture
def app(processor: JobProcessor) -> Starlette:
    """Its dashboard, of which everybody may do all."""
    return create_app(processor)


def client_of(app: Any, **options: Any) -> httpx.AsyncClient:
    """Return a client of an application; redirects are followed, cookies kept."""
    settings: dict[str, Any] = {"base_url": "http://dashboard", "follow_redirects": True}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), **{**settings, **options})


@pytest.fixture
async def client(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the dashboard."""
    async with client_of(app) as client:
        yield client


@pytest.fixture
def forms(client: httpx.AsyncClient) -> Forms:
    """Sends the forms of the pages."""
    return Forms(client)


@asynccontextmanager
async def served(app: Any, port: int = 0, **options: Any) -> AsyncIterator[str]:
    """Serve an application in the test's own event loop for the time of the block; give where."""
    usual: dict[str, Any] = {"log_level": "error", "lifespan": "off"}
    config = uvicorn.Config(app, port=port, timeout_graceful_shutdown=1, **{**usual, **options})
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # those of pytest stay
    serving = asyncio.create_task(server.serve())

    async def has_started() -> bool:
        return server.started

    await eventually(has_started)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving


@pytest.fixture
async def address(app: Starlette) -> AsyncIterator[str]:
    """Where the dashboard is served."""
    async with served(app) as address:
        yield address


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A Chromium; without one the test is skipped, or fails where one is required."""
    path = browser_path()
    if path is None:
        told = "no browser is here: install chromium (Debian: apt-get install chromium)"
        if os.environ.get(REQUIRED):
            pytest.fail(told)
        pytest.skip(told)
    expect.set_options(timeout=WAIT * 1000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        await browser.close()


class Watched:
    """A page whose complaints fail the test."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", self._on_dialog)
        page.on("console", self._on_message)

    def forgive(self, *parts: str) -> None:
        """Forget the complaints that hold one of these."""
        self.complaints = [
            each for each in self.complaints if not any(part in each for part in parts)
        ]

    async def _on_dialog(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        await dialog.accept()

    def _on_message(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)
