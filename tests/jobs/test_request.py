"""What a job may have beyond a name, a payload and a time, through the facade, on both stores."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from job_processor import (
    InvalidArgumentError,
    JobDef,
    JobFailed,
    JobNotFoundError,
    JobRequest,
    JobStateError,
    JobStatus,
    Retry,
    SimpleJob,
)
from tests.processors import Processors


def nothing() -> None:
    """Do nothing."""


async def test_a_settled_job_is_retried_by_hand(processors: Processors) -> None:
    """It goes round again with all its attempts; one that is not settled is not touched."""
    calls = 0

    async def flaky() -> int:
        nonlocal calls
        calls += 1
        if calls < 4:
            raise ValueError(f"no {calls}")
        return calls

    retry = Retry(max_attempts=2, delay=0)
    processor = await processors.make(jobs={"flaky": JobDef(flaky, retry=retry)})
    job = await processor.schedule_job("flaky")
    with pytest.raises(JobStateError, match="is pending; only a job that has ended"):
        await processor.retry_job(job.id)
    await processor.run_worker(burst=True)
    assert (await processor.wait_for_job(job.id)).status is JobStatus.ERRORED
    waiting = await processor.retry_job(str(job.id))
    assert (waiting.status, waiting.attempt, waiting.output) == (JobStatus.PENDING, 1, None)
    await processor.run_worker(burst=True)
    done = await processor.wait_for_job(job.id)
    assert done.status is JobStatus.FINISHED
    assert [(each.number, (each.error or "")[:16]) for each in done.attempts] == [
        (1, "ValueError: no 1"),
        (1, "ValueError: no 3"),
    ]
    assert done.ended_at is not None
    for each in done.attempts:
        assert job.created_at <= each.started_at <= each.ended_at <= done.ended_at
        assert each.worker_id is not None
    with pytest.raises(JobNotFoundError):
        await processor.retry_job(ObjectId())


async def test_the_highest_priority_runs_first(processors: Processors) -> None:
    """One by one and in bulk; the job keeps its priority to the end."""
    order: list[int] = []

    async def note(job: SimpleJob) -> None:
        order.append(job.priority)

    processor = await processors.make(jobs={"note": JobDef(note)}, concurrency=1)
    await processor.schedule_jobs([("note",), JobRequest("note", priority=9), JobRequest("note")])
    job = await processor.schedule_job("note", priority=4)
    assert job.priority == 4
    await processor.run_worker(burst=True)
    assert order == [9, 4, 0, 0]
    done = await processor.get_job(job.id)
    assert done is not None
    assert (done.status, done.priority) == (JobStatus.FINISHED, 4)


@pytest.mark.parametrize("priority", [-1, 10, 1.0, "high", None, True])
async def test_a_priority_that_is_none_is_refused(processors: Processors, priority: Any) -> None:
    """Nothing is stored, and the error says what is allowed."""
    processor = await processors.make(jobs={"double": JobDef(nothing)})
    with pytest.raises(InvalidArgumentError, match=r"priority: .* from 0 to 9"):
        await processor.schedule_job("double", priority=priority)
    with pytest.raises(InvalidArgumentError, match=r"jobs\[1\]: priority"):
        await processor.schedule_jobs(["double", JobRequest("double", priority=priority)])
    assert (await processor.find_jobs()).jobs == ()


async def test_a_job_has_a_result_or_a_failure(processors: Processors) -> None:
    """What its handler returned, or an error with what went wrong, and where."""

    async def divide(payload: dict[str, int]) -> float:
        return payload["a"] / payload["b"]

    processor = await processors.make(jobs={"divide": JobDef(divide)})
    good = await processor.schedule_job("divide", {"a": 6, "b": 2})
    with pytest.raises(JobStateError, match="is pending; only a job that has ended has a result"):
        good.result()
    bad = await processor.schedule_job("divide", {"a": 6, "b": 0})
    killed = await processor.schedule_job("divide", scheduled_for=timedelta(hours=1))
    await processor.kill_job(killed.id)
    await processor.run_worker(burst=True)
    assert (await processor.wait_for_job(good.id)).result() == 3
    with pytest.raises(JobFailed) as caught:
        (await processor.wait_for_job(bad.id)).result()
    message = str(caught.value)
    assert message.startswith(f"job 'divide' ({bad.id}) errored: ZeroDivisionError: division by")
    assert "in divide\n" in message
    assert (caught.value.status, caught.value.job_id) == ("errored", bad.id)
    with pytest.raises(JobFailed, match=r"killed$"):
        (await processor.wait_for_job(killed.id)).result()


async def test_a_result_that_nobody_reads_is_not_kept(processors: Processors) -> None:
    """Nor is one that could not be stored complained of; a failure is kept all the same."""
    results = iter([{"large": "x" * 1000}, object()])

    def produce() -> object:
        return next(results)

    processor = await processors.make(jobs={"produce": JobDef(produce, discard_result=True)})
    jobs = [await processor.schedule_job("produce") for _ in range(3)]
    await processor.run_worker(burst=True)
    ended = [await processor.wait_for_job(job.id) for job in jobs]
    finished = [job for job in ended if job.status is JobStatus.FINISHED]
    assert [job.result() for job in finished] == [None, None]
    (failed,) = (job for job in ended if job not in finished)
    assert failed.output is not None
    assert failed.output.error is not None
    assert "StopIteration" in failed.output.error


async def test_a_job_that_expires_does_not_begin(processors: Processors) -> None:
    """It is skipped, and says why; one that is in time runs; by hand it may go round after all."""
    ran: list[ObjectId] = []

    async def work(job: SimpleJob) -> None:
        ran.append(job.id)

    processor = await processors.make(jobs={"work": JobDef(work)})
    soon = timedelta(milliseconds=1)
    late = await processor.schedule_job("work", expires_at=soon)
    in_time, also_late = await processor.schedule_jobs(
        [JobRequest("work", expires_at=timedelta(hours=1)), JobRequest("work", expires_at=soon)]
    )
    assert in_time.expires_at == in_time.created_at + timedelta(hours=1)
    await asyncio.sleep(0.01)  # time has to pass
    await processor.run_worker(burst=True)
    assert ran == [in_time.id]
    for job in (late, also_late):
        skipped = await processor.wait_for_job(job.id)
        assert skipped.status is JobStatus.SKIPPED
        assert skipped.output is not None
        assert skipped.output.error == "expired before a worker was free"
        assert skipped.output.skip_metadata is not None
        assert skipped.output.skip_metadata.reason == "other"
    await processor.retry_job(late.id)
    await processor.run_worker(burst=True)
    assert ran == [in_time.id, late.id]


@pytest.mark.parametrize(
    "expires_at",
    [datetime(2030, 1, 1), timedelta(0), timedelta(hours=1), "soon", 5],  # noqa: DTZ001  # naive
)
async def test_an_expiry_that_is_none_is_refused(processors: Processors, expires_at: Any) -> None:
    """It is a time with a zone, or a delay, that lies after the planned time."""
    processor = await processors.make(jobs={"double": JobDef(nothing)})
    with pytest.raises(InvalidArgumentError) as caught:
        await processor.schedule_job(
            "double", scheduled_for=timedelta(hours=1), expires_at=expires_at
        )
    assert caught.value.argument == "expires_at"
    assert (await processor.find_jobs()).jobs == ()


@pytest.mark.parametrize(
    ("scheduled_for", "line"),
    [
        (5, r"write timedelta\(seconds=5\) for that many from now"),
        (0.5, r"write timedelta\(seconds=0.5\)"),
        (datetime(2030, 1, 1), r"it has no time zone: write datetime\(…, tzinfo=UTC\)"),  # noqa: DTZ001
        (True, r"or None \(now\)$"),
    ],
)
async def test_a_time_that_is_none_is_told_how_to_write_it(
    processors: Processors, scheduled_for: Any, line: str
) -> None:
    """A number of seconds, and a time without a zone, are answered with the line that is meant."""
    processor = await processors.make(jobs={"double": JobDef(nothing)})
    with pytest.raises(InvalidArgumentError, match=line):
        await processor.schedule_job("double", scheduled_for=scheduled_for)


async def test_low_priorities_do_not_starve(processors: Processors) -> None:
    """With `ageing`, what has waited longer is taken before what has a higher priority."""
    ran: list[int] = []

    async def note(job: SimpleJob) -> None:
        ran.append(job.priority)

    ago = datetime.now(UTC) - timedelta(minutes=10)
    requests = [JobRequest("note", priority=9) for _ in range(5)]
    requests += [
        JobRequest(
            "note", scheduled_for=ago - (1 - priority) * timedelta(minutes=1), priority=priority
        )
        for priority in (0, 1)
    ]
    for ageing, expected in ((None, [9] * 5 + [1, 0]), (300, [0] + [9] * 5 + [1])):
        ran.clear()
        processor = await processors.make(jobs={"note": JobDef(note)}, concurrency=1, ageing=ageing)
        await processor.schedule_jobs(requests)
        await processor.run_worker(burst=True)
        assert ran[:1] == expected[:1]
        assert sorted(ran) == sorted(expected)
    with pytest.raises(InvalidArgumentError, match="ageing"):
        await processors.make(ageing=0)
