"""Unique keys through the facade: what follows a conflict, and races for a key."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import pytest

from job_processor import (
    BulkError,
    Clock,
    Context,
    InvalidArgumentError,
    JobConflictError,
    JobDef,
    JobProcessor,
    JobRequest,
    JobStatus,
    Retry,
    SimpleJob,
    Snooze,
)
from job_processor.errors import StoreRefusedError
from job_processor.store.mongo import MongoStore
from job_processor.store.sqlite import SqliteStore
from tests.insides import store_of
from tests.processors import WAIT, Processors

HOUR = timedelta(hours=1)


class LateClock(Clock):
    """A clock that a test moves on."""

    late = timedelta()

    def now(self) -> datetime:
        """Return the time, so much later."""
        return super().now() + self.late


def echo(payload: Any) -> Any:
    """Return what it was given."""
    return payload


@pytest.fixture
async def processor(processors: Processors) -> JobProcessor:
    """A processor with jobs of three kinds."""
    jobs = {"echo": JobDef(echo), "other": JobDef(echo), "alone": JobDef(echo, exclusive=True)}
    return await processors.make(jobs=jobs)


async def test_the_job_that_holds_the_key_is_returned(processor: JobProcessor) -> None:
    """By default, unchanged; a key is of one name, and free when its job has ended."""
    first = await processor.schedule_job("echo", {"n": 1}, unique_key="k")
    assert first.unique_key == "k"
    again = await processor.schedule_job("echo", {"n": 2}, HOUR, 3, unique_key="k")
    assert again == first
    assert await processor.schedule_job("other", unique_key="k") != first
    await processor.run_worker(burst=True)
    assert (await processor.schedule_job("echo", {"n": 3}, unique_key="k")).payload == {"n": 3}


async def test_a_job_is_skipped(processor: JobProcessor) -> None:
    """It is stored, and tells by whom."""
    first = await processor.schedule_job("echo", unique_key="k")
    job = await processor.schedule_job("echo", {"n": 2}, unique_key="k", on_conflict="skip")
    assert await processor.get_job(job.id) == job
    assert (job.status, job.payload, job.ended_at is not None) == ("skipped", {"n": 2}, True)
    assert job.output is not None
    assert job.output.skip_metadata is not None
    assert job.output.skip_metadata.conflicting_job_id == first.id
    assert job.output.error == "unique_key 'k' is held"


async def test_a_job_that_waits_is_replaced(processor: JobProcessor) -> None:
    """Each call moves it, so that only the last of many runs: a debounce."""
    jobs = [
        await processor.schedule_job(
            "echo", {"n": n}, HOUR * (4 - n), n, unique_key="k", on_conflict="replace"
        )
        for n in range(5)
    ]
    assert len({job.id for job in jobs}) == 1
    job = jobs[-1]
    assert (job.payload, job.priority) == ({"n": 4}, 4)
    await processor.run_worker(burst=True)
    assert (await processor.wait_for_job(job.id)).result() == {"n": 4}


async def test_what_has_begun_is_followed_by_a_new_one(processors: Processors) -> None:
    """With `replace` nothing is lost: the run keeps its payload, the new one runs after it."""
    begun, go_on, seen = asyncio.Event(), asyncio.Event(), []

    async def held(payload: Any) -> None:
        seen.append(payload["n"])
        begun.set()
        await go_on.wait()

    processor, _ = await processors.start(jobs={"held": JobDef(held)})
    options: dict[str, Any] = {"unique_key": "k", "on_conflict": "replace"}
    first = await processor.schedule_job("held", {"n": 1}, **options)
    await begun.wait()
    second = await processor.schedule_job("held", {"n": 2}, HOUR, **options)
    assert second.id != first.id
    third = await processor.schedule_job("held", {"n": 3}, **options)
    assert third.id == second.id
    go_on.set()
    await processor.wait_for_job(first.id)
    await processor.wait_for_job(third.id)
    assert seen == [1, 3]


@pytest.mark.parametrize("raised", [ConnectionError("down"), Snooze(delay=60)])
async def test_what_waits_for_its_next_try_is_replaced(
    processors: Processors, raised: Exception
) -> None:
    """The new one begins as a job that never ran: no state, attempts or log, and it may expire."""

    async def work(payload: Any, context: Context) -> Any:
        if payload["n"] == 1:
            context.log("first")
            await context.save(500)
            raise raised
        return [context.state, context.attempt, [line.text for line in context.job.log]]

    processor = await processors.make(jobs={"work": JobDef(work, retry=Retry(2, delay=60))})
    options: dict[str, Any] = {"unique_key": "k", "on_conflict": "replace"}
    first = await processor.schedule_job("work", {"n": 1}, **options)
    await processor.run_worker(burst=True)
    second = await processor.schedule_job("work", {"n": 2}, **options)
    assert second.id == first.id
    await processor.run_worker(burst=True)
    done = await processor.wait_for_job(second.id)
    assert (done.result(), done.attempts, done.log) == ([None, 1, []], (), ())

    await processor.schedule_job("work", {"n": 1}, **options)
    await processor.run_worker(burst=True)
    soon = timedelta(milliseconds=1)
    late = await processor.schedule_job("work", {"n": 3}, expires_at=soon, **options)
    await asyncio.sleep(0.01)  # until it has expired
    await processor.run_worker(burst=True)
    assert (await processor.wait_for_job(late.id)).status == "skipped"


async def test_a_conflict_is_an_error(processor: JobProcessor) -> None:
    """It names key and holder; of many jobs it tells exactly which were not stored."""
    first = await processor.schedule_job("echo", unique_key="k")
    with pytest.raises(JobConflictError, match=f"'k' of 'echo' is held by the job {first.id}"):
        await processor.schedule_job("echo", unique_key="k", on_conflict="error")
    strict = JobRequest("echo", unique_key="k", on_conflict="error")
    with pytest.raises(BulkError, match="3 jobs were stored, 2 were not") as caught:
        await processor.schedule_jobs(["echo", strict, JobRequest("echo"), strict, "other"])
    error = caught.value
    assert (error.written, error.not_written, error.unknown) == (3, (1, 3), ())
    assert isinstance(error.__cause__, JobConflictError)
    assert len((await processor.find_jobs()).jobs) == 4


async def test_many_jobs_with_keys(processor: JobProcessor) -> None:
    """Each follows its own rule, those of one call among each other too."""
    waiting = await processor.schedule_job("echo", {"n": 0}, HOUR, unique_key="b")
    requests = [
        JobRequest("echo", {"n": 1}, unique_key="a"),
        JobRequest("echo", {"n": 2}, unique_key="a"),
        JobRequest("echo", {"n": 3}, unique_key="b", on_conflict="replace"),
        JobRequest("echo", {"n": 4}, unique_key="a", on_conflict="skip"),
        JobRequest("echo", {"n": 5}),
    ]
    jobs = await processor.schedule_jobs(requests)
    assert [job.payload and job.payload["n"] for job in jobs] == [1, 1, 3, 4, 5]
    assert jobs[2].id == waiting.id
    assert [job.status.value for job in jobs] == ["pending"] * 3 + ["skipped", "pending"]


@pytest.mark.parametrize("rule", ["return", "skip", "replace", "error"])
async def test_a_key_is_held_for_a_time(processors: Processors, rule: Any) -> None:
    """Whatever becomes of its job: until then it meets its holder, then it is free."""
    clock = LateClock()
    processor = await processors.make(jobs={"echo": JobDef(echo)}, clock=clock)
    options: dict[str, Any] = {"unique_key": "k", "unique_for": 60, "on_conflict": rule}
    first = await processor.schedule_job("echo", {"n": 1}, **options)
    assert first.unique_until == first.created_at + timedelta(seconds=60)
    await processor.run_worker(burst=True)
    clock.late = timedelta(seconds=30)
    if rule == "error":
        with pytest.raises(JobConflictError):
            await processor.schedule_job("echo", {"n": 2}, **options)
    else:
        met = await processor.schedule_job("echo", {"n": 2}, **options)
        assert (met.id == first.id) == (rule != "skip")
        assert met.status == (JobStatus.SKIPPED if rule == "skip" else JobStatus.FINISHED)
    plain = await processor.schedule_job("echo", unique_key="k")
    assert plain.id == first.id  # the holder's time counts, not the newcomer's
    clock.late = timedelta(seconds=60)
    new = await processor.schedule_job("echo", {"n": 3}, **options)
    assert (new.status, new.payload) == (JobStatus.PENDING, {"n": 3})
    clock.late = timedelta(seconds=130)  # that one waits yet: its time is over all the same
    assert (await processor.schedule_job("echo", {"n": 4}, **options)).payload == {"n": 4}


async def test_a_key_and_an_exclusive_name(processor: JobProcessor) -> None:
    """The key is looked at first; one that is free does not help where another is active."""
    first = await processor.schedule_job("alone", unique_key="a")
    assert (await processor.schedule_job("alone", unique_key="a")).id == first.id
    other = await processor.schedule_job("alone", unique_key="b")
    assert other.status is JobStatus.SKIPPED
    assert other.output is not None
    assert other.output.skip_metadata is not None
    assert other.output.skip_metadata.reason == "noConcurrent_conflict"


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"unique_key": ""}, "unique_key"),
        ({"unique_key": 7}, "unique_key"),
        ({"unique_key": "k" * 201}, "unique_key"),
        ({"unique_key": "k", "on_conflict": "ignore"}, "on_conflict"),
        ({"unique_key": "k", "unique_for": 0}, "unique_for"),
        ({"unique_key": "k", "unique_for": "1h"}, "unique_for"),
        ({"unique_key": "k", "unique_for": 1e12}, "unique_for"),
        ({"on_conflict": "skip"}, "on_conflict"),
        ({"unique_for": 5}, "unique_for"),
    ],
)
async def test_bad_input(processor: JobProcessor, options: Any, argument: str) -> None:
    """The error names the argument, and nothing is stored."""
    with pytest.raises(InvalidArgumentError) as caught:
        await processor.schedule_job("echo", **options)
    assert caught.value.argument == argument
    assert (await processor.find_jobs()).jobs == ()


@pytest.mark.parametrize("rule", ["return", "skip", "replace", "error"])
async def test_fifty_producers(processors: Processors, rule: Any) -> None:
    """Of 50 that race for a key, on ten connections, exactly one makes a job that runs."""
    jobs = {"echo": JobDef(echo)}
    producers = [await processors.make(jobs=jobs) for _ in range(10)]

    async def produce(n: int) -> None:
        try:
            await producers[n % 10].schedule_job("echo", {"n": n}, unique_key="k", on_conflict=rule)
        except JobConflictError:
            assert rule == "error"

    await asyncio.gather(*(produce(n) for n in range(50)))
    page = await producers[0].find_jobs(limit=100)
    statuses = [job.status.value for job in page.jobs]
    assert statuses.count("pending") == 1
    assert len(statuses) == (50 if rule == "skip" else 1)


# --- what removes the holder, and what refuses besides -------------------------------------------


async def test_a_key_is_not_held_for_longer_than_its_job_is_kept(processors: Processors) -> None:
    """`unique_for` beyond `history_days` is refused: the holder would be removed before."""
    processor = await processors.make(jobs={"echo": JobDef(echo)}, history_days=30)
    month = 30 * 86_400.0
    await processor.schedule_job("echo", {}, unique_key="k", unique_for=month)
    with pytest.raises(InvalidArgumentError, match=r"unique_for: .*2,592,000 seconds.*history_day"):
        await processor.schedule_job("echo", {}, unique_key="l", unique_for=month + 1)
    request = JobRequest("echo", {}, unique_key="l", unique_for=365 * 86_400.0)
    with pytest.raises(InvalidArgumentError, match=r"jobs\[1\]: unique_for"):
        await processor.schedule_jobs(["echo", request])


async def _unique_index_of_a_user(processor: JobProcessor) -> None:
    """Allow each number once in the payloads of jobs."""
    store = store_of(processor)
    if isinstance(store, MongoStore):
        await store._handles.jobs.create_index("payload.n", unique=True, sparse=True, name="mine")
        return
    assert isinstance(store, SqliteStore)
    with closing(sqlite3.connect(str(store._location.path))) as connection:
        connection.execute(
            "CREATE UNIQUE INDEX mine ON job_processor_jobs (json_extract(payload, '$.n'))"
        )


UNIQUE: list[dict[str, Any]] = [
    {"name": "echo"},
    {"name": "alone"},
    {"name": "echo", "unique_key": "other"},
]


@pytest.mark.parametrize("job", UNIQUE, ids=str)
async def test_a_unique_index_of_the_users_own_is_an_error(
    processor: JobProcessor, job: dict[str, Any]
) -> None:
    """What it refuses is neither stored, nor told to be, nor tried for ever."""
    await _unique_index_of_a_user(processor)
    first = await processor.schedule_job("other", {"n": 1})
    async with asyncio.timeout(WAIT):
        with pytest.raises(StoreRefusedError, match="unique index") as caught:
            await processor.schedule_job(payload={"n": 1}, **job)
        if isinstance(store_of(processor), MongoStore):  # SQLite tells none of its name
            assert "'mine'" in str(caught.value)
        requests = [JobRequest("other", {"n": 2}), JobRequest(payload={"n": 1}, **job)]
        with pytest.raises((StoreRefusedError, BulkError)):
            await processor.schedule_jobs(requests)
    found = (await processor.find_jobs()).jobs
    stored = [each.id for each in found if isinstance(each, SimpleJob) and each.payload == {"n": 1}]
    assert stored == [first.id]
