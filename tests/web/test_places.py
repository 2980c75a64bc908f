"""Schedules, flows, groups, lanes and labels: their pages lead to their jobs, and are bounded."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import httpx2 as httpx

from job_processor import JobDef, JobProcessor, Limit
from job_processor.store.schedules import planned_id
from job_processor.web import create_app
from tests.definitions import nothing
from tests.insides import store_of
from tests.processors import Processors
from tests.samples import NOW, settled, simple
from tests.web.conftest import client_of
from tests.web.costs import asked, traced

MINUTE = timedelta(minutes=1)


async def test_a_schedule_has_a_page_with_its_jobs(
    client: httpx.AsyncClient, processor: JobProcessor
) -> None:
    """Those of its last moments, found by their ids, and no others of the name; what is next."""
    start = (NOW - 10 * MINUTE).replace(microsecond=0)  # so its last moments were after it
    payload = {"user": 7, "password": "hunter-22"}
    await processor.put_schedule(
        "digest:42/ä", job="echo", every=MINUTE, start=start, payload=payload, labels=["red"]
    )
    schedule = await processor.get_schedule("digest:42/ä")
    assert schedule is not None
    assert schedule.next is not None
    last = schedule.next
    made = replace(
        schedule, last=last, last_job=planned_id(schedule.name, last), next=last + MINUTE, made=4
    )
    await store_of(processor).schedules.advance([(schedule, made)])
    mine = [settled("echo", id=planned_id(schedule.name, last - n * MINUTE)) for n in range(3)]
    other = settled("echo")
    await store_of(processor).intake.insert([*mine, other])
    listed = (await client.get("/schedules")).text
    link = re.search(r'href="(/schedule\?name=[^"]+)"', listed)
    assert link is not None
    page = (await client.get(link[1])).text
    for part in (*(str(job.id) for job in mine), "Every minute", "label=red", "one job for all"):
        assert part in page
    assert str(other.id) not in page
    assert "hunter" not in page
    assert page.count("<time") >= 5
    assert '"/schedules" aria-current="page"' in page
    assert (await client.get("/schedule?name=none")).status_code == 404
    paused = await processor.pause_schedule(schedule.name)
    assert paused.name in (await client.get(link[1])).text


async def test_their_pages_are_few_statements(processors: Processors) -> None:
    """At most twelve each, and under 60 KB, however many jobs they have."""
    jobs = {"load": JobDef(nothing, limit=Limit(2)), "zip": JobDef(nothing)}
    processor = await processors.make(jobs=jobs)
    flow = processor.flow("import")
    flow.add("zip", after=flow.add_many("load", [{"n": n} for n in range(60)]))
    await flow.start()
    group = await processor.schedule_group("load", [{"n": n} for n in range(60)], then="zip")
    await processor.put_schedule("nightly", job="zip", every=MINUTE)
    labelled = [simple("zip", labels=("red", f"n:{n}")) for n in range(60)]
    await store_of(processor).intake.insert(labelled)
    statements = await traced(processor)
    paths = [
        *("/flows", f"/flows/{flow.id}", "/groups", f"/groups/{group.id}"),
        *("/schedules", "/schedule?name=nightly", f"/jobs?flow={flow.id}"),
        *(f"/jobs?group={group.id}&status=pending", "/jobs?label=red&name=zip", "/jobs?lane=load"),
    ]
    async with client_of(create_app(processor)) as client:
        for path in paths:
            await client.get(path)
            if statements is not None:
                statements.made.clear()
            answer = await client.get(path)
            assert answer.status_code == 200, path
            assert len(answer.content) < 60_000, path
            assert statements is None or len(asked(statements)) <= 12, (path, statements.made)
