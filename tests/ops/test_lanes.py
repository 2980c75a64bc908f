"""What `check` says of limits and lanes: why a job stands there, and what to do about it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from job_processor import Finding, JobDef, JobProcessor, JobStatus, Limit
from tests.definitions import nothing
from tests.processors import Processors, eventually


def of(findings: list[Finding], name: str) -> list[Finding]:
    """Return what was found of a limit."""
    return [each for each in findings if each.subject == f"limit {name!r}"]


async def fails() -> None:
    """Fail."""
    raise ValueError("no")


async def test_a_limit_that_stands_in_nobodys_way_is_not_told(processors: Processors) -> None:
    """Where nothing is parked and nothing was changed there is nothing to say."""
    boss = await processors.make(jobs={"sync": JobDef(nothing, limit=Limit(1, key="tenant"))})
    await boss.schedule_job("sync", {"tenant": "a"}, timedelta(hours=1))
    assert of(await boss.check(), "sync") == []


async def test_the_fullest_lane_is_told_with_the_command_that_shows_it(
    processors: Processors,
) -> None:
    """How many run of how many, how many wait, and how to see them."""
    out = asyncio.Event()
    jobs = {"sync": JobDef(out.wait, limit=Limit(1, key="tenant"))}
    boss, _ = await processors.start(jobs=jobs)
    await boss.schedule_jobs([("sync", {"tenant": "a b"})] * 3)

    async def full() -> list[Finding]:
        return of(await boss.check(), "sync")

    (found,) = await eventually(full)
    out.set()
    assert found.level == "ok"
    assert "'sync:a b', has 1 of 1 running and 2 that wait for a slot" in found.text
    assert found.text.endswith("job-processor limits show 'sync:a b'")


async def test_what_was_set_by_hand_is_told(processors: Processors) -> None:
    """A change that somebody forgot is a warning, with the command that ends it."""
    boss = await processors.make(jobs={"sync": JobDef(nothing, limit=5)})
    await boss.set_limit("sync", 1)
    (found,) = of(await boss.check(), "sync")
    assert (found.level, found.text) == ("warning", "it was set to 1 by hand, and the code says 5")
    assert found.advice.endswith("job-processor limits reset sync")


async def test_a_stopped_lane_is_told_with_who_stops_it(processors: Processors) -> None:
    """A lane that a failed job has stopped names it, and how to go on."""
    limit = Limit(1, key="account", ordered=True, on_failure="stop")
    boss: JobProcessor = await processors.make(jobs={"post": JobDef(fails, limit=limit)})
    jobs = await boss.schedule_jobs([("post", {"account": "x"})] * 3)
    await boss.run_worker(burst=True)
    failed = await boss.get_job(jobs[0].id)
    assert failed is not None
    assert failed.status is JobStatus.ERRORED
    (found,) = of(await boss.check(), "post")
    assert found.level == "warning"
    assert f"stopped by job {failed.id}, which failed: 2 wait behind it" in found.text
    assert found.advice == f"retry or delete that job: job-processor jobs retry {failed.id}"
