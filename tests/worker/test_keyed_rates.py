"""Rates with a key: so many starts for each of its values, whoever runs them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from typing import Any

from job_processor import (
    JobDef,
    JobProcessor,
    JobRequest,
    JobStatus,
    Limit,
    Rate,
    RateLimited,
    Retry,
)
from job_processor.handlers.lanes import lane_name
from job_processor.models import SimpleJob
from job_processor.parts import parts_of
from job_processor.store.tokens import lane_id
from tests.clocks_of_lanes import turn_clock
from tests.insides import store_of
from tests.processors import WAIT, Processors, eventually

HOUR = 3600.0


class Starts:
    """A handler that notes when it starts, by key."""

    def __init__(self) -> None:
        self.of: defaultdict[Any, list[float]] = defaultdict(list)

    async def __call__(self, payload: dict[str, Any]) -> None:
        """Start."""
        self.of[payload["tenant"]].append(time.monotonic())

    def counts(self) -> dict[Any, int]:
        """How many there were."""
        return {key: len(moments) for key, moments in self.of.items()}

    async def reach(self, **counts: int) -> None:
        """Return once there were so many of each key, and no other."""

        async def reached() -> bool:
            return self.counts() == counts

        await eventually(reached, f"starts {counts}")


async def parked(processor: JobProcessor, count: int) -> None:
    """Return once so many jobs wait for a start."""

    async def wait() -> bool:
        jobs = (await processor.find_jobs(status="pending", limit=100)).jobs
        return sum(job.waits_for is not None for job in jobs) == count

    await eventually(wait)


async def an_hour_later(processor: JobProcessor, name: str, key: str) -> None:
    """Let an hour pass for a lane, and one more, whose start is lost: its jobs ask again."""
    store, lane = store_of(processor), lane_name(name, key)
    await turn_clock(store, lane_id(lane), 2 * HOUR + 1)
    now = parts_of(processor).clock.now()
    await store.tokens.recall(name, now, now)


async def test_each_key_has_its_own_starts(processors: Processors) -> None:
    """Of two workers together a burst of each key, and then one an interval; none delays others."""
    starts = Starts()
    jobs = {"sync": JobDef(starts, rate=Rate(1, per=HOUR, burst=2, key="tenant"))}
    processor, _ = await processors.start(jobs=jobs)
    await processors.start(jobs=jobs)
    await processor.schedule_jobs([("sync", {"tenant": "a"})] * 6 + [("sync", {"tenant": "b"})] * 3)
    await starts.reach(a=2, b=2)  # of two who reserve at once, none loses a start
    await parked(processor, 5)
    await processor.schedule_job("sync", {"tenant": "c"})
    await starts.reach(a=2, b=2, c=1)
    await an_hour_later(processor, "sync", "a")
    await starts.reach(a=3, b=2, c=1)
    first = (await processor.find_jobs(status="pending", limit=1)).jobs[0]
    assert first.rate_lane in ("sync:a", "sync:b")
    assert first.waits_for == f"a start of {first.rate_lane}"


async def test_a_backlog_runs_at_its_pace(processors: Processors) -> None:
    """Nobody has to wake the worker but the dates: neither another insert nor a poll."""
    starts = Starts()
    processor, _ = await processors.start(
        jobs={"sync": JobDef(starts, rate=Rate(20, per=1, burst=1, key="tenant"))},
        poll_interval=HOUR,
    )
    jobs = await processor.schedule_jobs([("sync", {"tenant": key}) for key in "ab" * 15])
    async with asyncio.timeout(WAIT):
        for job in jobs:
            await processor.wait_for_job(job.id)
    for moments in starts.of.values():
        assert moments[-1] - moments[0] >= 14 * 0.05 - 0.05  # the first may begin a little late


async def test_the_key_may_be_a_function_or_told_when_scheduling(processors: Processors) -> None:
    """A field, a field in a field, a function; `rate_key` stands for it; None has no rate."""

    async def sync(payload: dict[str, Any]) -> None: ...

    keys: dict[str, Any] = {
        "field": "tenant",
        "deep": "account.id",
        "function": lambda payload: payload["tenant"] * 2,
        "told": True,
    }
    jobs = {name: JobDef(sync, rate=Rate(5, per=1, key=key)) for name, key in keys.items()}
    processor = await processors.make(jobs=jobs)
    payload = {"tenant": "a", "account": {"id": 7}}
    lanes = [(await processor.schedule_job(name, payload)).rate_lane for name in keys]
    assert lanes == ["field:a", "deep:7", "function:aa", None]
    told = await processor.schedule_job("told", {}, rate_key=42)
    many = await processor.schedule_jobs(
        [JobRequest("field", payload, rate_key="b"), ("field", {})]
    )
    assert (told.rate_lane, many[0].rate_lane, many[1].rate_lane) == ("told:42", "field:b", None)
    found = await processor.get_job(told.id)
    assert found is not None
    assert found.rate_lane == "told:42"


async def test_jobs_that_know_no_rate_wait_for_it_all_the_same(processors: Processors) -> None:
    """What a process scheduled that does not define the rate gets its lane when it is claimed."""
    starts = Starts()
    producer = await processors.make(jobs={"sync": JobDef(None)})
    await producer.schedule_jobs([("sync", {"tenant": "a"})] * 4)
    worker, _ = await processors.start(
        jobs={"sync": JobDef(starts, rate=Rate(1, per=HOUR, burst=1, key="tenant"))}
    )
    await starts.reach(a=1)
    await parked(worker, 3)


async def test_a_429_holds_its_key_and_no_other(processors: Processors) -> None:
    """`RateLimited` costs no attempt, and whatever shares the lane waits as long."""
    starts = Starts()

    async def call(payload: dict[str, Any]) -> None:
        await starts(payload)
        if payload.get("refused") and len(starts.of[payload["tenant"]]) == 1:
            raise RateLimited(after=HOUR)

    processor, _ = await processors.start(
        jobs={"call": JobDef(call, rate=Rate(100, per=1, key="tenant"), retry=Retry(2))}
    )
    first = await processor.schedule_job("call", {"tenant": "a", "refused": True})
    await starts.reach(a=1)

    async def put_back() -> bool:
        job = await processor.get_job(first.id)
        return job is not None and job.status is JobStatus.PENDING and job.attempt == 1

    await eventually(put_back)
    others = await processor.schedule_jobs([("call", {"tenant": key}) for key in "aab"])
    await processor.wait_for_job(others[2].id, timeout=WAIT)
    await parked(processor, 2)
    assert starts.counts() == {"a": 1, "b": 1}
    held = [info for info in await processor.rates() if info.key == "a"]
    assert held[0].held_for > HOUR - 100
    await processor.hold("call", 0, key="a")
    await starts.reach(a=3, b=1)


async def test_a_key_is_held_and_let_go(processors: Processors) -> None:
    """`hold` with a key: only that; without one it says what to write."""
    starts = Starts()
    processor, _ = await processors.start(
        jobs={"call": JobDef(starts, rate=Rate(100, per=1, group="api", key="tenant"))}
    )
    await processor.hold("api", HOUR, key="a")
    await processor.schedule_jobs([("call", {"tenant": key}) for key in "aaab"])
    await starts.reach(b=1)
    await parked(processor, 3)
    await processor.hold("api", 0, key="a")
    await starts.reach(a=3, b=1)


async def test_what_may_not_start_is_skipped_where_it_says_so(processors: Processors) -> None:
    """`on_full="skip"`: what finds its key used up never runs; what began before waits."""
    starts = Starts()
    rate = Rate(1, per=HOUR, burst=1, key="tenant", on_full="skip")
    processor, _ = await processors.start(jobs={"sync": JobDef(starts, rate=rate)})
    jobs = await processor.schedule_jobs([("sync", {"tenant": key}) for key in "aaab"])
    ends = [await processor.wait_for_job(job.id, timeout=WAIT) for job in jobs]
    assert Counter(job.status for job in ends) == {JobStatus.FINISHED: 2, JobStatus.SKIPPED: 2}
    assert starts.counts() == {"a": 1, "b": 1}
    skipped = next(job for job in ends if job.status is JobStatus.SKIPPED)
    assert skipped.output is not None
    assert skipped.output.error == "the rate of 1/h was used up"


async def test_a_rate_that_is_raised_holds_at_once(processors: Processors) -> None:
    """What has a date an hour away starts by the new rate, of whatever worker."""
    starts = Starts()
    jobs = {"sync": JobDef(starts, rate=Rate(1, per=HOUR, burst=1, key="tenant"))}
    processor, _ = await processors.start(jobs=jobs)
    await processors.start(jobs=jobs)
    await processor.schedule_jobs([("sync", {"tenant": "a"})] * 4)
    await parked(processor, 3)
    await processor.set_rate("sync", "100/s")
    await starts.reach(a=4)


async def test_run_job_waits_for_the_start_of_its_key(processors: Processors) -> None:
    """It counts as a start of its key, behind those that have a date already."""
    starts = Starts()
    processor = await processors.make(
        jobs={"sync": JobDef(starts, rate=Rate(1, per=HOUR, burst=1, key="tenant"))}
    )
    await processor.run_job("sync", {"tenant": "a"})
    await processor.run_job("sync", {"tenant": "b"})
    waits = asyncio.create_task(processor.run_job("sync", {"tenant": "a"}))
    done, _ = await asyncio.wait([waits], timeout=0.3)
    assert not done
    waits.cancel()
    await asyncio.wait([waits])
    assert starts.counts() == {"a": 1, "b": 1}


async def test_a_paused_name_lets_others_of_its_lane_start(processors: Processors) -> None:
    """What is paused gets no date while it is, and goes on when it is resumed."""
    starts = Starts()
    rate = Rate(20, per=1, burst=1, group="api", key="tenant")
    jobs = {"a": JobDef(starts, rate=rate), "b": JobDef(starts, rate=rate)}
    processor = await processors.make(jobs=jobs)
    await processor.pause(name="a")
    await processor.schedule_jobs([("a", {"tenant": "x"})] * 3 + [("b", {"tenant": "x"})] * 3)
    await processors.start(jobs=jobs)  # it knows of the pause before its first claim
    await starts.reach(x=3)
    await processor.resume(name="a")
    await starts.reach(x=6)


async def test_a_limit_and_a_rate_both_hold(processors: Processors) -> None:
    """A slot first, then a token: all run, and neither is exceeded."""
    inside: Counter[str] = Counter()
    most: Counter[str] = Counter()
    starts = Starts()

    async def sync(payload: dict[str, Any]) -> None:
        await starts(payload)
        key = payload["tenant"]
        inside[key] += 1
        most[key] = max(most[key], inside[key])
        await asyncio.sleep(0)
        inside[key] -= 1

    definition = JobDef(
        sync, limit=Limit(1, key="tenant"), rate=Rate(50, per=1, burst=1, key="tenant")
    )
    workers = [(await processors.start(jobs={"sync": definition}))[0] for _ in range(2)]
    jobs = await workers[0].schedule_jobs([("sync", {"tenant": key}) for key in "ab" * 10])
    async with asyncio.timeout(WAIT):
        for job in jobs:
            assert (await workers[1].wait_for_job(job.id)).status is JobStatus.FINISHED
    assert starts.counts() == {"a": 10, "b": 10}
    assert set(most.values()) == {1}
    for moments in starts.of.values():
        assert moments[-1] - moments[0] >= 9 * 0.02 - 0.05


async def test_a_burst_waits_for_what_has_a_date_soon(processors: Processors) -> None:
    """`run_worker(burst=True)` runs what may start within a minute, and leaves the rest."""
    starts = Starts()
    processor = await processors.make(
        jobs={
            "soon": JobDef(starts, rate=Rate(20, per=1, burst=1, key="tenant")),
            "late": JobDef(starts, rate=Rate(1, per=HOUR, burst=1, key="tenant")),
        }
    )
    await processor.schedule_jobs([("soon", {"tenant": "s"})] * 5 + [("late", {"tenant": "l"})] * 3)
    async with asyncio.timeout(WAIT):
        await processor.run_worker(burst=True)
    assert starts.counts() == {"s": 5, "l": 1}


async def test_how_the_lanes_stand_is_told(processors: Processors) -> None:
    """The rate, and behind it each key that is in use."""
    starts = Starts()
    processor, _ = await processors.start(
        jobs={"sync": JobDef(starts, rate=Rate(1, per=HOUR, burst=1, key="tenant"))}
    )
    jobs: list[SimpleJob] = await processor.schedule_jobs(
        [("sync", {"tenant": key}) for key in ("b", "a", "a:b")]
    )
    for job in jobs:
        await processor.wait_for_job(job.id, timeout=WAIT)
    told = await processor.rates()
    assert [(info.name, info.key) for info in told] == [
        ("sync", None),
        ("sync", "a"),
        ("sync", "a:b"),
        ("sync", "b"),
    ]
    assert all(info.names == ("sync",) and str(info.rate) == "1/h" for info in told)
    assert told[0].next_start == 0
    assert all(HOUR - 100 < info.next_start <= HOUR for info in told[1:])
