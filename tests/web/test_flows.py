"""Flows on their page and in the JSON interface: levels, failures, kill and retry."""

from __future__ import annotations

import pytest
from bson import ObjectId

from job_processor import JobDef, JobProcessor
from job_processor.jobs.flows import Flow
from job_processor.web import create_app
from job_processor.web.api import OWN_HEADER
from tests.definitions import nothing
from tests.processors import Processors
from tests.web.conftest import client_of
from tests.web.forms import Forms

HEADERS = {OWN_HEADER: "tests"}


async def odd(n: int) -> int:
    """Fail for even numbers."""
    if n % 2 == 0:
        raise ValueError(f"no {n}")
    return n


@pytest.fixture
async def processor(processors: Processors) -> JobProcessor:
    """A processor with jobs for flows."""
    jobs = {"extract": JobDef(nothing), "load": JobDef(odd), "report": JobDef(nothing)}
    return await processors.make(jobs=jobs)


async def ended(processor: JobProcessor) -> Flow:
    """Return a flow that has ended, with one failure."""
    flow = processor.flow("import <b>")
    parts = flow.add_many("load", [{"n": n} for n in (2, 1, 3)], after=flow.add("extract"))
    flow.add("report", after=parts)
    await flow.start()
    await processor.run_worker(burst=True)
    return flow


async def test_a_flow_and_its_jobs(processor: JobProcessor) -> None:
    """Levels in order, siblings of a name as one box, what failed with its error, and links."""
    flow = await ended(processor)
    async with client_of(create_app(processor)) as client:
        page = (await client.get(f"/flows/{flow.id}")).text
        french = (await client.get(f"/flows/{flow.id}", headers={"accept-language": "fr"})).text
        jobs = (await client.get(f"/jobs?flow={flow.id}")).text
        of_job = (await client.get(f"/jobs/{flow.jobs[0].id}")).text
        unknown = await client.get(f"/flows/{ObjectId()}")
    assert "import &lt;b&gt;" in page
    assert page.index(">extract</a>") < page.index("load</a> 3/3") < page.index(">report</a>")
    assert "ValueError: no 2" in page
    assert "Échecs" in french
    assert jobs.count(">load<") >= 3
    assert f"/flows/{flow.id}" in of_job
    assert unknown.status_code == 404


async def test_they_are_listed(processor: JobProcessor) -> None:
    """The newest first, a page at a time, with what runs, has failed and has ended."""
    async with client_of(create_app(processor)) as client:
        none = (await client.get("/flows")).text
    flow = await ended(processor)
    newer = processor.chain("extract", "report", name="nightly")
    await newer.start()
    async with client_of(create_app(processor)) as client:
        page = (await client.get("/flows")).text
        older = (await client.get(f"/flows?after={newer.id}")).text
        french = (await client.get("/flows", headers={"accept-language": "fr"})).text
        listed = (await client.get("/api/flows")).json()["flows"]
        one = (await client.get(f"/api/flows?limit=1&after={newer.id}")).json()["flows"]
        wrong = [await client.get(f"/api/flows?{each}") for each in ("limit=0", "after=7")]
    assert "No flows." in none
    assert page.index("nightly") < page.index("import &lt;b&gt;")
    assert (f"/flows/{newer.id}" in page, f"/flows/{newer.id}" in older) == (True, False)
    assert f"/flows/{flow.id}" in older
    assert "<h1>Flux</h1>" in french
    assert [(each["name"], each["status"]) for each in listed] == [
        ("nightly", "running"),
        ("import <b>", "errored"),
    ]
    assert one == listed[1:]
    assert [each.status_code for each in wrong] == [400, 400]


async def test_the_buttons(processor: JobProcessor) -> None:
    """What failed is retried; what goes on is killed."""
    flow = await ended(processor)
    async with client_of(create_app(processor)) as client:
        forms = Forms(client)
        await forms.send(do="retry_flow", id=str(flow.id))
        again = await processor.get_flow(flow.id)
        await forms.send(do="kill_flow", id=str(flow.id), confirmed="1")
    assert again is not None
    assert again.status == "running"
    info = await processor.get_flow(flow.id)
    assert info is not None
    assert (info.status, info.counts["killed"]) == ("errored", 2)


async def test_the_interface(processor: JobProcessor) -> None:
    """The same for programs; an unknown flow is a 404, and a page elsewhere cannot act."""
    flow = await ended(processor)
    async with client_of(create_app(processor)) as client:
        one = (await client.get(f"/api/flows/{flow.id}")).json()
        again = await client.post(f"/api/flows/{flow.id}/retry", headers=HEADERS)
        killed = await client.post(f"/api/flows/{flow.id}/kill", headers=HEADERS)
        forged = await client.post(f"/api/flows/{flow.id}/kill")
        unknown = await client.post(f"/api/flows/{ObjectId()}/kill", headers=HEADERS)
    assert [[box["name"] for box in level] for level in one["levels"]] == [
        ["extract"],
        ["load"],
        ["report"],
    ]
    assert (again.json()["status"], killed.json()["status"]) == ("running", "errored")
    assert forged.status_code == 400
    assert unknown.status_code == 404
