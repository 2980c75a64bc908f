"""The overview: the line of health, counts, charts that lead to what they have counted."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape

import httpx2 as httpx
from bson import ObjectId

from job_processor import JobProcessor
from job_processor.models import JobStatus
from job_processor.store.losses import KIND, Loss
from job_processor.store.name_rollups import NameRollup
from job_processor.store.rollups import HOUR, MINUTE, TEN_MINUTES, Rollup, start_of
from job_processor.web.charts import HEIGHT, chart
from tests.insides import store_of
from tests.samples import simple

NOON = datetime(2026, 3, 2, 12, 30, 15, tzinfo=UTC)


async def test_the_overview(client: httpx.AsyncClient, processor: JobProcessor) -> None:
    """Health, causes apart from each other, counts with zeros dimmed, charts, percentiles."""
    await processor.schedule_jobs([("echo", {"n": n}) for n in range(3)] + [("fail",)] * 2)
    await processor.run_worker(burst=True)
    await processor.pause(tag="light")
    text = (await client.get("/")).text
    assert "0 workers alive" in text
    assert "no job waits" in text
    assert re.search(r'class="finished"><a [^>]*status=finished"><strong>3</strong>', text)
    assert re.search(r'class="errored"><a [^>]*status=errored"><strong>2</strong>', text)
    assert 'class="killed zero"' in text
    for part in ("No worker is alive.", "#light", "nightly"):
        assert part in text
    attention = text.partition("Needs attention")[2].partition("</section>")[0]
    assert "2 failed in the last hour" in attention
    assert "2 failed attempts retried in the last hour" in attention
    assert 'aria-label="The last hour: 3 finished, 2 failed, 2 retried"' in text
    assert re.search(r"Run time|run time", text)
    assert re.search(r'<td class="number">\d+ ms</td>', text)


async def test_what_failed_leads_to_what_was_counted(
    client: httpx.AsyncClient, processor: JobProcessor
) -> None:
    """The jobs of that name that failed for good within the hour, and no others."""
    await processor.schedule_jobs([("fail",)] * 2)
    await processor.run_worker(burst=True)
    long_ago = datetime.now(UTC) - timedelta(hours=5)
    old = simple(name="fail", status=JobStatus.ERRORED, ended_at=long_ago)
    await store_of(processor).intake.insert([old])
    text = (await client.get("/")).text
    links = re.findall(r'href="(/jobs\?[^"]+)">(\d+) failed in the last hour', text)
    assert [count for _, count in links] == ["2", "2"]  # of all, and of the name
    for link, count in links:
        page = (await client.get(unescape(link))).text
        assert f"<strong>{count}</strong> jobs" in page
        assert str(old.id) not in page


async def test_a_bar_leads_to_the_jobs_that_ended_then(
    client: httpx.AsyncClient, processor: JobProcessor
) -> None:
    """As many as it counts."""
    await processor.schedule_jobs([("echo", {"n": n}) for n in range(3)])
    await processor.run_worker(burst=True)
    text = (await client.get("/")).text
    bars = re.findall(r'<a href="([^"]+)"><rect class="hit".*?UTC: (\d+) finished', text)
    assert bars
    for link, count in bars:
        page = (await client.get(unescape(link))).text
        assert f"<strong>{count}</strong> jobs" in page


async def test_the_oldest_waiting_job(client: httpx.AsyncClient, processor: JobProcessor) -> None:
    """How long it has waited, with a link to it; that is no good health."""
    due = datetime.now(UTC) - timedelta(minutes=7)
    job = await processor.schedule_job("echo", {}, scheduled_for=due)
    await processor.schedule_job("echo", {}, scheduled_for=due + timedelta(minutes=5))
    text = (await client.get("/")).text
    health = text.partition('class="health')[2].partition("</p>")[0]
    assert health.startswith(" card bad")
    assert re.search(rf'<a href="/jobs/{job.id}">7 min', health)


async def test_dead_workers_stay_for_an_hour(
    client: httpx.AsyncClient, processor: JobProcessor
) -> None:
    """With host, process, last heartbeat and how many of their jobs were rescued."""
    now = datetime.now(UTC)
    settings = store_of(processor).settings
    dead = Loss(ObjectId(), "db-7:3391", now, now - timedelta(minutes=59), 7)
    for each in (dead, replace(dead, worker="gone:1", at=now - timedelta(minutes=61))):
        await settings.put(KIND, each.worker, each.as_setting(), None)
    text = (await client.get("/")).text
    assert re.search(r"db-7:3391.*worker died.*7 of its jobs rescued", text, re.DOTALL)
    assert "gone:1" not in text


async def test_the_hour_before(client: httpx.AsyncClient, processor: JobProcessor) -> None:
    """Failures now stand beside those of the hour before; missed occurrences stay for a day."""
    now = datetime.now(UTC)
    minute = start_of(now, MINUTE)
    failed = [
        NameRollup("all", "", MINUTE, minute - timedelta(minutes=back), {"errored": count})
        for back, count in ((1, 1), (58, 2), (62, 4), (117, 8), (123, 16))
    ]
    hour = start_of(now, HOUR)
    missed = NameRollup("name", "nightly", HOUR, hour - timedelta(hours=20), {"missed": 2})
    await store_of(processor).rollups.add([], [*failed, missed])
    text = (await client.get("/")).text
    assert "3 failed in the last hour" in text
    assert "12 in the hour before" in text
    assert "2 missed occurrences in the last day" in text


def test_a_chart() -> None:
    """A bar for each span in which something happened, as high as its share of the highest."""
    start = start_of(NOON, MINUTE)
    rollups = [
        NameRollup("all", "", MINUTE, start, {"finished": 6, "errored": 1, "retried": 1}),
        NameRollup("all", "", MINUTE, start - timedelta(minutes=2), {"finished": 4}),
        NameRollup("all", "", MINUTE, start - timedelta(hours=2), {"finished": 100}),
    ]
    drawn = chart(rollups, MINUTE, timedelta(hours=1), NOON, {"name": "a b"})
    assert (drawn.highest, drawn.half) == (8, 4)
    assert (drawn.total.done, drawn.total.failed, drawn.total.retried) == (10, 1, 1)
    first, last = drawn.bars
    assert (first.counts.done, last.counts.all) == (4, 8)
    assert last.query == "name=a+b&ended_from=2026-03-02T12%3A30Z&ended_to=2026-03-02T12%3A31Z"
    assert [f"{moment:%H:%M}" for moment in drawn.ticks] == [
        *("11:31", "11:46", "12:01", "12:16", "12:31")
    ]
    assert f"v-{HEIGHT * 4 / 8}" in drawn.done
    assert drawn.failed.count("M") == drawn.retried.count("M") == 1
    assert chart([], MINUTE, timedelta(hours=1), NOON).bars == ()


def test_a_chart_of_totals() -> None:
    """Several of their spans may make one bar; what did not fail for good was retried."""
    start = start_of(NOON, 3 * TEN_MINUTES)
    rollups = [
        Rollup(TEN_MINUTES, start, {"finished": 1, "errored": 2}, {"a": 5}),
        Rollup(TEN_MINUTES, start - timedelta(minutes=10), {"finished": 7}),
        Rollup(TEN_MINUTES, start - timedelta(minutes=20), {"finished": 3}),
    ]
    drawn = chart(rollups, 3 * TEN_MINUTES, timedelta(days=1), NOON)
    counted = [(bar.counts.done, bar.counts.failed, bar.counts.retried) for bar in drawn.bars]
    assert counted == [(10, 0, 0), (1, 2, 3)]
