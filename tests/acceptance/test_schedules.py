"""Schedules across the death of workers, and many workers at once: no moment lost, none doubled."""

from __future__ import annotations

import asyncio
import itertools
import signal
from datetime import UTC, datetime

import pytest

from job_processor import Job
from tests.acceptance.workers import Site
from tests.processors import WAIT

pytestmark = pytest.mark.timeout(300)

POINTS = [("intake.insert", 2), ("schedules.advance", 2), ("schedules.due", 3), ("queue.claim", 9)]
"""Verbs of the store, and which call of each is the last."""


async def until_made(site: Site, count: int, name: str = "each") -> None:
    """Return once a schedule has made so many jobs."""
    async with asyncio.timeout(2 * WAIT):
        while True:
            schedule = await site.processor.get_schedule(name)
            if schedule is not None and schedule.made >= count:
                return
            await asyncio.sleep(0.05)  # another process makes them


async def made(site: Site) -> list[Job]:
    """Return the jobs that were made, the earliest first."""
    jobs = list((await site.processor.find_jobs(name="plain", limit=1000)).jobs)
    return sorted(jobs, key=lambda job: job.scheduled_for)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("verb", "call"), POINTS)
@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
async def test_a_worker_that_is_killed_at_any_point_loses_no_moment(
    site: Site, verb: str, call: int, when: str
) -> None:
    """SIGKILL before and after each write: the next worker goes on from there."""
    await kill_at(site, verb, call, when)


@pytest.mark.soak
@pytest.mark.mongo
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("verb", "call"), POINTS)
@pytest.mark.parametrize("db_url", ["mongo"], indirect=True)
async def test_a_worker_that_is_killed_on_mongodb_loses_no_moment(
    site: Site, verb: str, call: int, when: str
) -> None:
    """The same on the other store."""
    await kill_at(site, verb, call, when)


async def kill_at(site: Site, verb: str, call: int, when: str) -> None:
    """Let a worker die before or after a write, and look at what the next one makes of it."""
    start = datetime.now(UTC)
    await site.processor.put_schedule("each", every=1, job="plain", misfire="all", start=start)
    victim = site.start_worker(die=[verb, when, call])
    assert await victim.wait() == -signal.SIGKILL
    before = await site.processor.get_schedule("each")
    assert before is not None
    site.start_worker()
    await until_made(site, before.made + 4)
    times = [job.scheduled_for.timestamp() for job in await made(site)]
    gaps = {behind - ahead for ahead, behind in itertools.pairwise(times)}
    assert gaps == {1.0}, times
    assert len(times) - before.made >= 4


async def test_three_workers_make_each_moment_once(site: Site) -> None:
    """Of many schedules that are due at once, each makes as many jobs as its limit says."""
    start = datetime.now(UTC)
    names = [f"each:{number}" for number in range(20)]
    for _ in range(3):
        site.start_worker()
    for name in names:
        await site.processor.put_schedule(
            name, every=1, job="plain", misfire="all", start=start, limit=5, payload={"name": name}
        )
    for name in names:
        await until_made(site, 5, name)
    jobs = await made(site)
    assert len(jobs) == len({job.id for job in jobs}) == 5 * len(names)
    for name in names:
        schedule = await site.processor.get_schedule(name)
        assert schedule is not None
        assert (schedule.made, schedule.next) == (5, None)
    await site.settled(jobs)
