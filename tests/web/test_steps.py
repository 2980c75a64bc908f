"""The steps of a job on its page, in the JSON interface, and what is hidden of them."""

from __future__ import annotations

import httpx2 as httpx
import pytest

from job_processor import Context, Job, JobDef, JobProcessor
from job_processor.web import create_app
from job_processor.web.api import OWN_HEADER
from tests.processors import Processors
from tests.web.conftest import client_of
from tests.web.forms import Forms

HIDING = {"password": "hunter2"}
HEADERS = {OWN_HEADER: "tests"}


async def order(password: str, context: Context) -> None:
    """Charge, ship, fail."""
    await context.step("charge", lambda: {"receipt": 7, "of": password})
    await context.step("new token", lambda: "t0ps3cret")
    for n in range(120):
        await context.step("ship", lambda n=n: f"parcel {n}")
    await context.sleep("cool off", seconds=0)
    raise ValueError("no stock")


async def sleeping(context: Context) -> None:
    """Sleep for long."""
    await context.sleep("cool off", hours=1)


@pytest.fixture
async def processor(processors: Processors) -> JobProcessor:
    """A processor with jobs in steps."""
    return await processors.make(jobs={"order": JobDef(order), "sleeping": JobDef(sleeping)})


async def ran(processor: JobProcessor, name: str, fields: dict[str, str] | None = None) -> Job:
    """Run a job as far as it goes, and return it."""
    job = await processor.schedule_job(name, fields)
    await processor.run_worker(burst=True)
    found = await processor.get_job(job.id)
    assert found is not None
    return found


async def test_the_page_of_a_job_has_its_steps(processor: JobProcessor) -> None:
    """The last hundred with times and results, without what the payload or their names hide."""
    job = await ran(processor, "order", HIDING)
    async with client_of(create_app(processor)) as client:
        page = (await client.get(f"/jobs/{job.id}")).text
        shown = (await client.get(f"/api/jobs/{job.id}")).json()
    assert "earlier steps: 73" in page
    assert all(name in page for name in ("ship:120", "cool off", "parcel 119"))
    assert "parcel 1&" not in page
    steps = {step["name"]: step for step in shown["steps"]}
    assert len(steps) == 123
    assert steps["charge"]["result"] == {"receipt": 7, "of": "[redacted]"}
    assert steps["new token"]["result"] == "[redacted]"
    assert "until" in steps["cool off"]


async def test_a_page_tells_until_when_a_handler_sleeps(processor: JobProcessor) -> None:
    """Also in French; there is no button to begin anew before it has ended."""
    job = await ran(processor, "sleeping")
    assert job.sleeps_until is not None
    async with client_of(create_app(processor)) as client:
        page = (await client.get(f"/jobs/{job.id}")).text
        french = (await client.get(f"/jobs/{job.id}", headers={"accept-language": "fr"})).text
    assert "sleeps until" in page
    assert "dort jusqu" in french
    assert "from_beginning" not in page


async def test_the_buttons_go_on_or_begin_anew(processor: JobProcessor) -> None:
    """A job that failed after a step has both."""
    job = await ran(processor, "order", HIDING)

    async def steps() -> int:
        found = await processor.get_job(job.id)
        assert found is not None
        return len(found.steps)

    async with client_of(create_app(processor)) as client:
        forms = Forms(client)
        assert "Retry from the beginning" in (await client.get(f"/jobs/{job.id}")).text
        await forms.send(do="retry", id=str(job.id))
        assert await steps() == 123
        await processor.kill_job(job.id)
        await forms.send(do="retry", id=str(job.id), from_beginning="1")
        assert await steps() == 0


@pytest.mark.parametrize(("query", "left"), [("", 123), ("?from_beginning=true", 0)])
async def test_the_interface_takes_it_as_well(
    processor: JobProcessor, query: str, left: int
) -> None:
    """And says what is allowed."""
    job = await ran(processor, "order", HIDING)
    async with client_of(create_app(processor)) as client:
        address = f"/api/jobs/{job.id}/retry"
        wrong: httpx.Response = await client.post(f"{address}?from_beginning=1", headers=HEADERS)
        assert (wrong.status_code, "true and false" in wrong.text) == (400, True)
        shown = (await client.post(f"{address}{query}", headers=HEADERS)).json()
    assert len(shown.get("steps", [])) == left


async def test_a_job_is_retried_from_a_step(processor: JobProcessor) -> None:
    """By a button beside each, and in the interface."""
    job = await ran(processor, "order", HIDING)
    async with client_of(create_app(processor)) as client:
        forms = Forms(client)
        page = (await client.get(f"/jobs/{job.id}")).text
        assert "Retry from here" in page
        await forms.send(do="retry", id=str(job.id), from_step="ship:3")
        found = await processor.get_job(job.id)
        assert found is not None
        assert [step.name for step in found.steps] == ["charge", "new token", "ship", "ship:2"]
        assert "Retry from here" not in (await client.get(f"/jobs/{job.id}")).text
        await processor.kill_job(job.id)
        address = f"/api/jobs/{job.id}/retry"
        wrong: httpx.Response = await client.post(f"{address}?from_step=pay", headers=HEADERS)
        assert (wrong.status_code, "allowed are the steps" in wrong.text) == (400, True)
        shown = (await client.post(f"{address}?from_step=ship", headers=HEADERS)).json()
        assert [step["name"] for step in shown["steps"]] == ["charge", "new token"]


async def paying(context: Context) -> None:
    """Wait for a payment."""
    await context.receive("late", timeout=0)
    await context.receive("paid:42", timeout=3600)


async def test_a_page_tells_for_what_a_job_waits(processors: Processors) -> None:
    """For which message, and until when, also among the steps; in French, too."""
    processor = await processors.make(jobs={"paying": JobDef(paying)})
    job = await ran(processor, "paying")
    async with client_of(create_app(processor)) as client:
        page = (await client.get(f"/jobs/{job.id}")).text
        french = (await client.get(f"/jobs/{job.id}", headers={"accept-language": "fr"})).text
        listed = await client.get("/jobs")
    assert "a message paid:42, until" in page
    assert "no message came" in page
    assert "un message paid:42, jusqu" in french
    assert listed.status_code == 200
