"""Limits and their order while workers die all the time, judged by what the handlers wrote down."""

from __future__ import annotations

from collections import defaultdict
from itertools import chain

import pytest

from job_processor.models import SimpleJob
from tests.acceptance.workers import Site, Span

A_KEY = 3
"""Jobs of each name and key that wait at any time: more than may run."""

A_DEATH = 10
"""Runs that end from one death to the next, at least."""


@pytest.mark.parametrize(
    ("deaths", "keys"),
    [
        pytest.param(3, 10, marks=pytest.mark.timeout(600)),
        pytest.param(60, 50, marks=[pytest.mark.soak, pytest.mark.timeout(3600)]),
    ],
)
async def test_limits_hold_while_workers_are_killed(site: Site, deaths: int, keys: int) -> None:
    """Never more inside than the limit, in order where that is promised, and no lane stands.

    Each death is that of a worker in the middle of a run, while as much waits as at first.
    """
    jobs: dict[str, list[SimpleJob]] = {"limited": [], "in_order": []}

    async def schedule() -> None:
        """Let as many wait of each name as at first."""
        for name, made in jobs.items():
            ended = sum(line["name"] == name for line in site.lines("end"))
            numbers = range(len(made), ended + A_KEY * keys)
            more = [(name, {"key": n % keys, "seconds": 0.3}) for n in numbers]
            made.extend(await site.processor.schedule_jobs(more))

    for _ in range(3):
        site.start_worker()
    await schedule()
    for death in range(deaths):
        (await site.until_inside(ended=A_DEATH * (death + 1))).kill()
        site.start_worker()
        await schedule()
    await site.settled_at_last(chain(*jobs.values()))
    ended_at = {each.pid: each.ended_at for each in site.workers if each.ended_at is not None}
    assert_at_most(2, site, jobs["limited"], ended_at)
    assert_at_most(1, site, jobs["in_order"], ended_at)
    assert_in_order(site, jobs["in_order"])


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
