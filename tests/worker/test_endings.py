"""Whatever a handler returns or raises is an ending: its job is settled, its worker works on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from job_processor import AbortController, AbortSignal, EventKind, JobDef, NotSetUpError, Retry
from job_processor.handlers.current import current_job
from job_processor.models import Job
from job_processor.worker.runs import Run
from tests.insides import engine_of
from tests.processors import WAIT, Processors, eventually
from tests.worker.endings import each_kind, hook_of, in_thread, raising, settled
from tests.worker.probe import ended, in_state


async def test_callbacks_of_a_signal_that_fail(processors: Processors) -> None:
    """One that raises stops neither a kill, a max runtime, a shutdown nor the other callbacks."""
    told: list[str] = []

    async def tool(job: Job, signal: AbortSignal) -> None:
        signal.on_abort(raising(ProcessLookupError()))
        signal.on_abort(raising(SystemExit()))
        signal.on_abort(lambda: told.append(job.name))
        await asyncio.sleep(WAIT * 2)

    stop = AbortController()
    stop.signal.on_abort(raising(ZeroDivisionError()))
    processor = await processors.make(
        jobs={
            "killed": JobDef(tool),
            "limited": JobDef(tool, max_runtime_in_minutes=0.2 / 60),
            "stopped": JobDef(tool, resumable=True),
        }
    )
    worker = asyncio.create_task(processor.run_worker(stop.signal))
    killed, limited, stopped = await processor.schedule_jobs(["killed", "limited", "stopped"])
    assert (await ended(processor, limited)).status == "errored"
    await in_state(processor, killed, "running")
    await in_state(processor, stopped, "running")
    await processor.kill_job(killed.id)
    assert (await ended(processor, killed)).status == "killed"
    stop.abort()
    await asyncio.wait_for(worker, WAIT)
    await in_state(processor, stopped, "paused")
    assert sorted(told) == ["killed", "limited", "stopped"]


async def test_a_handler_that_swallows_its_cancellation(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """It is given up and settled for good, and its job runs beside it in no run of this process."""
    release, begun = asyncio.Event(), []

    async def deep_inside() -> None:
        await release.wait()

    async def stubborn() -> None:
        begun.append(1)
        while not release.is_set():
            try:
                await deep_inside()
            except asyncio.CancelledError:
                continue

    options: Any = {"retry": Retry(3, delay=0.01), "max_runtime_in_minutes": 0.1 / 60}
    processor, _ = await processors.start(
        jobs={"stubborn": JobDef(stubborn, **options), "other": JobDef(lambda: None)},
        concurrency=1,
    )
    job = await ended(processor, await processor.schedule_job("stubborn"))
    assert (job.status, job.attempt) == ("errored", 1)
    assert "in deep_inside" in caplog.text  # where it stands
    await processor.retry_job(job.id)
    await ended(processor, await processor.schedule_job("other"))  # its slot is free again
    assert (len(begun), (await processor.get_job(job.id)).status) == (1, "pending")  # type: ignore[union-attr]
    release.set()
    await ended(processor, job)
    assert len(begun) == 2


async def test_a_resumable_one_that_swallows_a_shutdown(processors: Processors) -> None:
    """It stays running, as with a living thread, until its worker counts as dead."""
    begun, release = asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        begun.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    processor, worker = await processors.start(jobs={"a": JobDef(stubborn, resumable=True)})
    job = await processor.schedule_job("a")
    await asyncio.wait_for(begun.wait(), WAIT)
    await worker.stop()
    left = await processor.get_job(job.id)
    assert left is not None
    assert left.status == "running"
    release.set()


async def test_a_hook_raises_what_would_end_a_program(processors: Processors) -> None:
    """A plain hook that raises KeyboardInterrupt, or StopIteration, is logged and ends."""
    hooks = [KeyboardInterrupt(), StopIteration(), SystemExit(), asyncio.CancelledError()]
    jobs = {
        f"job{i}": JobDef(lambda: None, on_job_exited=hook_of(error))
        for i, error in enumerate(hooks)
    }
    processor = await processors.make(jobs=jobs)
    await processor.schedule_jobs(list(jobs))
    await asyncio.wait_for(processor.run_worker(burst=True), WAIT)
    assert await processor.count_jobs(status="finished") == len(hooks)


async def test_a_listener_that_exits_ends_no_worker(processors: Processors) -> None:
    """What a listener raises is logged, a SystemExit and a CancelledError too."""
    processor, worker = await processors.start()
    for error in (SystemExit(), asyncio.CancelledError()):
        processor.listen(hook_of(error))
    processor.job("a")(in_thread(lambda: 1))
    job = await ended(processor, await processor.schedule_job("a"))
    assert (job.result(), worker.task.done(), EventKind.FINISHED) == (1, False, "finished")


@each_kind
async def test_a_handler_changes_its_payload(processors: Processors, kind: Any) -> None:
    """Hooks, events and `run_job` get the payload as it is stored, however it was reached."""
    stored = {"id": 7, "rows": [{"n": 1}], "deep": {"a": {"b": []}}}
    seen: list[Any] = []
    processor, _ = await processors.start()

    def spoil(payload: Any, job: Any) -> None:
        payload.pop("id")
        job.payload["rows"][0]["n"] = 2
        here: Any = current_job()
        here.payload["deep"]["a"]["b"].append("spoilt")

    async def spoil_in_loop(payload: Any, job: Any) -> None:
        spoil(payload, job)

    handler = spoil if kind is in_thread else spoil_in_loop
    processor.job("a", on_job_exited=lambda job: seen.append(job.payload))(handler)
    processor.job("b")(handler)
    processor.listen(lambda event: seen.append(getattr(event.job, "payload", None)))
    await ended(processor, await processor.schedule_job("a", stored))
    ran = await processor.run_job("b", stored)
    await eventually(lambda: _long_enough(seen))
    payloads = [each for each in seen if each is not None]
    assert [ran.payload, *payloads] == [stored] * (len(payloads) + 1)


async def _long_enough(seen: list[Any]) -> bool:
    return len(seen) >= 7


async def test_a_processor_in_another_loop(processors: Processors) -> None:
    """A plain handler that runs a loop of its own is told what to use, on every store."""
    processor, _ = await processors.start()

    @processor.job()
    def schedules() -> str:
        with pytest.raises(NotSetUpError, match=r"twin\(\).*JobClient"):
            asyncio.run(processor.schedule_job("schedules"))
        return "told"

    job = await ended(processor, await processor.schedule_job("schedules"))
    assert job.result() == "told"


async def test_a_handler_that_cancels_itself(processors: Processors) -> None:
    """It has failed, like one that raises a CancelledError: nobody has interrupted it."""

    async def cancels() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(WAIT)

    job = await settled(processors, cancels, resumable=True)
    assert job.output is not None
    assert (job.status, job.attempt) == ("errored", 1)
    assert "CancelledError" in str(job.output.error)


async def test_a_hook_that_returns_a_generator(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """A decorated hook that has a yield inside has done nothing, which the log says."""

    def rows() -> Any:
        yield 1

    processor = await processors.make(
        jobs={"a": JobDef(lambda: None, on_job_exited=lambda _: rows())}
    )
    await processor.schedule_job("a")
    await processor.run_worker(burst=True)
    errors = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert "nothing in that has run" in str(errors)


async def test_a_task_that_is_cancelled_before_it_begins(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its job was interrupted: nobody else would end it."""
    processor = await processors.make()

    @processor.job
    async def endless() -> None:
        await asyncio.Event().wait()

    executor = engine_of(processor).executor
    start = executor.start

    def cancelled(*arguments: Any, **options: Any) -> Run:
        run = start(*arguments, **options)
        assert run.task is not None
        run.task.cancel()
        return run

    monkeypatch.setattr(executor, "start", cancelled)
    job = await endless.schedule()
    async with asyncio.timeout(WAIT):
        await processor.run_worker(burst=True)
    left = await processor.get_job(job.id)
    assert left is not None
    assert left.status == "errored"
