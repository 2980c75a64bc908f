"""The shop of the pictures: what its pages count is what it stores."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from job_processor import JobProcessor
from job_processor.store.rollups import DAY, HOUR
from tests.processors import Processors
from tests.web.shop import CRONS, JOBS, open_shop


@pytest.fixture
def db_url(sqlite_db_url: str) -> str:
    """On one store: what a shop is made of does not depend on it."""
    return sqlite_db_url


@pytest.fixture
async def processor(processors: Processors) -> JobProcessor:
    """A shop's."""
    return await processors.make(jobs=JOBS, crons=CRONS, concurrency=4)


async def stored(processor: JobProcessor, **selection: Any) -> list[Any]:
    """Return all jobs of a selection."""
    found: list[Any] = []
    page = await processor.find_jobs(limit=1000, **selection)
    while True:
        found += page.jobs
        if page.next is None:
            return found
        page = await processor.find_jobs(limit=1000, after=page.next, **selection)


async def test_what_is_counted_is_stored(processor: JobProcessor) -> None:
    """Of each name a day has as many ends, and as many retries, as its jobs tell."""
    now = datetime.now(UTC).replace(microsecond=0)
    await open_shop(processor, now)
    since = datetime.fromtimestamp(now.timestamp() // HOUR * HOUR, UTC) - timedelta(seconds=DAY)
    ended: Counter[tuple[str, str]] = Counter()
    for job in await stored(processor, ended_from=since):
        ended[job.name, job.status.value] += 1
    counted = {
        (each.name, status): each.counts[status]
        for each in await processor.get_rollup_totals(HOUR, since)
        for status in ("finished", "errored")
        if each.counts.get(status)
    }
    assert counted == ended
    assert sum(ended.values()) > 5_000
    retried: Counter[str] = Counter()
    for job in await stored(processor):
        retried[job.name] += sum(each.ended_at >= since for each in job.attempts)
    totals = await processor.get_rollup_totals(HOUR, since)
    assert {each.name: each.retried for each in totals if each.retried} == +retried
