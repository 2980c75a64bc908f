"""The page of one job: what each of its attempts left, how long it took, whose worker died."""

from __future__ import annotations

import re
from typing import Any

import httpx2 as httpx

from job_processor import Crash, JobDef, JobProcessor, JobStatus, Output, Retry
from job_processor.models import Attempt, LogLine, Notes, Progress, Step, WorkerInfo
from job_processor.web import create_app
from tests.insides import store_of
from tests.processors import Processors
from tests.samples import NOW, OTHER_WORKER, SECOND, WORKER, settled, simple
from tests.web.conftest import client_of
from tests.web.costs import asked, traced
from tests.web.forms import Forms

MINUTE = 60 * SECOND


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
    assert re.search(r"errored</span> .*· total [\d.]+ m?s<", page)
    assert [each["number"] for each in told["attempts"]] == [1, 2]
    assert "in refuse" in told["attempts"][0]["error"]
    assert told["output"]["duration_ms"] <= told["total_ms"]
    assert "hunter-22" not in page + str(told)


async def test_one_timeline_in_order(client: httpx.AsyncClient, processor: JobProcessor) -> None:
    """Made, due, each attempt where it began, the end: by the clock; each attempt is a row."""
    tries = [
        Attempt(n, NOW + n * MINUTE, NOW + n * MINUTE + SECOND, f"no {n}\n  File", WORKER, where)
        for n, where in ((1, "web-1:7"), (2, None))
    ]
    job = simple(
        created_at=NOW,
        scheduled_for=NOW + 3 * MINUTE,
        started_at=NOW + MINUTE,
        ended_at=NOW + 4 * MINUTE,
        status=JobStatus.ERRORED,
        attempt=3,
        attempts=tuple(tries),
        worker_id=OTHER_WORKER,
        output=Output("500ms", error="no 3\n  File"),
    )
    registered = WorkerInfo(id=WORKER, hostname="web-2", last_seen=NOW, tags=None, pid=12)
    store = store_of(processor)
    await store.intake.insert([job])
    await store.workers.register(registered)
    page = (await client.get(f"/jobs/{job.id}")).text
    timeline = page.partition('<ol class="timeline">')[2].partition("</ol>")[0]
    pattern = r'<span>([^<]+)</span> <span class="at"><time class="clock" datetime="([^"]+)">'
    moments = re.findall(pattern, timeline)
    assert [what for what, _ in moments] == [
        *("created", "attempt 1", "attempt 2", "due", "attempt 3", "errored"),
    ]
    assert [at for _, at in moments] == sorted(at for _, at in moments)
    rows = re.findall(r'<tr data-key="(\d)">(.*?)</tr>', page, re.DOTALL)
    assert [number for number, _ in rows] == ["1", "2", "3"]
    assert ["web-1:7" in row for _, row in rows] == [True, False, False]
    assert ["web-2:12" in row for _, row in rows] == [False, True, False]
    assert ["<details>" in row for _, row in rows] == [True, True, False]
    assert "500 ms" in rows[2][1]


async def test_what_a_killed_job_was_doing(
    client: httpx.AsyncClient, processor: JobProcessor
) -> None:
    """How far it had come, its last step and lines, and nothing of it as an error or as running."""
    notes = Notes(
        Progress(0.72, "photo 72", NOW),
        tuple(LogLine(NOW, f"line {n}") for n in range(9)),
    )
    fields: dict[str, Any] = {"started_at": NOW, "ended_at": NOW + SECOND, "notes": notes}
    job = simple(
        status=JobStatus.KILLED,
        output=Output("9 seconds", error="Killed"),
        steps=(Step("reserve", NOW, NOW),),
        **fields,
    )
    running = simple(status=JobStatus.RUNNING, **{**fields, "ended_at": None, "worker_id": WORKER})
    await store_of(processor).intake.insert([job, running])
    page = (await client.get(f"/jobs/{job.id}")).text
    doing = page.partition('class="doing"')[2].partition("</section>")[0]
    for part in ("72%", "photo 72", "reserve", "line 4", "line 8"):
        assert part in doing
    assert "line 3<" not in doing
    assert "stopped after it had run for 9 s" in page
    assert "data-running" not in page
    assert 'class="error"' not in page
    assert "data-running" in (await client.get(f"/jobs/{running.id}")).text
    french = await client.get(f"/jobs/{job.id}", headers={"accept-language": "fr"})
    assert "Ce qu&#39;il faisait" in french.text


async def test_retry_and_run_again_are_explained(
    client: httpx.AsyncClient, processor: JobProcessor
) -> None:
    """In words, beside their buttons; the payload stands there once, and may be edited there."""
    job = settled("echo", payload={"order": 77123})
    await store_of(processor).intake.insert([job])
    page = (await client.get(f"/jobs/{job.id}")).text
    assert page.count("77123") == 1
    assert "this job waits again, with its id" in page
    assert "a new job with the payload below" in page


async def test_a_large_job_has_a_small_page(
    client: httpx.AsyncClient, processor: JobProcessor
) -> None:
    """Under 60 KB in at most twelve statements, whatever it holds; its JSON has the rest."""
    long = "<x> " * 20_000
    job = simple(
        "echo",
        payload={"text": long},
        status=JobStatus.ERRORED,
        started_at=NOW,
        ended_at=NOW + SECOND,
        attempt=21,
        attempts=tuple(Attempt(n, NOW, NOW, f"no {n}\n{long}", WORKER) for n in range(1, 21)),
        output=Output("5ms", error=f"last\n{long}"),
        notes=Notes(None, tuple(LogLine(NOW, "y" * 500) for _ in range(100))),
    )
    await store_of(processor).intake.insert([job])
    statements = await traced(processor)
    answer = await client.get(f"/jobs/{job.id}")
    assert len(answer.content) < 60_000
    assert f'href="/api/jobs/{job.id}">JSON</a>' in answer.text
    assert answer.text.count("<tr data-key") == 21
    assert statements is None or len(asked(statements)) <= 12, statements.made
    await Forms(client).send(do="schedule", name="echo", of=str(job.id))
    (again,) = (await processor.find_jobs(status="pending", type="simple")).jobs
    assert getattr(again, "payload", None) == job.payload


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
