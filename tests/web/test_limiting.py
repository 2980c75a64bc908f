"""Limits, rates and lanes in the dashboard: the pages, their forms, the JSON interface."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2 as httpx
import pytest
from starlette.applications import Starlette

from job_processor import JobDef, JobProcessor, Limit, Rate
from job_processor.parts import parts_of
from job_processor.web import create_app
from tests.definitions import nothing
from tests.insides import store_of
from tests.processors import Processors
from tests.web.conftest import client_of
from tests.web.costs import MOST_STATEMENTS, asked, counted
from tests.web.forms import Forms, token_of

LIMITED = {
    "sync": JobDef(nothing, limit=Limit(2, key="tenant")),
    "post": JobDef(nothing, limit=Limit(1, key="account", ordered=True, on_failure="stop")),
    "export": JobDef(nothing, limit=2),
    "render": JobDef(nothing, limit=Limit(1, per="worker")),
    "mail": JobDef(nothing, rate=Rate(10, per=60, group="smtp")),
}
ODD = "<b>&{{7*7}}"


@pytest.fixture
async def processor(processors: Processors) -> JobProcessor:
    """A processor with limits and rates, in whose lanes jobs wait."""
    made = await processors.make(jobs=LIMITED)
    for tenant, count in (("a", 1), (ODD, 3)):
        await made.schedule_jobs([("sync", {"tenant": tenant})] * count)
    await made.schedule_jobs(["export", "mail", "mail"])
    return made


@pytest.fixture
async def client(processor: JobProcessor) -> AsyncIterator[httpx.AsyncClient]:
    """A client of its dashboard."""
    async with client_of(create_app(processor)) as made:
        yield made


async def park(processor: JobProcessor, lane: str = "sync:a") -> str:
    """Park the jobs of a lane, as a claim that finds it full does; return the id of one."""
    jobs = (await processor.find_jobs(lane=lane)).jobs
    ids, now = [job.id for job in jobs], parts_of(processor).clock.now()
    assert await store_of(processor).lanes.park(ids, "slot", now)
    return str(jobs[0].id)


async def test_limits_and_rates_are_shown(client: httpx.AsyncClient) -> None:
    """Each limit with its fullest lanes first, each rate with its next start; keys are escaped."""
    text = (await client.get("/limits")).text
    for part in ("sync", "2 at a time, for each tenant", "in order", "in each worker", "smtp"):
        assert part in text
    assert ODD not in text
    assert text.index("&lt;b&gt;&amp;{{7*7}}") < text.index(">a</a>")
    assert 'href="/lane?lane=sync%3Aa"' in text
    assert re.search(r"<dt>waiting</dt><dd>2</dd>", text)
    french = (await client.get("/limits", headers={"accept-language": "fr"})).text
    assert "2 à la fois, par tenant" in french


async def test_a_lane_is_shown_with_its_jobs(
    client: httpx.AsyncClient, processor: JobProcessor
) -> None:
    """What runs, what waits, which jobs are next; one that nothing is in says so."""
    job_id = await park(processor)
    text = (await client.get("/lane?lane=sync:a")).text
    assert job_id in text
    assert re.search(r"<dt>parked</dt><dd>1</dd>", text)
    assert "Nothing runs or waits." in (await client.get("/lane?lane=sync:none")).text
    refused = await client.get("/lane?lane=")
    assert refused.status_code == 400
    assert "the name of a lane" in refused.text


async def test_a_job_tells_its_lane_and_what_it_waits_for(
    client: httpx.AsyncClient, processor: JobProcessor
) -> None:
    """On its own page and in the list, with a link to its lane, in both languages."""
    job_id = await park(processor)
    page = (await client.get(f"/jobs/{job_id}")).text
    assert 'href="/lane?lane=sync%3Aa">sync:a</a>' in page
    assert "a slot of sync:a" in page
    listed = (await client.get("/jobs?lane=sync:a")).text
    assert "<strong>1</strong> jobs" in listed
    assert "waits for a slot of sync:a" in listed
    french = (await client.get(f"/jobs/{job_id}", headers={"accept-language": "fr"})).text
    assert "une place de sync:a" in french


async def test_the_overview_counts_parked_jobs_apart(
    client: httpx.AsyncClient, processor: JobProcessor
) -> None:
    """Of the pending ones it tells how many nobody can start now."""
    assert "parked" not in (await client.get("/")).text
    await park(processor)
    assert "1 job parked" in (await client.get("/")).text


async def test_the_forms_set_and_reset(forms: Forms, processor: JobProcessor) -> None:
    """A limit and a rate are set and reset, held and released; each stands in the audit."""
    await forms.send(do="set_limit", name="sync", amount="7", back="/limits")
    page = await forms.send(do="set_rate", name="smtp", rate="5/s", back="/limits")
    assert "set by hand" in page
    assert "7 at a time" in page
    assert "5/s" in page
    page = await forms.send(do="hold", name="smtp", seconds="90", back="/limits")
    assert "held for" in page
    await forms.send(do="release", name="smtp", back="/limits")
    await forms.send(do="reset_rate", name="smtp", back="/limits")
    page = await forms.send(do="reset_limit", name="sync", back="/limits")
    assert "set by hand" not in page
    assert "held for" not in page
    audit = [(entry.action, entry.subject) for entry in await processor.get_audit()]
    assert audit[::-1] == [
        ("set_limit", "sync: 7"),
        ("set_rate", "smtp: 5/s"),
        ("hold", "smtp: 90"),
        ("release", "smtp"),
        ("reset_rate", "smtp"),
        ("reset_limit", "sync"),
    ]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"do": "set_limit", "name": "sync", "amount": "many"}, "allowed is a whole number"),
        ({"do": "set_limit", "name": "sync", "amount": "0"}, "pause the jobs"),
        ({"do": "set_limit", "name": "post", "amount": "2"}, "one after the other"),
        ({"do": "set_limit", "name": "other", "amount": "2"}, "name that has one"),
        ({"do": "set_rate", "name": "smtp", "rate": "fast"}, "100/m"),
        ({"do": "set_rate", "name": "smtp", "rate": ""}, "allowed is a rate"),
        ({"do": "hold", "name": "smtp", "seconds": "nan"}, "allowed is a number of seconds"),
        ({"do": "hold", "name": "smtp"}, "allowed is a number of seconds"),
    ],
)
async def test_what_a_form_cannot_do_is_told(
    forms: Forms, fields: dict[str, str], told: str
) -> None:
    """In a sentence, on the page that it was sent from."""
    assert told in await forms.send(back="/limits", **fields)


async def test_who_may_only_look_changes_nothing(processor: JobProcessor) -> None:
    """Without the right to act there are no forms, and what is sent all the same is refused."""
    app: Starlette = create_app(processor, lambda request: "read_only")
    async with client_of(app) as client:
        page = (await client.get("/limits")).text
        assert "set_limit" not in page
        assert "set_rate" not in page
        fields: dict[str, Any] = {"do": "set_limit", "name": "sync", "amount": "9"}
        token = await token_of(client)
        assert (await client.post("/act", data={"csrf": token, **fields})).status_code == 403
        sent = await client.post("/api/limits", json={"name": "sync", "amount": 9})
        assert sent.status_code == 403
    assert not any(limit.is_changed for limit in await processor.limits())


async def test_the_json_interface(client: httpx.AsyncClient, processor: JobProcessor) -> None:
    """Limits, a lane and rates are read and changed; what cannot be is a problem document."""
    listed = (await client.get("/api/limits?lanes=1")).json()["limits"]
    sync = next(each for each in listed if each["name"] == "sync")
    assert (sync["key"], sync["amount"], sync["lanes"][0]["in_line"]) == ("tenant", 2, 3)
    lane = (await client.get("/api/lane", params={"lane": "sync:a"})).json()
    assert (lane["amount"], lane["in_line"], len(lane["next_jobs"])) == (2, 1, 1)
    changed = (await client.post("/api/limits", json={"name": "sync", "amount": 4})).json()
    assert {each["name"]: each["amount"] for each in changed["limits"]}["sync"] == 4
    await client.post("/api/limits", json={"name": "sync", "amount": None})
    set_rate = await client.post("/api/rates", json={"name": "smtp", "rate": "3/s"})
    (rate,) = set_rate.json()["rates"]
    assert (rate["amount"], rate["per"], rate["waiting"]) == (3, 1.0, 2)
    held = await client.post("/api/rates/hold", json={"name": "smtp", "seconds": 60})
    (rate,) = held.json()["rates"]
    assert rate["held_for"] > 0
    for path, body in (
        ("/api/limits", {"name": "sync"}),
        ("/api/limits", {"name": "sync", "amount": "4"}),
        ("/api/limits", {"name": 4, "amount": 4}),
        ("/api/rates", {"name": "smtp", "rate": 4}),
        ("/api/rates/hold", {"name": "smtp", "seconds": "x"}),
        ("/api/rates/hold", []),
    ):
        assert (await client.post(path, json=body)).status_code == 400
    form = await client.post("/api/limits", data={"name": "sync", "amount": "4"})
    assert form.status_code == 400
    assert not any(limit.is_changed for limit in await processor.limits())


async def test_a_page_of_limits_costs_few_statements(db_url: str) -> None:
    """However many lanes there are, and however much waits in them."""
    async with (
        counted(db_url, jobs=LIMITED) as (processor, statements),
        client_of(create_app(processor)) as client,
    ):
        jobs = [("sync", {"tenant": str(n % 130)}) for n in range(400)]
        await processor.schedule_jobs([*jobs, *[("sync", {"tenant": "big"})] * 200])
        await client.get("/limits")
        for path in ("/limits", "/lane?lane=sync:big"):
            statements.made.clear()
            assert (await client.get(path)).status_code == 200
            assert 0 < len(asked(statements)) <= MOST_STATEMENTS, statements.made
