"""Crons across the death of schedulers and a rolling deploy: none lost, none doubled."""

from __future__ import annotations

import asyncio
import itertools
import signal
from datetime import UTC, datetime

import pytest

from job_processor import JobStatus
from tests.acceptance.workers import Site, WorkerProcess
from tests.processors import WAIT

pytestmark = pytest.mark.timeout(300)

EACH_SECOND = {"tick": "* * * * * *"}

OLD = {"tick": "* * * * * *", "removed": "*/2 * * * * *", "changed": "*/3 * * * * *"}
NEW = {"tick": "* * * * * *", "added": "*/2 * * * * *", "changed": "1-59/2 * * * * *"}


async def until_ticked(
    site: Site, count: int, name: str = "tick", timeout: float = 2 * WAIT
) -> None:
    """Return once a cron has run so many times more."""
    wanted = len(planned(site, name)) + count
    async with asyncio.timeout(timeout):
        while len(planned(site, name)) < wanted:  # noqa: ASYNC110  # other processes write the file
            await asyncio.sleep(0.02)


def planned(site: Site, name: str) -> list[float]:
    """Return the planned times of a cron's runs, in order of time."""
    return sorted(line["planned"] for line in site.lines("start") if line["name"] == name)


def assert_gapless(times: list[float], step: float = 1.0) -> None:
    """Each occurrence ran exactly once, from the first to the last."""
    gaps = {behind - before for before, behind in itertools.pairwise(times)}
    assert gaps == {step}, times


POINTS = [("intake.insert", 3), ("crons.update", 2), ("queue.claim", 20)]
"""Verbs of the store, and which call of each is the last."""


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("verb", "call"), POINTS)
async def test_a_scheduler_that_is_killed_at_any_point_loses_no_occurrence(
    site: Site, verb: str, call: int, when: str
) -> None:
    """SIGKILL before and after each write of a pass: the next worker goes on from there."""
    await kill_at(site, verb, call, when)


@pytest.mark.soak
@pytest.mark.mongo
@pytest.mark.parametrize("db_url", ["mongo"], indirect=True)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("verb", "call"), POINTS)
async def test_a_scheduler_that_is_killed_on_mongodb_loses_no_occurrence(
    site: Site, verb: str, call: int, when: str
) -> None:
    """The same on the other store."""
    await kill_at(site, verb, call, when)


async def kill_at(site: Site, verb: str, call: int, when: str) -> None:
    """Let a worker die before or after a write, and look at what the next one makes of it."""
    victim = site.start_worker(crons=EACH_SECOND, die=[verb, when, call])
    assert await victim.wait() == -signal.SIGKILL
    site.start_worker(crons=EACH_SECOND)
    await until_ticked(site, 3)
    tasks = (await site.processor.find_jobs(type="cron_task", limit=1000)).jobs
    begun = [task for task in tasks if task.scheduled_for <= datetime.now(UTC)]
    # The run that died with its worker ends errored: it is no occurrence that was lost.
    assert_gapless(sorted(task.scheduled_for.timestamp() for task in await site.settled(begun)))
    ran = planned(site, "tick")
    assert len(ran) == len(set(ran))


@pytest.mark.parametrize("seconds", [2, pytest.param(20, marks=pytest.mark.soak)])
async def test_two_versions_roll_over(site: Site, seconds: int) -> None:
    """Crons changed, added and removed between two versions that run at the same time."""
    names = ["plain", "resumable"]
    old = [site.start_worker(crons=OLD, names=names) for _ in range(2)]
    await until_ticked(site, seconds)
    new = [site.start_worker(crons=NEW)]
    # Jobs that only the new version knows, from the moment that it runs beside the old one.
    jobs = await site.processor.schedule_jobs(("retried", {}) for _ in range(10))
    await until_ticked(site, seconds)
    await stop(old[0])
    new.append(site.start_worker(crons=NEW))
    await until_ticked(site, seconds)
    await stop(old[1])
    rolled = max(line["at"] for line in site.lines())
    await until_ticked(site, 2, "added")
    await until_ticked(site, 2)
    assert {job.status for job in await site.settled(jobs)} == {JobStatus.FINISHED}
    for worker in new:
        await stop(worker)

    assert_gapless(planned(site, "tick"))
    assert_gapless(planned(site, "added"), step=2)
    changed = planned(site, "changed")
    assert len(changed) == len(set(changed))
    assert all(time % 3 == 0 or time % 2 == 1 for time in changed)
    assert all(time % 2 == 1 for time in changed if time > rolled + 3)
    assert all(time <= rolled + 2 for time in planned(site, "removed"))
    tasks = (await site.processor.find_jobs(type="cron_task", limit=1000)).jobs
    assert {task.status for task in tasks} <= {JobStatus.FINISHED, JobStatus.PENDING}
    waiting = [task.name for task in tasks if task.status is JobStatus.PENDING]
    assert set(waiting) <= {*NEW, "removed"}  # which goes an hour later
    assert len(waiting) == len(set(waiting))


async def stop(worker: WorkerProcess) -> None:
    """Stop a worker gracefully."""
    worker.send(signal.SIGTERM)
    assert await worker.wait() == 0, worker.log
