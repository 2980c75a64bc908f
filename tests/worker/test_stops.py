"""How runs are made to stop: by a shutdown, a kill, their maximum runtime; on both stores."""

from __future__ import annotations

import asyncio
import threading

import pytest

from job_processor import (
    AbortSignal,
    JobDef,
    JobStatus,
    Retry,
)
from tests.insides import store_of
from tests.processors import WAIT, Processors, eventually
from tests.worker.probe import Probe, ended, in_state


async def test_a_shutdown_pauses_what_is_resumable(processors: Processors, probe: Probe) -> None:
    """A resumable job is paused, `started_at` kept, no hook called; another worker resumes it."""
    jobs = {"polite": JobDef(probe.polite, resumable=True, on_job_exited=probe.exit_hook)}
    processor, worker = await processors.start(jobs=jobs)
    job = await processor.schedule_job("polite")
    await asyncio.wait_for(probe.began.wait(), WAIT)
    running = await in_state(processor, job, "running")
    await worker.stop()
    paused = await in_state(processor, job, "paused")
    assert (paused.worker_id, paused.ended_at) == (None, None)
    assert paused.started_at == running.started_at
    assert probe.exited == []
    probe.release.set()
    await processors.start(jobs=jobs)
    done = await ended(processor, job)
    assert done.status is JobStatus.FINISHED
    assert done.started_at == running.started_at

    async def hook_was_called() -> bool:
        return [each.id for each in probe.exited] == [job.id]

    await eventually(hook_was_called)


async def test_a_shutdown_lets_the_others_finish_within_the_grace(
    processors: Processors, probe: Probe
) -> None:
    """A job that is not resumable finishes if it can; its claims have stopped meanwhile."""
    jobs = {"held": JobDef(probe.held)}
    processor, worker = await processors.start(jobs=jobs, concurrency=1, shutdown_grace=WAIT)
    job = await processor.schedule_job("held")
    await asyncio.wait_for(probe.began.wait(), WAIT)
    waiting = await processor.schedule_job("held")
    stopping = asyncio.create_task(worker.stop())
    probe.release.set()
    await stopping
    assert (await in_state(processor, job, "finished")).output is not None
    assert (await in_state(processor, waiting, "pending")).worker_id is None


@pytest.mark.parametrize("resumable", [True, False])
async def test_a_shutdown_forces_what_does_not_listen(
    processors: Processors, probe: Probe, resumable: bool
) -> None:
    """After the grace the handler is cancelled: resumable → paused, else errored "Interrupted"."""
    jobs = {"held": JobDef(probe.held, resumable=resumable)}
    processor, worker = await processors.start(jobs=jobs, shutdown_grace=0.1, kill_grace=0.1)
    job = await processor.schedule_job("held")
    await asyncio.wait_for(probe.began.wait(), WAIT)
    await worker.stop()
    found = await processor.get_job(job.id)
    assert found is not None
    if resumable:
        assert found.status is JobStatus.PAUSED
    else:
        assert found.status is JobStatus.ERRORED
        assert found.output is not None
        assert found.output.error == "Interrupted"


async def test_cancelling_the_worker_forces_the_stop(processors: Processors, probe: Probe) -> None:
    """A second SIGINT, or a host that cancels: handlers are cancelled, their ends written."""
    jobs = {"held": JobDef(probe.held, resumable=True)}
    processor, worker = await processors.start(jobs=jobs, shutdown_grace=60, kill_grace=60)
    job = await processor.schedule_job("held")
    await asyncio.wait_for(probe.began.wait(), WAIT)
    async with asyncio.timeout(WAIT):
        await worker.crash()
    assert (await in_state(processor, job, "paused")).worker_id is None
    assert (await processor.get_healthcheck())["workers"] == []


async def test_a_return_after_a_shutdown_abort_is_a_finish(processors: Processors) -> None:
    """A handler that returns when it is asked to stop has finished."""
    began = asyncio.Event()

    async def handler(signal: AbortSignal) -> str:
        began.set()
        await signal.wait()
        return "in time"

    processor, worker = await processors.start(jobs={"a": JobDef(handler, resumable=True)})
    job = await processor.schedule_job("a")
    await asyncio.wait_for(began.wait(), WAIT)
    await worker.stop()
    done = await in_state(processor, job, "finished")
    assert done.output is not None
    assert done.output.result == "in time"


async def test_a_kill_forces_a_handler_that_does_not_listen(
    processors: Processors, probe: Probe
) -> None:
    """After `kill_grace` the handler is cancelled; the job ends killed, its hook is called."""
    jobs = {"held": JobDef(probe.held, resumable=True, on_job_exited=probe.exit_hook)}
    processor, _ = await processors.start(jobs=jobs)
    job = await processor.schedule_job("held")
    await asyncio.wait_for(probe.began.wait(), WAIT)
    await in_state(processor, job, "running")
    await processor.kill_job(job.id)
    done = await ended(processor, job)
    assert done.status is JobStatus.KILLED

    async def hooked() -> bool:
        return [each.status for each in probe.exited] == ["killed"]

    await eventually(hooked)


async def test_max_runtime_is_enforced(processors: Processors, probe: Probe) -> None:
    """Abort, then force, then errored "max runtime …"."""
    jobs = {"held": JobDef(probe.held, max_runtime_in_minutes=0.2 / 60)}
    processor, _ = await processors.start(jobs=jobs)
    job = await processor.schedule_job("held")
    done = await ended(processor, job)
    assert done.status is JobStatus.ERRORED
    assert done.output is not None
    assert done.output.error is not None
    assert done.output.error.startswith("max runtime")
    assert probe.running == 0


async def test_a_thread_that_hangs_frees_its_slot(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """It is reported with its stack, its job is settled for good, its late result dropped."""
    release, late = threading.Event(), threading.Event()

    def hanging() -> str:
        release.wait()
        late.set()
        return "too late"

    async def quick() -> str:
        return "quick"

    jobs = {
        "hanging": JobDef(hanging, max_runtime_in_minutes=0.1 / 60, retry=Retry(max_attempts=5)),
        "quick": JobDef(quick),
    }
    processor, _ = await processors.start(jobs=jobs, concurrency=1)
    try:
        hung = await processor.schedule_job("hanging")
        quick_one = await processor.schedule_job("quick")
        done = await ended(processor, hung)
        assert done.status is JobStatus.ERRORED  # not retried beside its living thread
        assert (await ended(processor, quick_one)).status is JobStatus.FINISHED
        assert "release.wait()" in caplog.text
    finally:
        release.set()
    await asyncio.to_thread(late.wait, WAIT)
    assert await processor.get_job(hung.id) == done


@pytest.mark.slow
async def test_a_long_burst_leaves_as_one_that_was_short(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """The time for leaving begins with the end of the work: the registration is taken away."""

    async def work() -> None:
        await asyncio.sleep(5)  # longer than any stop with these graces may take

    processor = await processors.make(jobs={"work": JobDef(work)}, shutdown_grace=0, kill_grace=0)
    await processor.schedule_job("work")
    await processor.run_worker(burst=True)
    assert "could not unregister" not in caplog.text
    assert (await store_of(processor).workers.registrations()).workers == ()
