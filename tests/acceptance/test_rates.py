"""A rate holds while workers are killed, and none of its starts is waited for in vain."""

from __future__ import annotations

import itertools
from bisect import bisect_right

import pytest

from job_processor import JobRequest
from tests.acceptance.app import RATE
from tests.acceptance.workers import Site

LATE = 0.25
"""Seconds by which a handler may begin after its start was reserved."""

WORKERS = 2


@pytest.mark.parametrize("name", ["rated", "keyed"])
async def test_a_rate_while_workers_are_killed(site: Site, name: str) -> None:
    """SIGKILL again and again: no second has too many starts, and all jobs are run in the end."""
    key = "a" if name == "keyed" else None
    jobs = await site.processor.schedule_jobs([JobRequest(name, rate_key=key)] * 60)
    for _ in range(WORKERS):
        site.start_worker()
    for round in itertools.count(1):
        started = len(await site.until_started(12 * round))
        if started >= len(jobs):
            break
        next(worker for worker in site.workers if worker.ended_at is None).kill()
        site.start_worker()
    await site.settled(jobs)
    starts = [line["at"] for line in site.lines("start")]
    within = RATE.seconds - LATE
    most = max(bisect_right(starts, start + within) - n for n, start in enumerate(starts))
    # On a busy machine each may hold what it has reserved for longer, and begins all of it then.
    held = WORKERS * RATE.at_once
    assert most <= RATE.amount + RATE.at_once + held
    await site.assert_nothing_runs(jobs)
