"""Labels on the pages and in the JSON interface: shown, filtered by, acted on, given."""

from __future__ import annotations

import pytest

from job_processor import JobDef, JobProcessor, JobRequest
from job_processor.web import create_app
from job_processor.web.api import OWN_HEADER
from tests.definitions import nothing
from tests.processors import Processors
from tests.web.conftest import client_of
from tests.web.forms import Forms, sure_of

ODD = 'a&b="<c>, d'
HEADERS = {OWN_HEADER: "tests"}


@pytest.fixture
async def processor(processors: Processors) -> JobProcessor:
    """A processor with three jobs, two of which have labels."""
    made = await processors.make(jobs={"digest": JobDef(nothing)})
    await made.schedule_jobs(
        [JobRequest("digest", {"n": n}, labels=labels) for n, labels in enumerate([[ODD], None])]
    )
    await made.schedule_job("digest", {"n": 2}, labels=[ODD, "nightly"])
    return made


async def test_a_label_is_shown_and_leads_to_its_jobs(processor: JobProcessor) -> None:
    """As a chip in the list and on the page of the job; its link finds those with the label."""
    newest, *_ = (await processor.find_jobs()).jobs
    async with client_of(create_app(processor)) as client:
        listed = (await client.get("/jobs")).text
        one = (await client.get(f"/jobs/{newest.id}")).text
        start = one.index('class="label" href="') + len('class="label" href="')
        link = one[start : one.index('"', start)].replace("&amp;", "&")
        filtered = (await client.get(link)).text
        nightly = (await client.get("/jobs?label=nightly")).text
        none = await client.get("/jobs?label=none")
        wrong = await client.get("/jobs", params={"label": "x" * 101})
        french = (await client.get("/jobs", headers={"accept-language": "fr"})).text
    assert "a&amp;b=&#34;&lt;c&gt;, d</a>" in listed
    assert "<c>" not in listed + one
    assert filtered.count('name="ids"') == 2
    assert nightly.count('name="ids"') == 1
    assert none.status_code == 200
    assert (wrong.status_code, "1 to 100 characters" in wrong.text) == (400, True)
    assert "id, nom, label ou texte" in french


async def test_all_with_a_label_are_acted_on(processor: JobProcessor) -> None:
    """What the page shows is what is killed, once somebody has said so."""
    async with client_of(create_app(processor)) as client:
        forms = Forms(client)
        sure = sure_of(await forms.send(do="kill", all="1", filter_label=ODD))
        await processor.schedule_job("digest", labels=["other"])
        assert "2 jobs " in await forms.send(sure=sure)
    assert await processor.count_jobs(label=ODD, status="killed") == 2
    assert await processor.count_jobs(status="pending") == 2


async def test_programs_give_and_find_labels(processor: JobProcessor) -> None:
    """One label, or several that a job has to have; a new job gets them; the schema tells."""
    async with client_of(create_app(processor)) as client:
        one = (await client.get("/api/jobs", params={"label": ODD})).json()["jobs"]
        both = await client.get("/api/jobs", params=[("label", ODD), ("label", "nightly")])
        body = {"name": "digest", "labels": ["api", ODD]}
        made = await client.post("/api/jobs", json=body, headers=HEADERS)
        wrong = await client.post(
            "/api/jobs", json={"name": "digest", "labels": "api"}, headers=HEADERS
        )
        schema = (await client.get("/api/openapi.json")).json()
    assert [each["payload"]["n"] for each in one] == [2, 0]
    assert [each["labels"] for each in both.json()["jobs"]] == [[ODD, "nightly"]]
    assert made.json()["labels"] == ["api", ODD]
    assert (wrong.status_code, "write ['api']" in wrong.text) == (400, True)
    listing = schema["paths"]["/api/jobs"]["get"]["parameters"]
    assert next(each for each in listing if each["name"] == "label")["schema"]["maxItems"] == 16


async def test_what_is_run_again_has_the_same_labels(processor: JobProcessor) -> None:
    """A job that is made of another one's payload is found where that is."""
    newest, *_ = (await processor.find_jobs()).jobs
    async with client_of(create_app(processor)) as client:
        await Forms(client).send(
            do="schedule", name="digest", payload='{"n": 7}', of=str(newest.id)
        )
    again, *_ = (await processor.find_jobs()).jobs
    assert again.labels == (ODD, "nightly")
