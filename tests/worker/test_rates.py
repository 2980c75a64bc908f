"""Rates without a key: no more start than may, whoever runs them; what waits costs nothing."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from datetime import timedelta
from math import inf

import pytest

from job_processor import (
    CronDef,
    JobDef,
    JobProcessor,
    JobRequest,
    JobStatus,
    Rate,
    Retry,
    SimpleJob,
)
from job_processor.jobs.rates import lane_of, pace_of
from job_processor.store.base import Store
from job_processor.worker.pauses import PauseWatch
from job_processor.worker.rate_watch import RateWatch
from job_processor.worker.rates import Rates
from tests.clocks_of_lanes import turn_clock
from tests.definitions import nothing
from tests.faults import failed, faulty
from tests.insides import engine_of, store_of
from tests.processors import WAIT, Processors, eventually
from tests.worker.probe import ended, in_state

HOUR = 3600.0


class Starts:
    """A handler that counts its starts, by name."""

    def __init__(self) -> None:
        self.of: Counter[str] = Counter()
        self._changed = asyncio.Event()

    async def __call__(self, job: SimpleJob) -> None:
        """Start."""
        self.of[job.name] += 1
        self._changed.set()

    @property
    def all(self) -> int:
        """How many there were."""
        return sum(self.of.values())

    async def reach(self, count: int) -> None:
        """Return once there were so many."""

        async def reached() -> bool:
            return self.all >= count

        await eventually(reached, f"start {count}")


async def an_hour_later(processor: JobProcessor, group: str, hours: float = 1.0) -> None:
    """Let the time of a lane pass, and its workers look again."""
    await turn_clock(store_of(processor), lane_of(group), hours * HOUR + 1)
    await processor.hold(group, 0)


async def settled(processor: JobProcessor) -> None:
    """Return once the worker has claimed all that it may, and runs nothing."""

    async def rests() -> bool:
        return await processor.count_jobs(status="running") == 0

    await eventually(rests)
    await asyncio.sleep(0.5)  # nothing more is to happen


async def test_no_more_start_than_may(processors: Processors) -> None:
    """Of two workers together a burst, and then one an interval; the others wait as they are."""
    starts = Starts()
    jobs = {"a": JobDef(starts, rate=Rate(1, per=HOUR, burst=3))}
    processor, _ = await processors.start(jobs=jobs)
    await processors.start(jobs=jobs)
    await processor.schedule_jobs(["a"] * 6)
    await starts.reach(3)
    await settled(processor)
    assert starts.all == 3
    assert await processor.count_jobs(status="pending") == 3
    await an_hour_later(processor, "a")
    await starts.reach(4)
    await settled(processor)
    assert starts.all == 4
    await an_hour_later(processor, "a", 1000)
    await starts.reach(6)
    assert await processor.count_jobs(status="pending") == 0


async def test_names_of_a_group_share_a_rate_and_others_do_not_wait(
    processors: Processors,
) -> None:
    """Two jobs and a cron of one group; what has no rate, or another, goes on."""
    starts = Starts()
    rate = Rate(1, per=HOUR, burst=2, group="smtp")
    jobs = {
        "a": JobDef(starts, rate=rate),
        "b": JobDef(starts, rate=rate),
        "other": JobDef(starts, rate="1/h"),
        "free": JobDef(starts),
    }
    crons = {"tick": CronDef("0 0 1 1 *", starts, rate=rate)}
    processor, _ = await processors.start(jobs=jobs, crons=crons)
    await processor.schedule_jobs(["a", "b", "a", "b"])
    await starts.reach(2)
    await processor.schedule_jobs(["other", "free", "free"])
    await starts.reach(5)
    assert starts.of["other"] == 1
    assert starts.of["free"] == 2
    await eventually(lambda: has_cron(processor))
    task = await processor.run_cron("tick")
    await settled(processor)
    assert starts.of["tick"] == 0
    await an_hour_later(processor, "smtp", 1000)
    await starts.reach(7)
    await an_hour_later(processor, "smtp", 1000)
    await ended(processor, task)
    assert starts.of == {"a": 2, "b": 2, "other": 1, "free": 2, "tick": 1}


async def has_cron(processor: JobProcessor) -> bool:
    """True once the scheduler has made its crons."""
    return bool(await processor.get_crons())


async def test_what_waits_for_its_rate_asks_nothing_of_the_database(
    processors: Processors,
) -> None:
    """No claim, no look, no reservation, while nothing may start, however much is due."""
    starts = Starts()
    jobs = {"a": JobDef(starts, rate="1/h")}
    processor = JobProcessor(processors.db_url, jobs=jobs, poll_interval=0.05)
    fault = faulty(processor)
    await processors.open(processor)
    await processor.schedule_jobs(["a"] * 20)
    await processors.worker(processor)
    await starts.reach(1)
    await settled(processor)
    fault.calls.clear()
    await asyncio.sleep(0.5)  # nothing is to happen: ten sweeps
    asked = {verb for verb in fault.calls if verb.startswith(("queue.", "rates."))}
    assert asked == set()


async def test_the_timer_stands_at_the_next_start(processors: Processors) -> None:
    """No sweep is waited for, nor anything that others tell."""
    starts = Starts()
    jobs = {"a": JobDef(starts, rate="5/s")}
    processor = await processors.make(jobs=jobs, poll_interval=3600)
    await processor.schedule_jobs(["a"] * 4)
    await processors.worker(processor)
    await starts.reach(4)


async def test_a_lane_that_opens_while_a_turn_ends_is_not_slept_through(
    processors: Processors,
) -> None:
    """What was full when it was looked at is looked at again, though its time has come since."""
    processor = await processors.make(jobs={"a": JobDef(nothing, rate="1/h")})
    engine, names = engine_of(processor), ("a",)
    rates = Rates(engine, RateWatch(engine), PauseWatch(engine))
    assert rates.plain(names) == []
    (lane,) = rates.lanes.values()
    lane.free_at = lane.asked_again_at = time.monotonic() + WAIT
    assert await rates.open_batches(names) == []
    lane.free_at = lane.asked_again_at = time.monotonic()  # since then it is open
    assert rates.until_next() == 0.0
    assert not await rates.is_worth_waiting()
    await processor.schedule_job("a")
    assert await rates.is_worth_waiting()
    assert len(await rates.open_batches(names)) == 1
    assert rates.until_next() == inf


async def test_names_without_a_rate_pay_nothing(processors: Processors) -> None:
    """No verb more is asked for them; beside names with a rate, whether any of those is due."""
    plain = JobProcessor(processors.db_url, jobs={"a": JobDef(nothing)}, collection_prefix="one")
    mixed = JobProcessor(
        processors.db_url,
        jobs={"a": JobDef(nothing), "rated": JobDef(nothing, rate="1/h")},
        collection_prefix="two",
    )
    calls = []
    for processor in (plain, mixed):
        fault = faulty(processor)
        await processors.open(processor)
        await processor.schedule_jobs(["a"] * 5)
        await processor.run_worker(burst=True)
        calls.append(fault.calls)
    assert not [verb for verb in (*calls[0], *calls[1]) if verb.startswith("rates.")]
    assert set(calls[1]) - set(calls[0]) <= {"queue.next_due"}


async def test_what_was_not_used_is_given_back(processors: Processors) -> None:
    """Three free handlers, one job: two starts are left; so too where what came does not begin."""
    starts = Starts()
    rate = Rate(1, per=HOUR, burst=3)
    processor, _ = await processors.start(jobs={"a": JobDef(starts, rate=rate)})
    await processor.schedule_job("a")
    await starts.reach(1)
    await settled(processor)
    assert await granted_at_once(store_of(processor), rate) == 2


async def test_what_is_skipped_takes_no_start(processors: Processors) -> None:
    """A job that expired before it was claimed has not started."""
    starts = Starts()
    rate = Rate(1, per=HOUR, burst=2)
    processor = await processors.make(jobs={"a": JobDef(starts, rate=rate)})
    late = timedelta(milliseconds=1)
    await processor.schedule_jobs([JobRequest("a", expires_at=late) for _ in range(5)])
    await asyncio.sleep(0.01)  # until they have expired
    await processor.run_worker(burst=True)
    assert await processor.count_jobs(status="skipped") == 5
    assert await granted_at_once(store_of(processor), rate) == 2


async def granted_at_once(store: Store, rate: Rate) -> int:
    """Return how many starts of the lane `a` are left, and take them."""
    return (await store.rates.reserve(lane_of("a"), pace_of(rate), 100)).granted


async def test_every_start_counts(processors: Processors) -> None:
    """An attempt that is made again takes a start as the first one did."""
    attempts: list[int] = []

    async def flaky(job: SimpleJob) -> None:
        attempts.append(job.attempt)
        raise ValueError

    rate = Rate(1, per=HOUR, burst=2)
    jobs = {"a": JobDef(flaky, rate=rate, retry=Retry(3, delay=0, jitter=False))}
    processor, _ = await processors.start(jobs=jobs)
    job = await processor.schedule_job("a")

    async def twice() -> bool:
        return len(attempts) == 2

    await eventually(twice)
    await settled(processor)
    assert attempts == [1, 2]
    waiting = await in_state(processor, job, "pending")
    assert waiting.attempt == 3
    await an_hour_later(processor, "a")
    assert (await ended(processor, job)).status is JobStatus.ERRORED


async def test_a_worker_that_dies_between_reservation_and_claim(processors: Processors) -> None:
    """Its starts are lost, and nothing stands for that: the next goes on with what is left."""
    starts = Starts()
    rate = Rate(1, per=HOUR, burst=2)
    processor = JobProcessor(
        processors.db_url, jobs={"a": JobDef(starts, rate=rate)}, concurrency=1
    )
    fault = faulty(processor)
    await processors.open(processor)
    fault.next("queue.claim", failed())
    await processor.schedule_jobs(["a"] * 3)
    await processors.worker(processor)
    await starts.reach(1)
    await settled(processor)
    assert starts.all == 1
    await an_hour_later(processor, "a")
    await starts.reach(2)


async def test_a_changed_rate_is_seen_by_running_workers(processors: Processors) -> None:
    """By name, or by group: slower, faster, and back to what the code says; it is kept."""
    starts = Starts()
    jobs = {"a": JobDef(starts, rate="1/h")}
    processor, worker = await processors.start(jobs=jobs)
    await processor.schedule_jobs(["a"] * 10)
    await starts.reach(1)
    await settled(processor)
    boss = await processors.make()
    await boss.set_rate("a", Rate(1, per=HOUR, burst=4))
    await an_hour_later(processor, "a", 1000)
    await starts.reach(5)
    await settled(processor)
    assert starts.all == 5
    (info,) = await processor.rates()
    assert (info.name, info.names, info.is_changed) == ("a", ("a",), True)
    assert (info.rate.burst, info.defined and info.defined.burst) == (4, 1)
    assert 0 < info.next_start <= HOUR
    await worker.stop()
    await processors.worker(processor)
    await boss.set_rate("a", "1000/s")
    await starts.reach(10)
    await processor.set_rate("a", None)
    (info,) = await processor.rates()
    assert not info.is_changed


async def test_what_may_not_start_is_skipped_where_the_rate_says_so(
    processors: Processors,
) -> None:
    """With the reason; its handler is not called, and a later one may start again."""
    starts = Starts()
    rate = Rate(1, per=HOUR, burst=2, on_full="skip")
    processor, _ = await processors.start(jobs={"a": JobDef(starts, rate=rate)})
    jobs = await processor.schedule_jobs(["a"] * 5)
    ends = [await ended(processor, job) for job in jobs]
    counts = Counter(end.status for end in ends)
    assert counts == {JobStatus.FINISHED: 2, JobStatus.SKIPPED: 3}
    for end in ends:
        if end.status is JobStatus.SKIPPED:
            assert end.output is not None
            assert end.output.error == "the rate of 1/h was used up"
            assert end.output.skip_metadata is not None
            assert end.output.skip_metadata.reason == "other"
    assert starts.all == 2
    await an_hour_later(processor, "a")
    last = await ended(processor, await processor.schedule_job("a"))
    assert last.status is JobStatus.FINISHED


async def test_what_has_begun_before_is_not_skipped(processors: Processors) -> None:
    """Its next attempt waits for its start."""
    attempts: list[int] = []

    async def flaky(job: SimpleJob) -> None:
        attempts.append(job.attempt)
        raise ValueError

    rate = Rate(1, per=HOUR, burst=1, on_full="skip")
    jobs = {"a": JobDef(flaky, rate=rate, retry=Retry(2, delay=0, jitter=False))}
    processor, _ = await processors.start(jobs=jobs)
    job = await processor.schedule_job("a")

    async def later() -> bool:
        found = await processor.get_job(job.id)
        assert found is not None
        ahead = (found.scheduled_for - job.scheduled_for).total_seconds()
        return found.status is JobStatus.PENDING and found.attempt == 2 and ahead > HOUR - 60

    await eventually(later)
    assert attempts == [1]


async def test_run_job_waits_for_its_start(processors: Processors) -> None:
    """It counts as one; it is not begun, nor stored, before it may; or is returned skipped."""
    starts = Starts()
    jobs = {
        "a": JobDef(starts, rate="1/h"),
        "b": JobDef(starts, rate=Rate(1, per=HOUR, on_full="skip")),
    }
    processor = await processors.make(jobs=jobs)
    assert (await processor.run_job("a")).status is JobStatus.FINISHED
    assert (await processor.run_job("b")).status is JobStatus.FINISHED
    skipped = await processor.run_job("b")
    assert skipped.status is JobStatus.SKIPPED
    assert skipped.output is not None
    assert skipped.output.error == "the rate of 1/h was used up"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await processor.run_job("a")
    assert starts.of == {"a": 1, "b": 1}
    assert await processor.count_jobs(name="a") == 1
    await processor.set_rate("a", "1000/s")
    assert (await processor.run_job("a")).status is JobStatus.FINISHED


async def test_a_burst_waits_for_what_may_start_soon(processors: Processors) -> None:
    """And leaves to the next one what may start much later."""
    starts = Starts()
    jobs = {"soon": JobDef(starts, rate="20/s"), "late": JobDef(starts, rate="1/h")}
    processor = await processors.make(jobs=jobs)
    await processor.schedule_jobs(["soon"] * 8 + ["late"] * 2)
    await processor.run_worker(burst=True)
    assert starts.of == {"soon": 8, "late": 1}


async def test_a_clock_that_was_wrong_is_told(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """A lane that is an hour ahead goes on within its interval, with a warning."""
    starts = Starts()
    processor = await processors.make(jobs={"a": JobDef(starts, rate="10/s")})
    await processor.schedule_job("a")
    await processor.run_worker(burst=True)
    await turn_clock(store_of(processor), lane_of("a"), -HOUR)
    await processor.schedule_jobs(["a"] * 2)
    await processor.run_worker(burst=True)
    assert starts.all == 3
    assert re.search(r"the rate of 'a' was 3\d\d\d s ahead of the database's clock", caplog.text)
