"""Every page can be read by everybody: by axe in both themes, on a phone in French."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect
from starlette.applications import Starlette
from starlette.routing import Match, Route

from job_processor import JobDef, JobProcessor, JobRequest, Limit
from job_processor.web import create_app
from tests.processors import Processors
from tests.web.conftest import CRONS, HOSTILE, JOBS, Watched, echo, served

pytestmark = pytest.mark.slow

NO_PAGES = ("/api/", "/live", "/metrics", "/scaling", "/healthz", "/static")


@pytest.fixture
def db_url(sqlite_db_url: str) -> str:
    """On one store: what a browser sees does not depend on it."""
    return sqlite_db_url


@pytest.fixture
async def processor(processors: Processors) -> JobProcessor:
    """A processor with jobs for each page, some of which have a limit and a rate."""
    limited = JobDef(echo, limit=Limit(1, key="tenant"), rate="100/m")
    return await processors.make(jobs={**JOBS, "sync": limited}, crons=CRONS)


async def fill(processor: JobProcessor) -> list[str]:
    """Make something for each page, hostile texts among it; return where the pages are."""
    requests = [JobRequest("echo", {"n": n, "password": "x"}, priority=n % 3) for n in range(12)]
    requests += [JobRequest("fail", {"text": "no disk left"})] * 5
    requests += [JobRequest(HOSTILE, {HOSTILE: HOSTILE, "text": HOSTILE}, labels=["tenant:42"])]
    made = await processor.schedule_jobs(requests)
    flow = processor.flow("import <b>")
    flow.add("fail", after=flow.add_many("echo", [{"n": n} for n in range(3)]))
    await flow.start()
    async with processor.group(then="echo") as group:
        await group.add("echo")
        await group.add("fail")
    await processor.run_worker(burst=True)
    later = datetime.now(UTC) + timedelta(hours=1)
    waiting = await processor.schedule_job("echo", scheduled_for=later)
    await processor.put_schedule("daily", job="echo", cron="0 7 * * *")
    await processor.schedule_jobs([("sync", {"tenant": n}) for n in range(3)])
    await processor.pause(tag="light")
    await processor.add_audit("ada", "pause", "tag light")
    return [
        *("/", "/jobs", "/flows", "/groups", "/crons", "/schedules", "/limits", "/workers"),
        *(
            "/audit",
            "/lane?lane=sync:1",
            "/names",
            "/name?name=echo",
            "/name?name=fail",
            "/tag?tag=light",
            "/limit?name=sync",
            "/cron?name=nightly",
            "/new?name=echo",
            "/jobs?status=done",
            "/jobs?by=error",
            "/jobs?q=e",
            "/schedule?name=daily",
        ),
        *(f"/jobs/{made[12].id}", f"/jobs/{made[17].id}", f"/jobs/{waiting.id}"),
        *(f"/flows/{flow.id}", f"/groups/{group.id}"),
    ]


def check_all(app: Starlette, paths: list[str]) -> None:
    """Fail where the dashboard has a page that is not among these."""
    routes = [
        each for each in app.routes if isinstance(each, Route) and "GET" in (each.methods or ())
    ]
    pages = {each.path for each in routes if not each.path.startswith(NO_PAGES)}
    for path in paths:
        scope = {"type": "http", "method": "GET", "path": path.partition("?")[0]}
        pages -= {each.path for each in routes if each.matches(scope)[0] is Match.FULL}
    assert pages == set()


async def open_question(page: Page) -> None:
    """Go to the page that asks before something is deleted."""
    await page.goto("/jobs?status=errored")
    await page.locator("tbody input[type=checkbox]").first.check()
    await page.locator("#selection").get_by_role("button").last.click()
    await expect(page.locator(".ask-first")).to_be_visible()


async def violations(page: Page, path: str) -> list[tuple[str, str, list[str]]]:
    """Return what axe says of a page."""
    results = await Axe().run(page, options={"resultTypes": ["violations"]})
    return [
        (path, each["id"], [node["html"][:200] for node in each["nodes"]][:2])
        for each in results.response["violations"]
    ]


@pytest.mark.parametrize(("theme", "language"), [("light", "en"), ("dark", "fr")])
async def test_axe_finds_nothing(
    browser: Browser,
    app: Starlette,
    address: str,
    processor: JobProcessor,
    theme: Any,
    language: str,
) -> None:
    """On any page, in a theme that the reader's system does not prefer; nor does a payload run."""
    paths = await fill(processor)
    check_all(app, paths)
    other: Any = "dark" if theme == "light" else "light"
    context = await browser.new_context(base_url=address, color_scheme=other, locale=language)
    await context.add_cookies([{"name": "job_processor_theme", "value": theme, "url": address}])
    page = Watched(await context.new_page())
    found = []
    for path in paths:
        await page.page.goto(path)
        found += await violations(page.page, path)
    await open_question(page.page)
    found += await violations(page.page, "question")
    assert found == []
    await context.close()
    assert [each for each in page.complaints if "400" not in each] == []


async def test_on_a_phone(browser: Browser, processor: JobProcessor) -> None:
    """In French, nothing sticks out of any page, rows are cards, and all pages are in a menu."""
    paths = await fill(processor)
    app = create_app(processor, name="production")
    check_all(app, paths)
    async with served(app) as address:
        context = await browser.new_context(
            base_url=address, viewport={"width": 360, "height": 740}, is_mobile=True, locale="fr"
        )
        page = await context.new_page()
        for path in paths:
            await page.goto(path)
            assert await page.evaluate("document.documentElement.scrollWidth") <= 360, path
            wide = await page.locator(".scroll").evaluate_all(
                "all => all.filter(e => e.scrollWidth > e.clientWidth).map(e => e.innerText)"
            )
            assert wide == [], path
        await page.get_by_role("button", name="Menu").click()
        links = page.get_by_role("navigation", name="Pages").get_by_role("link")
        for link in await links.all():
            await expect(link).to_be_in_viewport(ratio=1)
        await page.keyboard.press("Escape")
        await expect(links.first).to_be_hidden()
        await page.get_by_role("button", name="Menu").focus()
        await page.keyboard.press("Enter")
        await links.nth(1).click()
        await expect(page.locator("h1")).to_have_text("Jobs")
        await context.close()
