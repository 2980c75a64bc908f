"""Limits and their order while workers die all the time, judged by what the handlers wrote down."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import pytest

from job_processor.models import SimpleJob
from tests.acceptance.workers import Site, Span

KEYS = 50


@pytest.mark.timeout(600)
@pytest.mark.parametrize("deaths", [3, pytest.param(60, marks=pytest.mark.soak)])
async def test_limits_hold_while_workers_are_killed(site: Site, deaths: int) -> None:
    """Never more inside than the limit, in order where that is promised, and no lane stands."""
    per_death = 30
    limited = await site.processor.schedule_jobs(
        [("limited", {"key": n % KEYS, "seconds": 0.05}) for n in range(per_death * deaths)]
    )
    in_order = await site.processor.schedule_jobs(
        [("in_order", {"key": n % KEYS, "seconds": 0.05}) for n in range(per_death * deaths)]
    )
    for _ in range(3):
        site.start_worker()
    await site.until_workers(3)
    for _ in range(deaths):
        await asyncio.sleep(1.0)  # the rhythm of the deaths, not a condition
        site.start_worker()
        next(each for each in site.workers if each.ended_at is None).kill()
    await site.settled([*limited, *in_order], timeout=300)
    deadlines = {each.pid: each.ended_at for each in site.workers if each.ended_at is not None}
    assert_at_most(2, site, limited, deadlines)
    assert_at_most(1, site, in_order, deadlines)
    assert_in_order(site, in_order)


def by_key(jobs: list[SimpleJob]) -> dict[int, list[SimpleJob]]:
    """Return the jobs of each key, in the order in which they were scheduled."""
    keys: dict[int, list[SimpleJob]] = defaultdict(list)
    for job in jobs:
        keys[(job.payload or {})["key"]].append(job)
    return keys


def assert_at_most(limit: int, site: Site, jobs: list[SimpleJob], deaths: dict[int, float]) -> None:
    """At no moment more runs of a key than its limit; a run ends with its process."""
    spans = site.spans()

    def end(span: Span) -> float:
        return span.end if span.end is not None else deaths[span.pid]

    for of_key in by_key(jobs).values():
        runs = [span for job in of_key for span in spans[str(job.id)]]
        for run in runs:
            together = [each for each in runs if each.start <= run.start < end(each)]
            assert len(together) <= limit, together


def assert_in_order(site: Site, jobs: list[SimpleJob]) -> None:
    """Each job of a key began first after the ones before it, and those had all begun."""
    spans = site.spans()
    for of_key in by_key(jobs).values():
        began = [spans[str(job.id)][0].start for job in of_key if str(job.id) in spans]
        assert began == sorted(began)
