"""The facade: schedule, run, wait, find, kill, watch, on both stores."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from job_processor import (
    AbortSignal,
    Clock,
    CronDef,
    InvalidArgumentError,
    JobDef,
    JobNotFoundError,
    JobProcessor,
    JobStatus,
    JobTimeoutError,
    PayloadError,
    SimpleJob,
    UnknownJobError,
    WorkerStateError,
)
from tests.crons.clocks import SetClock
from tests.definitions import JOBS, double, fail
from tests.processors import WAIT, Processors, eventually


async def test_a_scheduled_job_runs_and_its_result_is_kept(processors: Processors) -> None:
    """Schedule → claim → run → settle: finished, with result, duration and times."""
    processor = await processors.make(jobs=JOBS)
    job = await processor.schedule_job("double", {"value": 21})
    assert (job.status, job.output, job.started_at) == (JobStatus.PENDING, None, None)
    await processor.run_worker(burst=True)
    done = await processor.get_job(job.id)
    assert done is not None
    assert done.status is JobStatus.FINISHED
    assert done.output is not None
    assert done.output.result == {"value": 42}
    assert done.output.error is None
    assert done.output.skip_metadata is None
    assert done.output.duration
    assert done.started_at is not None
    assert done.ended_at is not None
    assert job.created_at <= done.started_at <= done.ended_at
    assert await processor.get_job(str(job.id)) == done


async def test_a_plain_handler_runs_in_a_thread(processors: Processors) -> None:
    """A plain function does not run in the event loop's thread."""
    processor = await processors.make(jobs=JOBS)
    job = await processor.run_job("blocking", {})
    assert job.output is not None
    assert job.output.result.startswith("job")


async def test_a_failing_handler_errors_its_job(processors: Processors) -> None:
    """The error is kept with its message and its traceback."""
    processor = await processors.make(jobs=JOBS)
    job = await processor.schedule_job("fail")
    await processor.run_worker(burst=True)
    done = await processor.wait_for_job(job.id, timeout=WAIT)
    assert done.status is JobStatus.ERRORED
    assert done.output is not None
    assert done.output.error is not None
    assert done.output.error.startswith("ValueError: boom")
    assert "in fail" in done.output.error


async def test_a_job_for_later_waits(processors: Processors) -> None:
    """A time to come, given as delay or datetime, is kept; a burst leaves the job alone."""
    clock = SetClock(Clock().now())
    processor = await processors.make(jobs=JOBS, clock=clock)
    later = clock.now() + timedelta(hours=1)
    exactly = later + timedelta(microseconds=456)  # of which milliseconds are kept
    by_time = await processor.schedule_job("double", {"value": 1}, exactly)
    by_delay = await processor.schedule_job("double", {"value": 1}, timedelta(hours=2))
    soon = await processor.schedule_job("double", {"value": 1}, timedelta(minutes=1))
    assert by_time.scheduled_for == later
    assert by_delay.scheduled_for == by_time.scheduled_for + timedelta(hours=1)
    await processor.run_worker(burst=True)
    waiting = (await processor.find_jobs(status="pending")).jobs
    assert sorted(waiting, key=lambda job: job.scheduled_for) == [soon, by_time, by_delay]
    clock.forward(minutes=1)
    await processors.worker(processor)
    done = await processor.wait_for_job(soon.id, timeout=WAIT)
    assert done.started_at is not None
    assert done.started_at >= soon.scheduled_for


async def test_many_jobs_are_stored_in_one_go(processors: Processors) -> None:
    """schedule_jobs returns them in order; two exclusive ones in it: the second is skipped."""
    processor = await processors.make(jobs=JOBS)
    jobs = await processor.schedule_jobs(
        [*(("double", {"value": i}) for i in range(50)), ("only",), "only", ("double", None, None)]
    )
    assert [job.payload for job in jobs[:50]] == [{"value": i} for i in range(50)]
    assert [job.status for job in jobs[50:]] == ["pending", "skipped", "pending"]
    skip = jobs[51].output
    assert skip is not None
    assert skip.skip_metadata is not None
    assert skip.skip_metadata.reason == "noConcurrent_conflict"
    assert skip.skip_metadata.conflicting_job_id == jobs[50].id
    assert jobs[51].ended_at is not None
    assert await processor.get_job(jobs[51].id) == jobs[51]


async def test_a_bad_one_among_many_stores_none(processors: Processors) -> None:
    """schedule_jobs names the position of the bad one, and nothing is stored."""
    processor = await processors.make(jobs=JOBS)
    with pytest.raises(UnknownJobError, match=r"jobs\[1\]"):
        await processor.schedule_jobs([("double", {}), ("nothing", {})])
    with pytest.raises(InvalidArgumentError, match=r"jobs\[0\]"):
        await processor.schedule_jobs([("double", {}, None, 4)])  # type: ignore[list-item]
    assert (await processor.find_jobs()).jobs == ()


async def test_waiting_for_a_job(processors: Processors) -> None:
    """wait_for_job returns the settled job; an unknown id and a timeout raise."""
    processor = await processors.make(jobs=JOBS)
    job = await processor.schedule_job("double", {"value": 1})
    with pytest.raises(JobTimeoutError) as caught:
        await processor.wait_for_job(job.id, timeout=0.5)
    assert isinstance(caught.value, TimeoutError)
    assert "within 0.5 s; it is pending, attempt 1" in str(caught.value)
    with pytest.raises(JobNotFoundError):
        await processor.wait_for_job(ObjectId(), timeout=1)
    waiter = asyncio.create_task(processor.wait_for_job(job.id, timeout=WAIT))
    await processors.worker(processor)
    assert (await waiter).status is JobStatus.FINISHED


async def test_pages_are_newest_first_and_complete(processors: Processors) -> None:
    """Following `next` gives every job once, newest first; filters and limits hold."""
    processor = await processors.make(jobs=JOBS)
    jobs = await processor.schedule_jobs(("double", {"value": i}) for i in range(7))
    other = await processor.schedule_job("fail")
    seen: list[ObjectId] = []
    after = None
    while True:
        page = await processor.find_jobs(name="double", limit=3, after=after)
        seen += [job.id for job in page.jobs]
        if page.next is None:
            break
        after = page.next
    assert seen == [job.id for job in reversed(jobs)]
    everything = await processor.find_jobs(type="simple", status=JobStatus.PENDING)
    assert everything.jobs[0].id == other.id
    assert everything.next is None
    assert (await processor.find_jobs(type="cron_task")).jobs == ()


async def test_killing_what_waits_and_what_has_ended(processors: Processors) -> None:
    """A waiting job is killed at once, a settled one stays, an unknown one raises."""
    processor = await processors.make(jobs=JOBS)
    job = await processor.schedule_job("double", {"value": 1})
    killed = await processor.kill_job(job.id)
    assert killed.status is JobStatus.KILLED
    assert killed.ended_at is not None
    await processor.run_worker(burst=True)
    assert await processor.get_job(job.id) == killed
    assert await processor.kill_job(str(job.id)) == killed
    with pytest.raises(JobNotFoundError):
        await processor.kill_job(ObjectId())


async def test_killing_what_runs_elsewhere(processors: Processors) -> None:
    """A running job's worker gets the kill, the signal aborts, and it ends killed all the same."""
    reasons: list[object] = []

    async def handler(signal: AbortSignal) -> str:
        await signal.wait()
        reasons.append(signal.reason)
        return "a result"

    jobs = {"stubborn": JobDef(handler)}
    await processors.start(jobs=jobs)
    caller = await processors.make(jobs=jobs)
    job = await caller.schedule_job("stubborn")

    async def running() -> bool:
        found = await caller.get_job(job.id)
        return found is not None and found.status is JobStatus.RUNNING

    await eventually(running)
    await caller.kill_job(job.id)
    done = await caller.wait_for_job(job.id, timeout=WAIT)
    assert done.status is JobStatus.KILLED
    assert reasons == ["kill"]


async def test_the_status_is_json_and_of_the_shape_that_others_read(
    processors: Processors,
) -> None:
    """Workers with tasks, the queue, jobs by name and crons with history, in plain JSON."""

    async def tick(signal: AbortSignal) -> None: ...

    crons = {"tick": CronDef("* * * * * *", tick)}
    processor, _ = await processors.start(jobs=JOBS, crons=crons, worker_tags=None)
    endless = await processor.schedule_job("endless", {"when": datetime.now(UTC), "raw": b"\0"})
    later = await processor.schedule_job("double", {"value": 1}, timedelta(days=1))

    async def history() -> Any:
        status = await processor.get_status()
        return status if status["crons"] and status["crons"][0]["history"] else None

    status = await eventually(history, "a cron's history")
    assert json.loads(json.dumps(status)) == status
    assert set(status) == {"now", "workers", "queue", "jobs", "crons"}
    (worker,) = status["workers"]
    assert worker["worker"]["hostname"]
    assert worker["task"]["_id"] == str(endless.id)
    assert worker["tasks"][0] == worker["task"]
    groups = {group["name"]: group for group in status["jobs"]}
    assert groups["double"]["counts"] == {"pending": 1}
    assert groups["double"]["tasks"][0]["_id"] == str(later.id)
    (cron,) = status["crons"]
    assert cron["cron"]["cron_string"] == "* * * * * *"
    assert cron["history"][0]["status"] == "finished"
    assert set(await processor.get_healthcheck()) == {"now", "workers", "queue"}


async def test_a_job_whose_name_nobody_knows_is_left_alone_and_shown(
    processors: Processors,
) -> None:
    """A worker claims only names that it defines; the others stay pending and visible."""
    await (await processors.make(jobs=JOBS)).schedule_job("double", {"value": 1})
    stranger = await processors.make(jobs={"other": JobDef(double)})
    await stranger.run_worker(burst=True)
    status = await stranger.get_status()
    assert [job["name"] for job in status["queue"]] == ["double"]
    assert status["jobs"][0]["counts"] == {"pending": 1}


@pytest.mark.parametrize(
    ("payload", "scheduled_for", "error"),
    [
        ([1], None, PayloadError),
        ({"a": object()}, None, PayloadError),
        ({}, datetime(2030, 1, 1), InvalidArgumentError),  # noqa: DTZ001  # naive is refused
        ({}, "tomorrow", InvalidArgumentError),
        ({}, timedelta.max, InvalidArgumentError),
    ],
)
async def test_bad_input_is_refused_and_nothing_is_stored(
    processors: Processors, payload: Any, scheduled_for: Any, error: type[Exception]
) -> None:
    """A payload that cannot be stored and a time that would be a guess are refused."""
    processor = await processors.make(jobs=JOBS)
    with pytest.raises(error):
        await processor.schedule_job("double", payload, scheduled_for)
    with pytest.raises(UnknownJobError):
        await processor.schedule_job("nothing")
    for bad in ("xyz", 3, None):
        with pytest.raises(InvalidArgumentError):
            await processor.get_job(bad)  # type: ignore[arg-type]
    queries: list[dict[str, Any]] = [
        {"status": "lost"},
        {"limit": 0},
        {"limit": 10**6},
        {"type": "cron"},
    ]
    for query in [*queries, {"name": "\udcff"}]:
        with pytest.raises(InvalidArgumentError):
            await processor.find_jobs(**query)
    assert (await processor.find_jobs()).jobs == ()


@pytest.mark.parametrize(
    "result",
    [{1, 2}, object(), {"deep": [float("nan")]}, datetime(2026, 1, 1)],  # noqa: DTZ001
)
async def test_a_result_that_cannot_be_stored_is_described(
    processors: Processors, result: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The job finishes with a readable representation and a warning, nothing is lost."""

    async def handler() -> Any:
        return result

    processor = await processors.make(jobs={"odd": JobDef(handler)})
    job = await processor.run_job("odd")
    assert job.status is JobStatus.FINISHED
    assert job.output is not None
    assert job.output.result == repr(result)
    assert "cannot be stored" in caplog.text


async def test_a_result_that_has_no_room_beside_its_payload_is_described(
    processors: Processors,
) -> None:
    """MongoDB keeps 16 MiB a document: the job finishes all the same, with the head of it."""

    async def echo(payload: dict[str, str]) -> dict[str, str]:
        return payload

    processor = await processors.make(jobs={"echo": JobDef(echo)})
    job = await processor.run_job("echo", {"text": "x" * 9 * 1024 * 1024})
    assert job.status is JobStatus.FINISHED
    assert job.output is not None
    if processors.db_url.startswith("mongo"):
        assert job.output.result.startswith("{'text': 'xxx")
    else:
        assert job.output.result == job.payload


async def test_on_job_exited_gets_the_job_as_last_written(processors: Processors) -> None:
    """Async and plain hooks are called once after the end, and their failure is harmless."""
    seen: dict[str, list[Any]] = {"double": [], "fail": []}

    async def hook(job: SimpleJob) -> None:
        seen[job.name].append(job)
        raise RuntimeError("a failing hook")

    def plain_hook(job: SimpleJob) -> None:
        seen[job.name].append(job)

    processor = await processors.make(
        jobs={
            "double": JobDef(double, on_job_exited=hook),
            "fail": JobDef(fail, on_job_exited=plain_hook),
        }
    )
    await processor.schedule_job("double", {"value": 1})
    await processor.schedule_job("fail")
    await processor.run_worker(burst=True)
    for name, expected in (("double", "finished"), ("fail", "errored")):
        (job,) = seen[name]
        assert job.status == expected
        assert await processor.get_job(job.id) == job


async def test_one_worker_a_processor(processors: Processors) -> None:
    """A second run_worker of the same processor is refused."""
    processor, worker = await processors.start(jobs=JOBS)
    await eventually(lambda: _has_worker(processor))
    with pytest.raises(WorkerStateError):
        await processor.run_worker(burst=True)
    await worker.stop()
    await processor.run_worker(burst=True)


async def _has_worker(processor: JobProcessor) -> bool:
    return bool((await processor.get_healthcheck())["workers"])
