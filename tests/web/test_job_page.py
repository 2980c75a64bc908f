"""The page of one job: what each of its attempts left, how long it took, whose worker died."""

from __future__ import annotations

import re

import httpx2 as httpx

from job_processor import Crash, JobDef, JobProcessor, JobStatus, Output, Retry
from job_processor.web import create_app
from tests.insides import store_of
from tests.processors import Processors
from tests.samples import NOW, OTHER_WORKER, SECOND, WORKER, simple
from tests.web.conftest import client_of


def refuse(password: str) -> None:
    """Fail, and say what is to be said to nobody."""
    raise ValueError(f"refused {password}")


async def test_each_attempt_has_its_traceback(processors: Processors) -> None:
    """Folded, beside how long it took; nothing in it that the payload hides; so in the API."""
    jobs = {"refuse": JobDef(refuse, retry=Retry(3, delay=0))}
    processor, _ = await processors.start(jobs=jobs)
    made = await processor.schedule_job("refuse", {"password": "hunter-22"})
    job = await processor.wait_for_job(made.id)
    async with client_of(create_app(processor)) as client:
        page = (await client.get(f"/jobs/{job.id}")).text
        told = (await client.get(f"/api/jobs/{job.id}")).json()
    assert len(re.findall(r"<details><summary[^>]*>ValueError: refused \[redacted\]", page)) == 2
    assert page.count("in refuse\n    raise ValueError(f&#34;refused {password}&#34;)") == 3
    assert re.search(r"attempt 1</span> .*took \d+ ms", page)
    assert re.search(r"· took [\d.]+ m?s, total [\d.]+ m?s<", page)
    assert [each["number"] for each in told["attempts"]] == [1, 2]
    assert "in refuse" in told["attempts"][0]["error"]
    assert told["output"]["duration_ms"] <= told["total_ms"]
    assert "hunter-22" not in page + str(told)


async def test_whose_worker_died(client: httpx.AsyncClient, processor: JobProcessor) -> None:
    """The dead one stands there, not its rescuer in its place, in both languages."""
    crash = Crash(WORKER, "web-1:2877", OTHER_WORKER, "web-2:12", NOW + SECOND)
    job = simple(
        status=JobStatus.ERRORED,
        started_at=NOW,
        ended_at=crash.at,
        worker_id=OTHER_WORKER,
        output=Output("1 second", error="Worker crashed unexpectedly"),
        attempt=2,
        crash=crash,
    )
    await store_of(processor).intake.insert([job])
    page = (await client.get(f"/jobs/{job.id}")).text
    assert re.search(rf"crashed on</dt><dd>web-1:2877 .*{WORKER}", page)
    assert re.search(rf"rescued by</dt><dd>web-2:12 .*{OTHER_WORKER}", page)
    assert "<dt>worker</dt>" not in page
    assert "(web-1:2877)" not in page
    french = await client.get(f"/jobs/{job.id}", headers={"accept-language": "fr"})
    assert "repris par</dt>" in french.text
