"""What pages and the API read: extracts, pages of so many bytes, two searches at a time."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx2 as httpx
import pytest

from job_processor import JobProcessor, SearchLimitError
from job_processor.settings import LOOKS_AT_A_TIME
from job_processor.store.requests import JobQuery
from job_processor.store.sqlite import walks as sqlite
from job_processor.store.sqlite.conditions import condition_of
from job_processor.web import api
from tests.desks import at
from tests.insides import store_of
from tests.processors import WAIT

SECRET = "hunter2-SECRET"  # noqa: S105  # what is looked for
PAGES = (
    *("/", "/jobs", "/crons", "/workers", "/limits", "/api/status", "/api/workers", "/healthz"),
    *("/names", "/name?name=fail", "/name?name=echo", "/cron?name=nightly", "/tag?tag=light"),
)


class Held:
    """Holds up every search of the store that looks through jobs, until it may go on."""

    def __init__(self, processor: JobProcessor, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = 0
        self.given_up = 0
        self.may_go = asyncio.Event()
        self._changed = asyncio.Event()
        store: Any = store_of(processor)
        find = store.history.summaries

        async def held(query: JobQuery, *rest: Any, **options: Any) -> Any:
            if query.looks_through:
                self.begun += 1
                self._changed.set()
                try:
                    await self.may_go.wait()
                except asyncio.CancelledError:
                    self.given_up += 1
                    self._changed.set()
                    raise
            return await find(query, *rest, **options)

        monkeypatch.setattr(store.history, "summaries", held)

    async def until(self, **counts: int) -> None:
        """Wait until so many have begun, or were given up."""
        async with asyncio.timeout(WAIT):
            while any(getattr(self, name) < count for name, count in counts.items()):
                self._changed.clear()
                await self._changed.wait()


async def test_a_third_search_is_told_to_come_again(
    processor: JobProcessor, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 429 and Retry-After, as a page and as JSON; what an index answers goes on."""
    await processor.schedule_job("echo", {"a": 1})
    held = Held(processor, monkeypatch)
    searches = [asyncio.create_task(client.get("/jobs?error=x")) for _ in range(LOOKS_AT_A_TIME)]
    await held.until(begun=LOOKS_AT_A_TIME)
    for path in ("/jobs?error=x", "/api/jobs?payload=a%3D1"):
        refused = await client.get(path)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert "ask again" in refused.text
    with pytest.raises(SearchLimitError):
        await processor.count_jobs(error="x")
    with pytest.raises(SearchLimitError):
        await processor.act_on_jobs("kill", error="x")
    for path in PAGES:
        assert (await client.get(path)).status_code in (200, 503)
    held.may_go.set()
    assert [(await search).status_code for search in searches] == [200] * LOOKS_AT_A_TIME
    assert (await client.get("/api/jobs?payload=a%3D1")).status_code == 200


async def test_searches_that_were_left(
    processor: JobProcessor, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty whose readers have gone hold up nobody: each is given up, and its place is free."""
    held = Held(processor, monkeypatch)
    host, port = address.removeprefix("http://").split(":")
    for count in range(1, 41):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET /jobs?error=x HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        await held.until(begun=count)
        writer.close()
        await held.until(given_up=count)
        del reader
    async with httpx.AsyncClient(base_url=address) as client:
        async with asyncio.timeout(WAIT):
            assert (await client.get("/healthz")).json()["detail"] == "no worker is alive"
        held.may_go.set()
        assert (await client.get("/jobs?error=x")).status_code == 200


async def test_a_search_that_runs_holds_up_no_page(
    processor: JobProcessor, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While two look through jobs, in the thread or the database that does it, pages answer."""
    await processor.schedule_jobs([("echo", {"a": n}) for n in range(5)])
    begun, may_go = threading.Semaphore(0), threading.Event()

    def slow(query: JobQuery) -> Any:
        begun.release()
        may_go.wait(WAIT)
        return condition_of(query)

    monkeypatch.setattr(sqlite, "condition_of", slow)
    held = Held(processor, monkeypatch)
    if "sqlite" in type(store_of(processor)).__module__:
        held.may_go.set()
    searches = [asyncio.create_task(client.get("/jobs?error=x")) for _ in range(LOOKS_AT_A_TIME)]
    await held.until(begun=LOOKS_AT_A_TIME)
    try:
        async with asyncio.timeout(WAIT):
            for path in PAGES:
                assert (await client.get(path)).status_code in (200, 503)
            job = await processor.schedule_job("echo", {"a": 7})
            assert await processor.get_job(job.id) == job
    finally:
        may_go.set()
        held.may_go.set()
    assert [(await search).status_code for search in searches] == [200] * LOOKS_AT_A_TIME


async def test_a_page_of_the_api_ends_before_it_is_too_large(
    processor: JobProcessor, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `next` where there is more; going on brings every job once, in both directions."""
    monkeypatch.setattr(api, "PAGE_BYTES", 25_000)
    made = [await processor.schedule_job("echo", {"text": "x" * 10_000}) for _ in range(5)]
    sizes, ids, after = [], [], ""
    while True:
        page = (await client.get(f"/api/jobs?limit=100&after={after}")).json()
        sizes.append(len(page["jobs"]))
        ids += [job["_id"] for job in page["jobs"]]
        after = page["next"]
        if after is None:
            break
    assert sizes == [2, 2, 1]
    assert ids == [str(job.id) for job in made[::-1]]
    back = (await client.get(f"/api/jobs?limit=100&before={ids[-1]}")).json()
    assert [job["_id"] for job in back["jobs"]] == ids[2:4]
    assert back["previous"] == ids[2]


async def test_lists_do_not_tell_what_a_payload_hides(
    processor: JobProcessor, client: httpx.AsyncClient
) -> None:
    """Behind much else and deep in it: neither do the error's line and the status."""
    text = f"{SECRET} is wrong"
    payload = {"text": text, "blob": "x" * 5000, "of": {"api_key": SECRET}}
    await processor.schedule_job("fail", payload)
    await processor.schedule_job("echo", payload)
    for path in PAGES:
        assert SECRET not in (await client.get(path)).text, path
    await processor.run_worker(burst=True)
    await processor.run_worker(burst=True)
    (failed,) = (await processor.find_jobs(status="errored")).jobs
    assert failed.output is not None
    assert text in str(failed.output.error)
    for path in PAGES:
        shown = (await client.get(path)).text
        assert SECRET not in shown, path
        if path in ("/jobs", "/api/status"):
            assert "ValueError: [redacted] is wrong" in shown


async def test_no_list_reads_whole_jobs(
    processor: JobProcessor, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verbs of the store that return payloads and results are for one job's own page."""
    await processor.schedule_jobs([("echo", {"a": n}) for n in range(5)])
    store: Any = store_of(processor)

    async def never(*_: Any) -> Any:
        raise AssertionError("a list asked for whole jobs")

    for verb in (
        "history.find",
        "history.get",
        "history.get_many",
        "runs.of_worker",
        "history.find_active",
    ):
        monkeypatch.setattr(*at(store, verb), never)
    for path in (*PAGES, "/jobs?error=x", "/jobs?status=pending"):
        assert (await client.get(path)).status_code in (200, 503), path
    assert await processor.get_status()
    assert await processor.get_healthcheck()
    assert len((await processor.list_jobs(limit=3)).jobs) == 3
