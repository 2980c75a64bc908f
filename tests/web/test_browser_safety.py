"""What only a browser can judge: tabs that share a stream, and pages of other sites."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect
from playwright.async_api import Response as Answer
from playwright.async_api import Route as Intercepted
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from job_processor import JobProcessor
from job_processor.web import Login, create_app
from job_processor.web.entrance import Entrance
from tests.processors import eventually
from tests.web.conftest import browser_path, served

pytestmark = pytest.mark.slow

TABS = 20
HIDE = """hidden => {
    Object.defineProperty(document, "hidden", {get: () => hidden, configurable: true});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture
def db_url(sqlite_db_url: str) -> str:
    """On one store: what a browser sees does not depend on it."""
    return sqlite_db_url


async def listeners(app: Starlette, count: int) -> None:
    """Return once so many streams are open."""

    async def has_so_many() -> bool:
        return bool(app.state.hub.listeners == count)

    await eventually(has_so_many)


async def test_twenty_tabs_share_one_stream(
    browser: Browser, app: Starlette, address: str, processor: JobProcessor
) -> None:
    """Over HTTP/1.1 each tab of a browser loads and is live, and the server has one stream."""
    context = await browser.new_context(base_url=address)
    pages = [await context.new_page() for _ in range(TABS)]
    for page in pages:
        await page.goto("/jobs")
    for page in pages:
        await expect(page.locator("#state.on")).to_be_visible(timeout=15_000)
    assert app.state.hub.listeners == 1
    job = await processor.schedule_job("echo")
    for page in pages:
        await expect(page.locator("tbody")).to_contain_text(str(job.id))
    await context.close()
    await listeners(app, 0)


def is_refresh(answer: Answer) -> bool:
    """Return whether a page has asked for itself once more."""
    return "job-processor-refresh" in answer.request.headers


@pytest.mark.parametrize("failure", ["refused", "cut off"])
async def test_a_change_that_could_not_be_had_is_asked_for_again(
    browser: Browser, address: str, processor: JobProcessor, failure: str
) -> None:
    """A page shows what it was told of, also where the server or the network failed it twice.

    One job is told of twice at most: by who stored it, and by what looks at the file. A page that
    has just connected may ask twice, too: all that it asks before there is a job has been answered.
    """
    context = await browser.new_context(base_url=address)
    page = await context.new_page()
    stored = asyncio.Event()
    stored.set()
    answering: list[str] = []
    failed: list[str] = []

    async def fail_twice(route: Intercepted) -> None:
        if not fails:
            answering.append(route.request.url)
            await route.fulfill(response=await route.fetch())
            answering.pop()
            return
        await stored.wait()
        if len(failed) == 2:
            await route.continue_()
            return
        failed.append(route.request.url)
        await (route.fulfill(status=503) if failure == "refused" else route.abort())

    async def is_answered() -> bool:
        return not answering

    fails = False
    await page.route("**/jobs", fail_twice)
    async with page.expect_response(is_refresh):  # the one that comes with the connection
        await page.goto("/jobs")
    fails = True
    stored.clear()
    await eventually(is_answered)
    job = await processor.schedule_job("echo")
    stored.set()
    await expect(page.locator("tbody")).to_contain_text(str(job.id))
    assert len(failed) == 2
    await context.close()


async def test_a_hidden_tab_has_no_part_in_it(
    browser: Browser, app: Starlette, address: str, processor: JobProcessor
) -> None:
    """Where nobody looks there is no stream; who comes back sees what has happened meanwhile."""
    context = await browser.new_context(base_url=address)
    page = await context.new_page()
    await page.goto("/jobs")
    await expect(page.locator("#state.on")).to_be_visible()
    await page.evaluate(HIDE, True)
    await listeners(app, 0)
    job = await processor.schedule_job("echo")
    await page.evaluate(HIDE, False)
    await expect(page.locator("tbody")).to_contain_text(str(job.id))
    assert app.state.hub.listeners == 1
    await context.close()


async def test_without_shared_workers(
    browser: Browser, app: Starlette, address: str, processor: JobProcessor
) -> None:
    """A browser that has none is live all the same, and a hidden tab has no stream."""
    context = await browser.new_context(base_url=address)
    await context.add_init_script("delete window.SharedWorker")
    page = await context.new_page()
    await page.goto("/jobs")
    await expect(page.locator("#state.on")).to_be_visible()
    job = await processor.schedule_job("echo")
    await expect(page.locator("tbody")).to_contain_text(str(job.id))
    await page.evaluate(HIDE, True)
    await listeners(app, 0)
    await context.close()


async def test_a_settled_job_is_not_asked_for_again(
    browser: Browser, address: str, processor: JobProcessor
) -> None:
    """Its page may be a large one, and does not change; that of one which waits does."""
    settled = await processor.schedule_job("echo", {"n": 1})
    await processor.run_worker(burst=True)
    waiting = await processor.schedule_job("slow")
    context = await browser.new_context(base_url=address)
    asked: dict[str, int] = {}
    pages = {}
    for job in (settled, waiting):
        page = await context.new_page()
        name = str(job.id)
        asked[name] = 0

        def count(request: Any, name: str = name) -> None:
            asked[name] += request.url.endswith(name)

        page.on("request", count)
        await page.goto(f"/jobs/{job.id}")
        pages[name] = page
    await expect(pages[str(waiting.id)].locator("#state.on")).to_be_visible()
    for n in range(3):
        before = asked[str(waiting.id)]
        await processor.schedule_job("echo", {"n": n})

        async def was_asked(before: int = before) -> bool:
            return asked[str(waiting.id)] > before

        await eventually(was_asked)
    assert asked[str(settled.id)] == 1
    await processor.kill_job(waiting.id)
    await expect(pages[str(waiting.id)].locator("h1 .status")).to_have_text("killed")
    await expect(pages[str(waiting.id)].locator("[data-still]")).to_have_count(0)
    before = asked[str(waiting.id)]
    other = await context.new_page()
    await other.goto("/jobs")
    await expect(other.locator("#state.on")).to_be_visible()
    job = await processor.schedule_job("echo", {"n": 4})
    await expect(other.locator("tbody")).to_contain_text(str(job.id))
    assert asked[str(waiting.id)] == before
    await context.close()


async def test_behind_a_login(browser: Browser, processor: JobProcessor) -> None:
    """The browser gives what it was told for the stream, too, and the stream is seen as its own."""
    app = create_app(processor, Login(None, "ada", "correct horse"))
    credentials: Any = {"username": "ada", "password": "correct horse"}
    async with served(app) as address:
        context = await browser.new_context(base_url=address, http_credentials=credentials)
        page = await context.new_page()
        await page.goto("/jobs")
        await expect(page.locator("#state.on")).to_be_visible()
        job = await processor.schedule_job("echo")
        await expect(page.locator("tbody")).to_contain_text(str(job.id))
        await context.close()


async def test_the_printed_address(browser: Browser, processor: JobProcessor) -> None:
    """It leads in, is nowhere in the address or the page from then on, and no script reads it."""
    entrance = Entrance()
    async with served(create_app(processor, entrance)) as address:
        context = await browser.new_context()
        page = await context.new_page()
        answer = await page.goto(f"{address}/jobs")
        assert answer is not None
        assert answer.status == 401
        await page.goto(entrance.address(f"{address}/jobs"))
        assert page.url == f"{address}/jobs"
        await expect(page.locator("#state.on")).to_be_visible()
        assert entrance.token not in await page.content()
        assert await page.evaluate("document.cookie") == ""
        assert await page.evaluate("document.referrer") == ""
        await page.get_by_role("link", name="Crons").click()
        await expect(page.locator("h1")).to_have_text("Crons")
        other = await context.new_page()  # another tab of the same browser
        await other.goto(f"{address}/jobs")
        await expect(other.locator("#state.on")).to_be_visible()
        await context.close()


EVIL = """<!doctype html><title>evil</title>
<a id="link" href="{target}/jobs">look</a>
<form id="form" method="post" action="{target}/act"><input name="do" value="pause">
<input name="name" value="echo"></form><img id="image" src="{target}/jobs?error=x">
<iframe id="frame" src="{target}/jobs"></iframe>
<script>
const tries = [
  fetch("{target}/api/jobs", {{mode: "no-cors"}}),
  fetch("{target}/api/jobs"),
  fetch("{target}/api/jobs/{id}/kill", {{method: "POST", mode: "no-cors"}}),
  fetch("{target}/api/jobs/{id}/kill", {{method: "POST", headers: {{"x-requested-with": "x"}}}}),
  fetch("{target}/api/jobs", {{method: "POST", mode: "no-cors", body: '{{"name": "echo"}}'}}),
  fetch("{target}/api/jobs/{id}", {{method: "DELETE"}}),
];
navigator.sendBeacon("{target}/act", new URLSearchParams({{do: "pause", name: "echo"}}));
Promise.allSettled(tries).then(() => document.title = "done");
</script>"""


async def evil(target: str, job_id: str) -> Starlette:
    """Return a site whose page tries what a page of another site can."""

    async def page(request: Request) -> Response:
        return HTMLResponse(EVIL.format(target=target, id=job_id))

    return Starlette(routes=[Route("/", page)])


class Statuses:
    """Notes how an application answers."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.seen: list[tuple[str, str, int]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""

        async def noting(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.seen.append((scope["method"], scope["path"], message["status"]))
            await send(message)

        await self._app(scope, receive, noting)


async def test_a_page_of_another_site(
    browser: Browser, app: Starlette, processor: JobProcessor
) -> None:
    """Reads nothing, shows nothing in a frame and changes nothing; a link of it leads here."""
    job = await processor.schedule_job("echo")
    noting = Statuses(app)
    async with (
        served(noting) as address,
        served(await evil(address, str(job.id))) as port,
    ):
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(port.replace("127.0.0.1", "localhost"))
        await page.wait_for_function("document.title === 'done'")
        assert await page.evaluate("document.getElementById('image').naturalWidth") == 0

        async def all_came() -> bool:
            return len(noting.seen) >= 8

        await eventually(all_came)
        answered = [each for each in noting.seen if each[2] not in (403, 405)]
        assert answered == []
        assert await processor.get_job(job.id) == job
        async with page.expect_navigation():
            await page.evaluate("document.getElementById('form').submit()")
        assert not (await processor.get_pauses()).names
        await page.goto(port.replace("127.0.0.1", "localhost"))
        await page.click("#link")
        await expect(page.locator("h1")).to_have_text("Jobs")
        await context.close()
    assert await processor.count_jobs() == 1


async def test_a_name_that_was_made_to_lead_here(processor: JobProcessor) -> None:
    """A page under a foreign name that resolves to this machine gets nothing (DNS rebinding)."""
    path = browser_path()
    if path is None:
        pytest.skip("no browser is here")
    app = create_app(processor, lambda _: "all", allowed_hosts=["localhost", "127.0.0.1", "[::1]"])
    async with served(app) as address, async_playwright() as playwright:
        rule = "--host-resolver-rules=MAP rebind.evil.test 127.0.0.1"
        chromium = await playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", rule]
        )
        page: Page = await chromium.new_page()
        foreign = re.sub("127.0.0.1", "rebind.evil.test", address)
        for place in ("/jobs", "/api/jobs", "/static/app.js"):
            answer = await page.goto(f"{foreign}{place}")
            assert answer is not None
            assert answer.status == 400
        asked = "fetch('/api/jobs', {method: 'POST', body: '{}'}).then(answer => answer.status)"
        assert await page.evaluate(asked) == 400
        answer = await page.goto(f"{address}/jobs")
        assert answer is not None
        assert answer.status == 200
        await asyncio.gather(page.close())
        await chromium.close()
