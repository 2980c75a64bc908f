"""Groups on their pages and in the JSON interface: counts, failures first, kill and retry."""

from __future__ import annotations

import pytest
from bson import ObjectId

from job_processor import Group, JobDef, JobProcessor
from job_processor.web import create_app
from job_processor.web.api import OWN_HEADER
from tests.definitions import nothing
from tests.insides import store_of
from tests.processors import Processors
from tests.samples import NOW, simple
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
    """A processor with jobs for groups."""
    jobs = {"load": JobDef(odd), "zip": JobDef(nothing), "alert": JobDef(nothing)}
    return await processors.make(jobs=jobs)


async def ended(processor: JobProcessor) -> Group:
    """Return a group that has ended, with one failure."""
    payloads = [{"n": n} for n in (2, 1, 3)]
    group = await processor.schedule_group("load", payloads, then="zip", catch="alert")
    await processor.run_worker(burst=True)
    return group


async def test_groups_and_one_of_them(processor: JobProcessor) -> None:
    """The list leads to the group, whose members are one box, those that failed in front."""
    group = await ended(processor)
    async with client_of(create_app(processor)) as client:
        listed = (await client.get("/groups")).text
        page = (await client.get(f"/groups/{group.id}")).text
        french = (await client.get("/groups", headers={"accept-language": "fr"})).text
        members = (await client.get(f"/jobs?group={group.id}")).text
        (job,) = [each async for each in group.jobs("errored")]
        of_member = (await client.get(f"/jobs/{job.id}")).text
    assert f"/groups/{group.id}" in listed
    assert "3/3" in listed
    assert "Groupes" in french
    assert "load</a> 3/3" in page
    assert page.index("ValueError: no 2") < page.index("All members")
    assert members.count(">load<") >= 3
    assert f"/groups/{group.id}" in of_member


async def test_the_buttons(processor: JobProcessor) -> None:
    """What failed is retried; what goes on is killed."""
    group = await ended(processor)
    async with client_of(create_app(processor)) as client:
        forms = Forms(client)
        await forms.send(do="retry_group", id=str(group.id))
        assert (await group.info()).round == 2
        await forms.send(do="kill_group", id=str(group.id), confirmed="1")
    info = await group.info()
    assert (info.status, info.counts["killed"]) == ("errored", 1)


async def test_the_interface(processor: JobProcessor) -> None:
    """The same for programs; an unknown group is a 404."""
    group = await ended(processor)
    async with client_of(create_app(processor)) as client:
        (listed,) = (await client.get("/api/groups")).json()["groups"]
        one = (await client.get(f"/api/groups/{group.id}")).json()
        again = await client.post(f"/api/groups/{group.id}/retry", headers=HEADERS)
        killed = await client.post(f"/api/groups/{group.id}/kill", headers=HEADERS)
        gone = await client.get(f"/api/groups/{ObjectId()}")
        forged = await client.post(f"/api/groups/{group.id}/kill")
        members = (await client.get(f"/api/jobs?group={group.id}")).json()["jobs"]
    assert listed == one
    assert (one["status"], one["counts"]["failed"]) == ("errored", 1)
    assert (again.json()["round"], again.json()["status"]) == (2, "running")
    assert killed.json()["status"] == "errored"
    assert (gone.status_code, forged.status_code) == (404, 400)
    assert {job["group"] for job in members} == {str(group.id)}


async def test_many_members_are_one_box(processor: JobProcessor) -> None:
    """A page of a group has at most 25 jobs, however many members there are."""
    async with processor.group() as group:
        pass
    jobs = [simple("load", at=NOW, group=group.id) for _ in range(2_000)]
    await store_of(processor).intake.insert(jobs)
    async with client_of(create_app(processor)) as client:
        page = (await client.get(f"/groups/{group.id}")).text
    assert "0/2,000" in page
    assert page.count('<td class="c-id">') == 25
