"""The facade: schedule, run, wait, find, kill, watch, on both stores."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from job_processor import (
    AbortSignal,
    CronDef,
    InvalidArgumentError,
    JobDef,
    JobNotFoundError,
    JobProcessor,
    JobStatus,
    JobTimeoutError,
    NotSetUpError,
    PayloadError,
    SimpleJob,
    UnknownJobError,
    WorkerStateError,
    init_job_processor,
)
from tests.processors import QUICK, WAIT, Processors, eventually


async def double(payload: dict[str, Any]) -> dict[str, Any]:
    """Return twice the number."""
    return {"value": payload["value"] * 2}


def blocking(payload: dict[str, Any]) -> str:
    """Return the name of the thread it runs in."""
    return threading.current_thread().name


async def fail(job: SimpleJob) -> None:
    """Fail."""
    raise ValueError("boom")


async def wait_for_abort(job: SimpleJob, signal: AbortSignal) -> str:
    """Run until asked to stop."""
    await signal.wait()
    return "stopped"


JOBS = {
    "double": JobDef(double),
    "blocking": JobDef(blocking),
    "fail": JobDef(fail),
    "endless": JobDef(wait_for_abort),
    "only": JobDef(wait_for_abort, exclusive=True),
}


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
    processor = await processors.make(jobs=JOBS)
    later = datetime.now(UTC) + timedelta(hours=1)
    by_time = await processor.schedule_job("double", {"value": 1}, later)
    by_delay = await processor.schedule_job("double", {"value": 1}, timedelta(hours=1))
    soon = await processor.schedule_job("double", {"value": 1}, timedelta(milliseconds=300))
    assert by_time.scheduled_for == later.replace(microsecond=later.microsecond // 1000 * 1000)
    assert abs(by_delay.scheduled_for - later) < timedelta(seconds=5)
    await processor.run_worker(burst=True)
    assert (await processor.find_jobs(status="pending")).jobs == (soon, by_delay, by_time)
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


async def test_run_job_runs_here_and_now(processors: Processors) -> None:
    """run_job returns the job settled, with its failure when it fails, and is marked `sync`."""
    processor = await processors.make(jobs=JOBS)
    done = await processor.run_job("double", {"value": 4})
    assert (done.status, done.sync) == (JobStatus.FINISHED, True)
    assert await processor.get_job(done.id) == done
    failed = await processor.run_job("fail")
    assert failed.status is JobStatus.ERRORED
    assert (await processor.get_healthcheck())["workers"] == []


async def test_run_job_is_registered_and_obeys_a_kill(processors: Processors) -> None:
    """While run_job runs something it is seen as a worker, and a kill from elsewhere stops it."""
    processor = await processors.make(jobs=JOBS)
    other = await processors.make(jobs=JOBS)
    call = asyncio.create_task(processor.run_job("endless"))

    async def seen() -> Any:
        workers = (await other.get_healthcheck())["workers"]
        return workers and workers[0]["task"]

    task = await eventually(seen, "a worker with a task")
    await other.kill_job(task["_id"])
    done = await asyncio.wait_for(call, WAIT)
    assert done.status is JobStatus.KILLED


async def test_run_job_into_a_conflict_is_skipped(processors: Processors) -> None:
    """An exclusive job that is active elsewhere makes run_job return a skipped one."""
    processor = await processors.make(jobs=JOBS)
    waiting = await processor.schedule_job("only")
    skipped = await processor.run_job("only")
    assert skipped.status is JobStatus.SKIPPED
    assert skipped.output is not None
    assert skipped.output.skip_metadata is not None
    assert skipped.output.skip_metadata.conflicting_job_id == waiting.id


async def test_cancelling_run_job_interrupts_it(processors: Processors) -> None:
    """A caller that gives up leaves an errored job, not one that runs on unseen."""
    processor = await processors.make(jobs=JOBS)
    call = asyncio.create_task(processor.run_job("endless"))

    async def running() -> Any:
        return (await processor.find_jobs(status="running")).jobs

    (job,) = await eventually(running)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    done = await processor.get_job(job.id)
    assert done is not None
    assert done.settled


async def test_cancelling_run_job_while_it_is_stored_interrupts_it(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be in the database as running before its caller knows."""
    processor = await processors.make(jobs=JOBS)
    store, stored, told = processor._store, asyncio.Event(), asyncio.Event()
    insert = store.insert

    async def insert_and_tell_late(jobs: Any) -> Any:
        refused = await insert(jobs)
        stored.set()
        await told.wait()
        return refused

    monkeypatch.setattr(store, "insert", insert_and_tell_late)
    call = asyncio.create_task(processor.run_job("endless"))
    await stored.wait()
    call.cancel()
    await asyncio.sleep(0)
    told.set()
    with pytest.raises(asyncio.CancelledError):
        await call
    (job,) = (await processor.find_jobs()).jobs
    assert job.settled


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


async def test_it_must_be_set_up_first() -> None:
    """Using a processor before setup() or after close() says what to call."""
    processor = JobProcessor("sqlite://", jobs=JOBS)
    with pytest.raises(NotSetUpError, match="setup"):
        await processor.schedule_job("double", {"value": 1})
    async with processor:
        await processor.schedule_job("double", {"value": 1})
    with pytest.raises(NotSetUpError):
        await processor.find_jobs()


async def test_init_job_processor_sets_it_up(db_url: str) -> None:
    """The one-call form of the Node package: made and set up."""
    processor = await init_job_processor(db=db_url, jobs=JOBS, crons={}, worker_tags=["main"])
    try:
        assert (await processor.run_job("double", {"value": 2})).status is JobStatus.FINISHED
    finally:
        await processor.close()


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"worker_tags": []}, "worker_tags"),
        ({"worker_tags": "main"}, "worker_tags"),
        ({"worker_tags": [""]}, "worker_tags"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": 1.5}, "concurrency"),
        ({"timezone": "Nowhere"}, "timezone"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"worker_timeout": -1}, "worker_timeout"),
        ({"worker_timeout": 0.1, "heartbeat_interval": 0.1}, "worker_timeout"),
        ({"kill_grace": -1}, "kill_grace"),
        ({"history_days": 0}, "history_days"),
        ({"service": ""}, "service"),
        ({"collection_prefix": "a$b"}, "collection_prefix"),
        ({"db": "postgres://host/db"}, "db"),
        ({"db": 3}, "db"),
        ({"jobs": [1]}, "jobs"),
        ({"db": "mongodb://h/db", "worker_timeout": 250}, "worker_timeout"),
        ({"db": "mongodb://h/db", "history_days": 91}, "history_days"),
        ({"db": "mongodb://h/"}, "db"),
    ],
)
def test_a_setting_that_is_not_allowed_is_refused(options: Any, argument: str) -> None:
    """Each bad setting is refused by its name when the processor is made."""
    with pytest.raises(InvalidArgumentError) as caught:
        JobProcessor(**{"db": "sqlite://", **options})
    assert caught.value.argument == argument


async def test_a_tag_that_nobody_has_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """A worker tag without a definition is said, not refused."""
    async with JobProcessor("sqlite://", jobs=JOBS, worker_tags=["main"], **QUICK) as processor:
        assert "'main'" in caplog.text
        assert (await processor.run_job("double", {"value": 1})).settled


async def test_two_processors_live_in_one_process() -> None:
    """Each memory database is its own; nothing is shared between processors."""
    async with (
        JobProcessor("sqlite://", jobs=JOBS, **QUICK) as one,
        JobProcessor("sqlite://", jobs=JOBS, **QUICK) as other,
    ):
        job = await one.schedule_job("double", {"value": 1})
        assert await other.get_job(job.id) is None
