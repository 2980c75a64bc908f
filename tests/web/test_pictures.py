"""The pictures of the documentation: every page of a busy shop, made again by `make pictures`."""

from __future__ import annotations

import asyncio
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect
from playwright.async_api import Error as BrowserError
from starlette.applications import Starlette

from job_processor import JobProcessor
from job_processor.web import create_app
from tests.processors import Processors, eventually
from tests.web.conftest import served
from tests.web.shop import CRONS, JOBS, open_shop

SHOTS = "JOB_PROCESSOR_SCREENSHOTS"
"""A folder into which they are put; without it there are none."""

pytestmark = pytest.mark.skipif(SHOTS not in os.environ, reason=f"pictures are made with ${SHOTS}")

DESK: Any = {"width": 1280, "height": 800}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True}
CUT = ("jobs", "audit", "overview.phone", "job.phone", "name.phone")
"""Those of which only the first screen is shown."""

TRIES = 5
REFUSED = "Unable to capture screenshot"
DRAWN = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Waits until the page was drawn as it is now."""


@pytest.fixture
def db_url(sqlite_db_url: str) -> str:
    """On one store: what a browser sees does not depend on it."""
    return sqlite_db_url


@pytest.fixture
async def processor(processors: Processors) -> JobProcessor:
    """A shop's."""
    return await processors.make(jobs=JOBS, crons=CRONS, concurrency=4)


async def shoot(page: Page, folder: Path, name: str, path: str) -> None:
    """Take a picture of a page that is live."""
    await page.goto(path)
    await page.mouse.move(1, 1)
    if await page.locator("main[data-still]").count() == 0:
        await expect(page.locator("#state.on")).to_be_visible()
    whole = not f"{name}.".startswith(tuple(f"{each}." for each in CUT))
    await take(page, folder / f"{name}.png", whole=whole)


async def take(page: Page, path: Path, *, whole: bool = False) -> None:
    """Take a picture of what the page has drawn; again where Chromium refuses it.

    With other work on the machine it does that now and then, mostly the first one of a window, and
    takes the same picture when it is asked once more.
    """
    for still in reversed(range(TRIES)):
        await page.evaluate(DRAWN)
        try:
            await page.screenshot(path=path, full_page=whole)
            return
        except BrowserError as error:
            if not still or REFUSED not in error.message:
                raise


async def test_pictures(
    browser: Browser, processor: JobProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pictures of the documentation, in both languages, light, dark and on a phone."""
    monkeypatch.setattr(socket, "gethostname", lambda: "shop-1")
    folder = Path(os.environ[SHOTS])
    folder.mkdir(parents=True, exist_ok=True)
    shop = await open_shop(processor, datetime.now(UTC).replace(microsecond=0))
    worker = asyncio.create_task(processor.run_worker())

    async def is_busy() -> bool:
        job = await processor.get_job(shop.running)
        return bool(job and job.progress)

    await eventually(is_busy)
    app: Starlette = create_app(processor, name="production")
    pages = {
        "overview": "/",
        "jobs": "/jobs",
        "errors": "/jobs?by=error&status=errored",
        "names": "/names",
        "name": "/name?name=sync_stock",
        "crons": "/crons",
        "limits": "/limits",
        "flow": f"/flows/{shop.flow}",
        "workers": "/workers",
        "audit": "/audit",
        "job": f"/jobs/{shop.failed}",
        "running": f"/jobs/{shop.running}",
        "new": "/new?name=charge_card",
    }
    async with served(app) as address:
        for language in ("en", "fr"):
            context = await browser.new_context(
                base_url=address, locale=language, viewport=DESK, timezone_id="Europe/Paris"
            )
            page = await context.new_page()
            for name, path in pages.items():
                await shoot(page, folder, f"{name}.{language}", path)
            await page.goto("/jobs?status=errored")
            await page.locator("#select-all").check()
            await page.locator("#selection button[value=delete]").click()
            await expect(page.locator("main[data-still]")).to_be_visible()
            await take(page, folder / f"question.{language}.png")
            await context.close()
        for scheme in ("light", "dark"):
            looks: dict[str, Any] = {
                "color_scheme": scheme,
                "locale": "en" if scheme == "light" else "fr",
            }
            looks |= PHONE
            context = await browser.new_context(
                base_url=address, timezone_id="Europe/Paris", **looks
            )
            page = await context.new_page()
            for name in ("overview", "jobs", "job"):
                await shoot(
                    page, folder, f"{name}.phone{'' if scheme == 'light' else '.dark'}", pages[name]
                )
            await context.close()
        context = await browser.new_context(
            base_url=address, color_scheme="dark", viewport=DESK, timezone_id="Europe/Paris"
        )
        page = await context.new_page()
        for name in ("overview", "jobs"):
            await shoot(page, folder, f"{name}.dark", pages[name])
        await context.close()
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
