"""A search of what no index tells: it looks at so many jobs a page, and goes on from there."""

from __future__ import annotations

import re

import httpx2 as httpx
import pytest

from job_processor import JobProcessor
from job_processor.store.mongo import selections as mongo
from job_processor.store.sqlite import walks as sqlite
from job_processor.web import bulk, job_list
from tests.insides import store_of
from tests.web.forms import Forms
from tests.web.test_job_list import failed

LOOKED_AT = 60
RARE = {10, 11, 100}
"""The places of three jobs from the newest one, in windows of their own but for two."""


@pytest.fixture(autouse=True)
def window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at fewer jobs."""
    for module in (mongo, sqlite, bulk, job_list):
        monkeypatch.setattr(module, "LOOK_THROUGH", LOOKED_AT)


@pytest.fixture
async def ids(processor: JobProcessor) -> list[str]:
    """Jobs that failed, the newest first; the error of three says something rare."""
    jobs = [failed("echo", "rare" if n in RARE else "often", n) for n in reversed(range(130))]
    await store_of(processor).intake.insert(jobs)  # type: ignore[arg-type]  # jobs, as objects
    return [str(job.id) for job in reversed(jobs)]  # type: ignore[attr-defined]


def link(page: str, rel: str) -> str | None:
    """Return where a link of the pager leads."""
    found = re.search(rf'rel="{rel}"[^>]*href="([^"]+)"', page)
    return None if found is None else found[1].replace("&amp;", "&")


async def test_the_facade_goes_on(processor: JobProcessor, ids: list[str]) -> None:
    """A page ends where the search has looked, whatever it found, and leads on to the very end."""
    found, looks, after = [], 0, None
    while looks == 0 or after:
        page = await processor.find_jobs(error="rare", after=after)
        found += [str(job.id) for job in page.jobs]
        after, looks = page.next, looks + 1
    assert found == [ids[n] for n in sorted(RARE)]
    assert looks == 3
    back = await processor.list_jobs(error="rare", before=ids[-1])
    assert [str(job.id) for job in back.jobs] == [ids[100]]
    assert (back.next, back.previous) == (ids[100], ids[129 - LOOKED_AT])
    further = await processor.list_jobs(error="rare", before=back.previous)
    assert [str(job.id) for job in further.jobs] == [ids[n] for n in (10, 11)]


async def test_the_page_says_how_far(client: httpx.AsyncClient, ids: list[str]) -> None:
    """With a way to look further; the last page says that there is nothing more."""
    first = (await client.get("/jobs?error=rare")).text
    assert "<strong>2</strong> jobs" in first
    assert f"looked through are the newest {LOOKED_AT} of the selection" in first
    assert "Look further" in first
    following = link(first, "next")
    assert following is not None
    second = (await client.get(following)).text
    assert ids[100] in second
    assert "jobs of the selection are looked through at a time" in second
    last = (await client.get(link(second, "next") or "")).text
    assert "There are no such jobs." in last
    assert link(last, "next") is None
    none = (await client.get("/jobs?error=nowhere")).text
    assert "None of those that were looked through." in none
    assert link(none, "next") == f"/jobs?error=nowhere&after={ids[LOOKED_AT - 1]}"


async def test_what_was_shown_is_what_is_done(
    forms: Forms, processor: JobProcessor, ids: list[str]
) -> None:
    """All that match are those that were looked at, which the question says; others stay."""
    every = {"do": "delete", "all": "1", "filter_error": "rare"}
    asked = await forms.send(**every)
    assert f"{LOOKED_AT} jobs of the selection were looked through" in asked
    assert "2 jobs deleted." in await forms.confirm(**every)
    assert await processor.get_job(ids[100]) is not None
    assert "1 job deleted." in await forms.confirm(**every, up_to=ids[100])


async def test_the_facade_acts_on_all(processor: JobProcessor, ids: list[str]) -> None:
    """However far a search has to look."""
    acted = await processor.act_on_jobs("delete", error="rare")
    assert (acted.done, acted.left) == (3, 0)
    assert (await processor.act_on_jobs("delete", error="often", down_to=ids[20])).done == 19
