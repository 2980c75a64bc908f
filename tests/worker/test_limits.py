"""Limits as a user meets them: workers on one database, jobs of names, groups and keys."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from job_processor import CronDef, JobDef, JobProcessor, JobStatus, Limit, Retry
from job_processor.models import SimpleJob
from job_processor.parts import parts_of
from tests.processors import WAIT, Processors, eventually


class Inside:
    """Counts what is inside of a handler at the same time, by key."""

    def __init__(self) -> None:
        self.now: Counter[Any] = Counter()
        self.most: Counter[Any] = Counter()
        self.order: defaultdict[Any, list[Any]] = defaultdict(list)

    async def visit(self, key: Any, number: Any = None) -> None:
        """Be inside for a moment."""
        self.now[key] += 1
        self.most[key] = max(self.most[key], self.now[key])
        self.order[key].append(number)
        for _ in range(3):
            await asyncio.sleep(0)
        self.now[key] -= 1


def _job(handler: Any, limit: Any, **options: Any) -> JobDef:
    return JobDef(handler, limit=limit, **options)


async def ended(processor: JobProcessor, jobs: Sequence[SimpleJob]) -> None:
    """Wait until all of these have finished."""
    async with asyncio.timeout(WAIT):
        for job in jobs:
            assert (await processor.wait_for_job(job.id)).status is JobStatus.FINISHED


@pytest.mark.parametrize(
    ("limit", "most"),
    [
        (2, {"both": 2}),
        (Limit(1, key="tenant"), {"a": 1, "b": 1}),
        (Limit(3, group="stripe", key=lambda payload: payload["tenant"]), {"a": 3, "b": 3}),
    ],
)
async def test_no_more_run_at_a_time_than_the_limit(
    processors: Processors, limit: Any, most: dict[str, int]
) -> None:
    """Of a name, or of each key, as many run as its limit says, over all workers together."""
    inside = Inside()

    async def sync(payload: Any) -> None:
        await inside.visit(payload["tenant"] if len(most) > 1 else "both")

    workers = [
        (await processors.start(jobs={"sync": _job(sync, limit)}, concurrency=8))[0]
        for _ in range(2)
    ]
    jobs = await workers[0].schedule_jobs(
        [("sync", {"tenant": tenant}) for _ in range(8) for tenant in "ab"]
    )
    await ended(workers[1], jobs)
    assert all(inside.most[key] <= most[key] for key in inside.most)
    assert inside.most.keys() == most.keys()


async def test_an_ordered_key_starts_in_order(processors: Processors) -> None:
    """Jobs of one key start one after the other in the order in which they were scheduled."""
    inside = Inside()
    failed: set[int] = set()

    async def post(payload: Any) -> None:
        number = payload["number"]
        await inside.visit(payload["account"], number)
        if number % 7 == 3 and number not in failed:
            failed.add(number)
            raise ValueError("once")

    definition = _job(
        post, Limit(1, key="account", ordered=True), retry=Retry(max_attempts=2, delay=0.01)
    )
    workers = [
        (await processors.start(jobs={"post": definition}, concurrency=6))[0] for _ in range(2)
    ]
    jobs = await workers[0].schedule_jobs(
        [("post", {"account": n % 5, "number": n // 5}) for n in range(50)]
    )
    await ended(workers[0], jobs)
    assert set(inside.most.values()) == {1}
    for numbers in inside.order.values():
        once = list(dict.fromkeys(numbers))
        assert once == sorted(once)
        again = [n for i, n in enumerate(numbers) if i and numbers[i - 1] == n]
        assert again == [n for n in once if n in failed and numbers.count(n) == 2]


async def test_a_worker_has_a_limit_of_its_own(processors: Processors) -> None:
    """`per="worker"` limits what one process runs, and stores nothing in the job."""
    inside = Inside()

    async def render(payload: Any) -> None:
        await inside.visit("here")

    processor, _ = await processors.start(
        jobs={"render": _job(render, Limit(2, per="worker"))}, concurrency=10
    )
    jobs = await processor.schedule_jobs([("render", {"n": n}) for n in range(30)])
    assert {job.lane for job in jobs} == {None}
    await ended(processor, jobs)
    assert inside.most["here"] <= 2


async def test_jobs_that_know_no_limit_are_put_into_their_lane(processors: Processors) -> None:
    """What a process scheduled that does not define the limit waits for a slot all the same."""
    inside = Inside()

    async def sync(payload: Any) -> None:
        await inside.visit(payload["tenant"])

    producer = await processors.make(jobs={"sync": JobDef(None)})
    jobs = await producer.schedule_jobs([("sync", {"tenant": "a"}) for _ in range(20)])
    worker, _ = await processors.start(
        jobs={"sync": _job(sync, Limit(1, key="tenant"))}, concurrency=8
    )
    await ended(worker, jobs)
    assert inside.most == {"a": 1}
    assert {job.lane for job in (await worker.find_jobs(lane="sync:a", limit=50)).jobs} == {
        "sync:a"
    }


async def test_a_job_says_what_it_waits_for(processors: Processors) -> None:
    """A job that waits for a slot says so, is found by its lane, and is not due work."""
    release = asyncio.Event()

    async def sync(payload: Any) -> None:
        await release.wait()

    processor, _ = await processors.start(
        jobs={"sync": _job(sync, Limit(1, key="tenant"))}, concurrency=4
    )
    first = await processor.schedule_job("sync", {"tenant": "a"})

    async def runs() -> bool:
        found = await processor.get_job(first.id)
        return found is not None and found.status is JobStatus.RUNNING

    await eventually(runs)
    second = await processor.schedule_job("sync", {}, limit_key="a")

    async def parked() -> Any:
        found = await processor.get_job(second.id)
        return found if found is not None and found.waits_for else None

    found = await eventually(parked)
    assert found.waits_for == "a slot of sync:a"
    assert found.scheduled_for == second.scheduled_for
    assert {job.id for job in (await processor.find_jobs(lane="sync:a")).jobs} == {
        first.id,
        second.id,
    }
    release.set()
    await ended(processor, [first, second])


async def test_a_key_that_is_none_means_no_limit(processors: Processors) -> None:
    """A job without a key of its limit is a job like any other."""

    async def sync(payload: Any) -> None:
        pass

    processor, _ = await processors.start(jobs={"sync": _job(sync, Limit(1, key="tenant"))})
    job = await processor.schedule_job("sync", {"tenant": None})
    assert job.lane is None
    await ended(processor, [job])


async def test_crons_take_part(processors: Processors) -> None:
    """Occurrences of a cron wait for a slot of its limit as jobs do."""
    inside = Inside()
    seen = asyncio.Event()

    async def tick() -> None:
        await inside.visit("ticks")
        if len(inside.order["ticks"]) == 3:
            seen.set()

    await processors.start(crons={"tick": CronDef("* * * * * *", tick, limit=1)})
    async with asyncio.timeout(WAIT):
        await seen.wait()
    assert inside.most["ticks"] == 1


async def test_the_sweep_gives_what_a_dead_process_owed(processors: Processors) -> None:
    """A slot that was freed and not handed over is given at the next sweep."""

    async def sync(payload: Any) -> None:
        pass

    limited = {"sync": _job(sync, Limit(1, key="tenant"))}
    processor = await processors.make(jobs=limited)
    job = await processor.schedule_job("sync", {"tenant": "a"})
    store = parts_of(processor).store
    assert await store.lanes.park([job.id], "slot", job.created_at) == 1
    await processors.worker(processor)
    await ended(processor, [job])


async def test_what_expires_while_it_is_parked_ends(processors: Processors) -> None:
    """A job whose time is over ends as skipped at a sweep, though its turn has not come."""
    release = asyncio.Event()

    async def sync(payload: Any) -> None:
        await release.wait()

    processor, _ = await processors.start(
        jobs={"sync": _job(sync, Limit(1, key="tenant"))}, concurrency=4
    )
    first = await processor.schedule_job("sync", {"tenant": "a"})
    second = await processor.schedule_job(
        "sync", {"tenant": "a"}, expires_at=timedelta(seconds=0.3)
    )
    async with asyncio.timeout(WAIT):
        ended_one = await processor.wait_for_job(second.id)
    assert ended_one.status is JobStatus.SKIPPED
    assert ended_one.output is not None
    assert ended_one.output.error == "expired before a worker was free"
    found = await processor.get_job(first.id)
    assert found is not None
    assert found.status is not JobStatus.FINISHED
    release.set()
    await ended(processor, [first])


async def test_a_limit_that_was_taken_away_holds_nothing_back(processors: Processors) -> None:
    """Jobs of a name that has no limit any more run without one."""
    ran = asyncio.Event()

    async def sync(payload: Any) -> None:
        ran.set()

    before = await processors.make(jobs={"sync": _job(sync, Limit(1, key="tenant"))})
    job = await before.schedule_job("sync", {"tenant": "a"})
    assert job.lane == "sync:a"
    await processors.start(jobs={"sync": _job(sync, None)})
    await ended(before, [job])
    assert ran.is_set()
