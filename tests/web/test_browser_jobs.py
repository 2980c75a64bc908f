"""The list of jobs in a real browser: by keyboard, and names while one types."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect

from job_processor import JobProcessor
from tests.insides import store_of
from tests.samples import simple
from tests.web.conftest import Watched

pytestmark = pytest.mark.slow


@pytest.fixture
def db_url(sqlite_db_url: str) -> str:
    """On one store: what a browser sees does not depend on it."""
    return sqlite_db_url


@pytest.fixture
async def watched(browser: Browser, address: str) -> AsyncIterator[Watched]:
    """A page of the dashboard; whatever it complains of fails the test."""
    context = await browser.new_context(base_url=address)
    page = Watched(await context.new_page())
    yield page
    await context.close()
    assert page.complaints == []


async def test_rows_by_keyboard(watched: Watched, processor: JobProcessor) -> None:
    """Keys j, k go from row to row, x selects, Enter opens, / searches; what is typed is text.

    What is copied of an id is all of it, and where there are many names they come as one types.
    """
    page = watched.page
    jobs = await processor.schedule_jobs(["echo"] * 3)
    await store_of(processor).intake.insert([simple(f"name_{n:03}") for n in range(40)])
    await page.goto("/jobs?name=echo")
    links = page.locator("table.jobs .short")
    await expect(links).to_have_count(3)
    await page.keyboard.press("j")
    await expect(links.nth(0)).to_be_focused()
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await page.keyboard.press("k")
    await expect(links.nth(1)).to_be_focused()
    await page.keyboard.press("x")
    await expect(page.locator("input[name=ids]").nth(1)).to_be_checked()
    await page.keyboard.press("j")
    await expect(links.nth(2)).to_be_focused()
    await page.keyboard.press("x")
    await expect(page.locator("input[name=ids]:checked")).to_have_count(2)
    await page.keyboard.press("x")
    await expect(page.locator("input[name=ids]:checked")).to_have_count(1)
    copied = await links.nth(2).evaluate(
        "(link) => { getSelection().selectAllChildren(link); return getSelection().toString(); }"
    )
    assert copied == str(jobs[0].id)
    await page.keyboard.press("/")
    search = page.locator("#search")
    await expect(search).to_be_focused()
    await page.keyboard.type("name_03")
    await expect(search).to_have_value("name_03")
    await expect(page.locator("#names option[value=name_039]")).to_be_attached()
    await page.keyboard.press("Escape")
    await expect(search).not_to_be_focused()
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{page.url.partition('/jobs')[0]}/jobs/{jobs[2].id}")
