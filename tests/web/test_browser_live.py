"""What a live page leaves alone: focus, open panels, half-typed text, what is pointed at."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from job_processor import JobProcessor
from tests.processors import Processors
from tests.web.conftest import Watched

pytestmark = pytest.mark.slow


@pytest.fixture
def db_url(sqlite_db_url: str) -> str:
    """On one store: what a browser sees does not depend on it."""
    return sqlite_db_url


@pytest.fixture
async def page(browser: Browser, address: str) -> AsyncIterator[Page]:
    """A page of the dashboard; whatever it complains of fails the test."""
    context = await browser.new_context(base_url=address)
    watched = Watched(await context.new_page())
    yield watched.page
    await context.close()
    assert watched.complaints == []


async def go(page: Page, path: str) -> None:
    """Open a page that works when it is live, with the pointer where there is nothing."""
    await page.goto(path)
    await page.mouse.move(1, 1)
    await expect(page.locator("#state.on")).to_be_visible()


def row(page: Page, job: Any) -> Any:
    """Return the row of a job."""
    return page.locator("tbody tr", has=page.locator(f'a[href$="/jobs/{job.id}"]'))


async def top(page: Page) -> float:
    """Return how far below the window's edge what has the focus stands."""
    found: float = await page.evaluate("document.activeElement.getBoundingClientRect().top")
    return found


async def test_focus_panels_and_half_typed_text(page: Page, processor: JobProcessor) -> None:
    """Stay through a live change, by keyboard; what has the focus does not move on the screen."""
    jobs = await processor.schedule_jobs(["echo"] * 40)
    await go(page, "/jobs")
    await page.locator("main summary").first.focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await page.keyboard.type("half ty")
    typed = await page.evaluate("document.activeElement.name")
    new = await processor.schedule_job("echo")
    await expect(row(page, new)).to_be_visible()
    await expect(page.locator("main details").first).to_have_attribute("open", "")
    await expect(page.locator(f"input[name={typed}]")).to_be_focused()
    await page.keyboard.type("ped")
    await expect(page.locator(f"input[name={typed}]")).to_have_value("half typed")
    link = row(page, jobs[20]).locator(f'a[href$="/jobs/{jobs[20].id}"]').first
    await link.focus()
    before = await top(page)
    await processor.kill_job(jobs[21].id)
    newer = await processor.schedule_job("echo")
    await expect(row(page, newer)).to_be_visible()
    await expect(row(page, jobs[21])).to_contain_text("killed")
    await expect(link).to_be_focused()
    assert abs(await top(page) - before) < 2
    await processor.delete_job(jobs[20].id)
    await processor.schedule_job("echo")  # a deletion alone is told to nobody
    await expect(link).to_have_count(0)
    assert await page.evaluate("document.activeElement !== document.body")


async def test_nothing_moves_under_a_pointer(page: Page, processor: JobProcessor) -> None:
    """What is pointed at stays where it is, and so does what is chosen; states change in place."""
    first, second = await processor.schedule_jobs(["echo"] * 2)
    await go(page, "/jobs")
    await row(page, first).hover()
    new = await processor.schedule_job("fail")
    await expect(page.locator("#state.held")).to_be_visible()
    await processor.kill_job(second.id)
    await expect(row(page, second)).to_contain_text("killed")
    assert await row(page, new).count() == 0
    await page.mouse.move(1, 1)
    await expect(row(page, new)).to_be_visible()
    await expect(page.locator("#state.held")).to_have_count(0)
    box = row(page, first).get_by_role("checkbox")
    await box.focus()
    await page.keyboard.press("Space")
    newer = await processor.schedule_job("fail")
    await expect(page.locator("#state.held")).to_be_visible()
    await expect(box).to_be_checked()
    assert await row(page, newer).count() == 0
    await page.keyboard.press("Space")
    await expect(row(page, newer)).to_be_visible()


async def test_while_something_runs(
    page: Page, processors: Processors, processor: JobProcessor
) -> None:
    """A page that changes each second leaves the focus, a selected text and its scroll alone."""
    worker = await processors.worker(processor)
    job = await processor.schedule_job("slow")
    await go(page, f"/jobs/{job.id}")
    bar = page.get_by_role("progressbar").first
    await expect(bar).to_be_visible()
    await page.get_by_role("button", name="Kill").focus()
    await page.evaluate("getSelection().selectAllChildren(document.querySelector('h1'))")
    chosen = await page.evaluate("String(getSelection())")
    assert "slow" in chosen
    for _ in range(2):
        before = await bar.get_attribute("aria-valuenow")
        await expect(bar).not_to_have_attribute("aria-valuenow", before or "")
    await expect(page.get_by_role("button", name="Kill")).to_be_focused()
    assert await page.evaluate("String(getSelection())") == chosen
    await processor.kill_job(job.id)
    await expect(page.locator("h1 .status")).to_have_text("killed")
    await worker.stop()


async def test_dates_are_asked_for_in_the_reader_s_zone(browser: Browser, address: str) -> None:
    """A date picker sends it along, and shows what it sent; without script it is UTC."""
    context = await browser.new_context(base_url=address, timezone_id="Asia/Tokyo")
    page = await context.new_page()
    await page.goto("/jobs?from=2030-01-31T08:00Z")
    picker = page.locator("input[name=from]")
    await expect(picker).to_have_value("2030-01-31T17:00")
    await picker.fill("2030-02-01T09:30")
    await page.locator("main form").first.evaluate("form => form.requestSubmit()")
    await expect(page).to_have_url(re.compile("zone=Asia"))
    await expect(picker).to_have_value("2030-02-01T09:30")
    await context.close()


async def test_a_message_offers_what_is_still_possible(
    page: Page, processors: Processors, processor: JobProcessor
) -> None:
    """The way back of a retry goes as its job ends, and the message says how it ended."""
    job = await processor.schedule_job("echo")
    await processor.run_worker(burst=True)
    await page.goto(f"/jobs/{job.id}")
    await page.get_by_role("button", name="Retry").click()
    told = page.locator(".told")
    await expect(told.get_by_role("button", name="Kill it")).to_be_visible()
    await expect(page.locator("#state.on")).to_be_visible()
    worker = await processors.worker(processor)
    await expect(told).to_contain_text("echo was retried and has ended since: finished.")
    await expect(told.get_by_role("button")).to_have_count(0)
    await expect(page.locator("h1 .status")).to_have_text("finished")
    await worker.stop()
