"""The Node package starts on a database with jobs of limits: all of them run, and it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from job_processor import (
    CronDef,
    JobDef,
    JobProcessor,
    JobStatus,
    Limit,
    SharedDatabaseError,
    SimpleJob,
)
from job_processor.parts import parts_of
from tests.acceptance.node.both import Both
from tests.processors import QUICK, eventually

pytestmark = [pytest.mark.mongo, pytest.mark.timeout(400)]

NODE = {"echo": {"does": "echo"}}
LIMITS: dict[str, Any] = {
    "keyless": 1,
    "keyed": Limit(1, key="tenant"),
    "grouped": Limit(1, group="all", key="tenant"),
    "ordered": Limit(1, key="tenant", ordered=True),
    "stopping": Limit(1, key="tenant", ordered=True, on_failure="stop"),
}


class Gate:
    """Handlers that wait at a gate until it opens."""

    def __init__(self) -> None:
        self.inside: list[str] = []
        self.open = asyncio.Event()

    async def run(self, job: SimpleJob) -> None:
        """Wait, but for the first of those that are to fail."""
        self.inside.append(job.name)
        if (job.payload or {}).get("fails"):
            raise ValueError("it was to")
        await self.open.wait()

    def definitions(self, limits: dict[str, Any]) -> dict[str, JobDef]:
        """Return a job for each of these limits."""
        return {name: JobDef(self.run, limit=limit) for name, limit in limits.items()}


async def fill(processor: JobProcessor, gate: Gate) -> list[SimpleJob]:
    """Let one job of each limit run and four wait behind it, one of which is due later."""
    first = [(name, {"tenant": "a", "fails": name == "stopping"}) for name in LIMITS]
    jobs = await processor.schedule_jobs(first)

    async def inside() -> bool:
        return sorted(gate.inside) == sorted(LIMITS)

    await eventually(inside, "one of each limit")
    behind = [(name, {"tenant": "a"}) for name in LIMITS for _ in range(3)]
    jobs += await processor.schedule_jobs(behind)

    async def parked() -> bool:
        return len(await waiting_for_a_slot(processor, jobs)) == 3 * (len(LIMITS) - 1)

    await eventually(parked, "all with a key are parked")
    return jobs


async def waiting_for_a_slot(processor: JobProcessor, jobs: Sequence[SimpleJob]) -> list[str]:
    """Return the names of those that are parked."""
    found = [await processor.get_job(job.id) for job in jobs]
    return [job.name for job in found if job is not None and job.waits_for is not None]


async def all_ended(processor: JobProcessor, jobs: Sequence[SimpleJob]) -> None:
    """Wait until all have ended."""

    async def settled() -> bool:
        found = [await processor.get_job(job.id) for job in jobs]
        return all(job is not None and job.settled for job in found)

    await eventually(settled, "the end of all")


def findings(found: Sequence[Any]) -> dict[str, str]:
    """Return what a check says, by its subject."""
    return {each.subject: each.text for each in found}


async def test_nothing_stands_where_node_comes_later(
    both: Both, caplog: pytest.LogCaptureFixture
) -> None:
    """In line, parked, running, stopped: all jobs of limits run beside Node, and a warning says so.

    What is scheduled from then on is refused with the sentence that says how to go on.
    """
    gate = Gate()
    definitions = gate.definitions(LIMITS)
    processor = await both.python(jobs=definitions, concurrency=20)
    jobs = await fill(processor, gate)
    await both.node(jobs=NODE)
    gate.open.set()
    await all_ended(processor, jobs)
    assert await processor.count_jobs(50, status=JobStatus.FINISHED) == len(jobs) - 1
    assert "have left their lanes, and run without a limit" in caplog.text
    with pytest.raises(SharedDatabaseError, match=r"limit needs a field .* database .* of its own"):
        await processor.schedule_job("keyed", {"tenant": "a"})
    assert (
        not await both.collection("jobs").find({"lane": {"$ne": None}, "ended_at": None}).to_list()
    )


async def test_a_check_says_what_becomes_of_limits_beside_node(both: Both) -> None:
    """What waits in lanes is counted by `check`, and a definition with a limit is refused."""
    gate = Gate()
    processor = await both.python(work=False, jobs=gate.definitions(LIMITS))
    await processor.schedule_jobs([(name, {"tenant": "a"}) for name in LIMITS])
    await both.node(jobs=NODE)
    told = findings(await processor.check())
    assert f"jobs wait in {len(LIMITS)} lanes" in told["limits"]
    assert "run them without" in told["limits"]
    assert "limit needs a field" in told["job 'keyed'"]


async def test_a_worker_without_the_limit_takes_the_jobs_over(both: Both) -> None:
    """Once the limits are out of the code, as the refusal asks for, a worker runs what waits."""
    gate = Gate()
    gate.open.set()
    before = await both.python(work=False, jobs=gate.definitions(LIMITS))
    jobs = await before.schedule_jobs([(name, {"tenant": "a"}) for name in LIMITS])
    await both.node(jobs=NODE)
    with pytest.raises(SharedDatabaseError, match="limit of 'keyless'"):
        async with JobProcessor(both.db_url, jobs=gate.definitions(LIMITS), **QUICK):
            pass
    await both.python(jobs=gate.definitions(dict.fromkeys(LIMITS)))
    await all_ended(before, jobs)


async def test_a_limited_cron_goes_on_beside_node(both: Both) -> None:
    """Occurrences of a cron with a limit run on, without it, once Node has come."""
    ran: asyncio.Queue[None] = asyncio.Queue()

    async def tick() -> None:
        ran.put_nowait(None)

    cron = CronDef("* * * * * *", tick, limit=1, timezone="Europe/Paris")
    await both.python(crons={"tick": cron})
    await ran.get()
    await both.node(jobs=NODE)
    while not ran.empty():
        ran.get_nowait()
    for _ in range(3):
        await ran.get()


async def test_a_worker_of_node_leaves_jobs_of_limits_alone(both: Both) -> None:
    """Though it knows their name, it claims neither what is in line nor what is parked."""
    gate = Gate()
    ours = await both.python(work=False, jobs={**gate.definitions(LIMITS), "echo": JobDef(None)})
    jobs = await ours.schedule_jobs([("keyed", {"tenant": n % 2}) for n in range(4)])
    assert await parts_of(ours).store.lanes.park([jobs[-1].id], "slot", jobs[-1].created_at) == 1
    later = await ours.schedule_job("echo", {})
    await both.node(jobs={"keyed": {"does": "nothing"}, **NODE})
    await both.ended(later.id)
    assert both.lines("start", "keyed") == []
    gate.open.set()
    await both.python(jobs=gate.definitions({"keyed": None}))
    await all_ended(ours, jobs)
