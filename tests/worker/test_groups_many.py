"""Ten thousand members, and one job that follows them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from job_processor import JobDef, JobProcessor
from tests.definitions import nothing
from tests.insides import store_of
from tests.processors import QUICK

MEMBERS = 10_000


def count_calls(desk: Any, counts: Counter[str], *names: str) -> None:
    """Count the calls of functions of a desk."""
    for name in names:
        call = getattr(desk, name)

        async def counted(*arguments: Any, name: str = name, call: Any = call) -> Any:
            counts[name] += 1
            return await call(*arguments)

        setattr(desk, name, counted)


@pytest.mark.slow
async def test_ten_thousand_are_followed_once(sqlite_db_url: str) -> None:
    """By one question a batch of settlements at most, one write of the end and one insert."""
    counts: Counter[str] = Counter()
    jobs = {"part": JobDef(nothing), "zip": JobDef(nothing)}
    settings = {**QUICK, "concurrency": 100}
    async with JobProcessor(sqlite_db_url, jobs=jobs, **settings) as processor:
        payloads: list[dict[str, Any]] = [{}] * MEMBERS
        group = await processor.schedule_group("part", payloads, then="zip")
        store = store_of(processor)
        count_calls(store.groups, counts, "_open_of", "_complete", "note_served")
        count_calls(store.groups.intake, counts, "_insert")
        count_calls(store.runs, counts, "_settle")
        await processor.run_worker(burst=True)
        assert (await group.counts()).total == MEMBERS
        assert await processor.count_jobs(name="zip", status="finished") == 1
    assert counts["_open_of"] <= counts["_settle"] < MEMBERS / 2
    assert (counts["_complete"], counts["_insert"], counts["note_served"]) == (1, 1, 1)
