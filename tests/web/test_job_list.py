"""The list of jobs: rows of one line, a search, what is to come apart, errors grouped, columns."""

from __future__ import annotations

import re
from datetime import timedelta

import httpx2 as httpx
from bson import ObjectId

from job_processor import JobProcessor, JobStatus, Output
from tests.insides import store_of
from tests.samples import NOW, SECOND, WORKER, occurrence, settled, simple
from tests.web.costs import asked, traced
from tests.web.forms import Forms, sure_of

LONG = "x" * 300


def failed(name: str, error: str, n: int = 0) -> object:
    """Return a job that ended with an error, so many seconds ago."""
    fields = {"status": JobStatus.ERRORED, "output": Output("5ms", error=error)}
    return settled(name, at=NOW - n * SECOND, started_at=NOW, **fields)


async def test_a_row_tells_one_job_from_another(
    client: httpx.AsyncClient, processor: JobProcessor
) -> None:
    """By the end of its id, the first fields of its payload, the first line of its error."""
    payload = {"order": 7, "password": "hunter-22", "text": LONG}
    error = "ValueError: refused hunter-22\nTraceback: more"
    output = Output("5ms", error=error)
    job = settled("echo", payload=payload, status=JobStatus.ERRORED, output=output, started_at=NOW)
    killed = settled("echo", status=JobStatus.KILLED, output=Output("5ms", error="Killed"))
    await store_of(processor).intake.insert([job, killed])
    text = (await client.get("/jobs?name=echo")).text
    id = str(job.id)
    assert f'title="{id}"><span>{id[:-6]}</span>{id[-6:]}</a>' in text
    assert "order=7, password=[redacted], text=&#34;xxx" in text
    assert '<span class="error">ValueError: refused [redacted]</span>' in text
    assert '<span class="dim">Killed</span>' in text
    assert "hunter" not in text
    assert "Traceback" not in text
    assert LONG[:100] not in text


async def test_what_crons_are_to_bring_stands_apart(
    client: httpx.AsyncClient, processor: JobProcessor
) -> None:
    """Not among what has happened, nor done to all of that; a state that is asked for has all."""
    late = occurrence("other", status=JobStatus.FINISHED, ended_at=NOW)
    waits = occurrence("other", at=NOW + timedelta(days=1))
    await store_of(processor).intake.insert([late, waits, simple("echo")])
    text = (await client.get("/jobs")).text
    rows, coming = text.partition('<form method="post" action="/act" id="selection">')[::2]
    assert (str(waits.id) in rows, str(waits.id) in coming) == (True, False)
    assert re.search(r"<strong>2</strong> jobs", text)
    assert coming.count('name="ids"') == 2
    assert "Coming up: " in rows
    pending = (await client.get("/jobs?type=cron_task&status=pending")).text
    assert str(waits.id) in pending.partition('id="selection"')[2]
    forms = Forms(client)
    await forms.send(sure=sure_of(await forms.send(do="kill", all="1")))
    assert await processor.count_jobs(status="killed") == 1
    assert (await processor.get_job(waits.id)).status is JobStatus.PENDING  # type: ignore[union-attr]


async def test_errors_are_grouped_by_their_first_line(
    client: httpx.AsyncClient, processor: JobProcessor
) -> None:
    """Whatever numbers stand in it; each group leads to its jobs, and to the newest of them."""
    timeouts = [failed("echo", f"Timeout: psp after {n} ms\nTraceback", n) for n in range(1, 4)]
    others = [failed("slow", "Timeout: psp after 7 ms", 4), failed("slow", "KeyError: 'a'", 5)]
    await store_of(processor).intake.insert([*timeouts, *others])  # type: ignore[list-item]
    text = (await client.get("/jobs?by=error")).text
    assert "<strong>2</strong> kinds of errors" in text
    links = re.findall(r'class="number"[^>]*><a href="(/jobs[^"]*)">(\d+)</a>', text)
    assert [count for _, count in links] == ["4", "1"]
    for link, count in links:
        found = (await client.get(link.replace("&amp;", "&"))).text
        assert found.count('name="ids"') == int(count)
    assert re.search(r">echo</a> <span class=\"dim\">3</span>", text)
    named = (await client.get("/jobs?by=error&name=slow")).text
    assert "<strong>2</strong> kinds of errors" in named


async def test_a_search_leads_to_what_is_meant(
    client: httpx.AsyncClient, processor: JobProcessor
) -> None:
    """An id, its end, a name or a part of it, a label, a field with its value, else an error."""
    job = await processor.schedule_job("echo", {"n": 1}, labels=["tenant:42"])
    await store_of(processor).intake.insert([simple("charge_card"), simple("charge_refund")])
    cases = {
        str(job.id): f"/jobs/{job.id}",
        str(job.id)[-6:]: f"/jobs?id_end={str(job.id)[-6:]}",
        "echo": "/jobs?name=echo",
        "refund": "/jobs?name=charge_refund",
        "tenant:42": "/jobs?label=tenant%3A42",
        "n=1": "/jobs?payload=n%3D1",
        "no such file": "/jobs?error=no+such+file",
        str(ObjectId()): None,
    }
    for text, place in cases.items():
        answer = await client.get("/jobs", params={"q": text}, follow_redirects=False)
        assert answer.status_code == 302
        assert place is None or answer.headers["location"] == place
    kept = await client.get("/jobs?q=echo&status=pending", follow_redirects=False)
    assert kept.headers["location"] == "/jobs?status=pending&name=echo"
    several = (await client.get("/jobs?q=charge")).text
    assert "/jobs?name=charge_card" in several
    assert "/jobs?name=charge_refund" in several
    assert (await client.get(f"/jobs?id_end={str(job.id)[-6:]}")).text.count('name="ids"') == 1
    hint = (await client.get("/jobs?name=charge")).text
    assert "Names like this" in hint
    assert (await client.get("/api/names?like=CARD")).json() == {
        "names": ["charge_card"],
        "more": False,
    }
    for odd in ("../evil", "//evil.example", "x\r\nSet-Cookie: a", "é" * 200, "%00x"):
        answer = await client.get("/jobs", params={"q": odd}, follow_redirects=False)
        assert answer.status_code == 302
        assert answer.headers["location"].startswith("/jobs?error=")


async def test_columns_are_chosen_and_kept(
    client: httpx.AsyncClient, processor: JobProcessor
) -> None:
    """Without script, by a form; those of the usual ones come back; a job is always led to."""
    job = await processor.schedule_job("echo", {"order": 7}, priority=3, labels=["red"])
    forms = Forms(client)
    usual = (await client.get("/jobs")).text
    assert "order=7" in usual
    assert 'label=red">red' in usual
    await forms.send("/columns", column="priority")
    text = (await client.get("/jobs")).text
    assert "order=7" not in text
    assert '<td class="number" data-label="priority">3</td>' in text
    assert f'href="/jobs/{job.id}">echo</a>' in text
    await forms.send("/columns")
    assert "data-label" not in (await client.get("/jobs")).text
    await forms.send("/columns", usual="1")
    assert "order=7" in (await client.get("/jobs")).text
    forged = await client.post("/columns", data={"column": "id"})
    assert forged.status_code == 403


async def test_a_page_is_few_statements_and_bytes(
    client: httpx.AsyncClient, processor: JobProcessor
) -> None:
    """At most twelve, under 60 KB, whatever its fifty jobs hold and however many there are."""
    payload = {f'"{n}"' * 9: LONG for n in range(6)}
    jobs = [
        settled(
            f"a_job_of_some_name_{n % 70}",
            payload=payload,
            worker_id=WORKER,
            labels=tuple(f"label:{m}" for m in range(16)),
            status=JobStatus.ERRORED,
            started_at=NOW,
            output=Output("5ms", error=f'{"<&>" * 9}{n}: "{LONG}"'),
        )
        for n in range(140)
    ]
    crons = [occurrence(f"cron_{n}", at=NOW + n * SECOND) for n in range(60)]
    await store_of(processor).intake.insert([*jobs, *crons])
    statements = await traced(processor)
    paths = (
        "/jobs",
        "/jobs?status=errored",
        "/jobs?by=error",
        "/jobs?label=label:3",
        "/jobs?q=a_job",
    )
    for path in paths:
        await client.get(path)  # the names of columns, once
        if statements is not None:
            statements.made.clear()
        answer = await client.get(path)
        assert answer.status_code == 200
        assert len(answer.content) < 60_000, path
        assert statements is None or len(asked(statements)) <= 12, (path, statements.made)
