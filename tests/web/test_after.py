"""What a job comes after and before on its page, and retries with what was skipped."""

from __future__ import annotations

import httpx2 as httpx
import pytest

from job_processor import Job, JobDef, JobProcessor, JobStatus
from job_processor.web import create_app
from job_processor.web.api import OWN_HEADER
from tests.processors import Processors
from tests.web.conftest import client_of
from tests.web.forms import Forms

HEADERS = {OWN_HEADER: "tests"}


async def fails() -> None:
    """Fail."""
    raise ValueError("no")


@pytest.fixture
async def processor(processors: Processors) -> JobProcessor:
    """A processor whose jobs fail."""
    return await processors.make(jobs={"extract": JobDef(fails), "load": JobDef(fails)})


async def family(processor: JobProcessor) -> tuple[Job, Job]:
    """Return a parent that failed, and its skipped child."""
    parent = await processor.schedule_job("extract")
    child = await processor.schedule_job("load", after=parent)
    await processor.run_worker(burst=True)
    return parent, child


async def test_the_page_has_both_sides(processor: JobProcessor) -> None:
    """The parents of a child, the children of a parent, each a link with its state."""
    parent, child = await family(processor)
    async with client_of(create_app(processor)) as client:
        of_parent = (await client.get(f"/jobs/{parent.id}")).text
        of_child = (await client.get(f"/jobs/{child.id}")).text
        alone = await processor.schedule_job("extract")
        of_none = (await client.get(f"/jobs/{alone.id}")).text
    assert "Followed by" in of_parent
    assert f'<a href="/jobs/{child.id}">load</a>' in of_parent
    assert "Retry with what was skipped" in of_parent
    assert "Comes after" in of_child
    assert f'<a href="/jobs/{parent.id}">extract</a>' in of_child
    for text in ("Followed by", "Comes after"):
        assert text not in of_none


async def test_a_retry_with_descendants(processor: JobProcessor) -> None:
    """The button of the page and the JSON interface bring back what was skipped."""
    parent, child = await family(processor)
    async with client_of(create_app(processor)) as client:
        answer = await client.post(f"/api/jobs/{parent.id}/retry?descendants=true", headers=HEADERS)
        assert answer.status_code == httpx.codes.OK
        back = await processor.get_job(child.id)
        assert back is not None
        assert back.status is JobStatus.PENDING
        wrong = await client.post(f"/api/jobs/{parent.id}/retry?descendants=1", headers=HEADERS)
        assert wrong.status_code == httpx.codes.BAD_REQUEST
        await processor.run_worker(burst=True)
        forms = Forms(client)
        await forms.send(do="retry", id=str(parent.id), descendants="1")
    again = await processor.get_job(child.id)
    assert again is not None
    assert again.status is JobStatus.PENDING
