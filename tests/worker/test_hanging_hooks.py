"""A hook that hangs holds nobody up but who runs it, and that only for so long."""

from __future__ import annotations

import asyncio
import threading

import pytest

from job_processor import JobDef, JobStatus
from job_processor.models import Job
from job_processor.worker import hooks
from tests.processors import WAIT, Processors, RunningWorker, eventually
from tests.worker.conftest import _is_set
from tests.worker.frozen import GRACES, stopped

pytestmark = pytest.mark.usefixtures("little_time")


async def test_run_job_waits_for_no_hook_of_another_job(processors: Processors) -> None:
    """It returns once those of its own job have ended."""
    release, called = asyncio.Event(), asyncio.Event()

    async def hook(_: Job) -> None:
        called.set()
        await release.wait()

    async def quick() -> None:
        pass

    jobs = {"hooked": JobDef(quick, on_job_exited=hook), "other": JobDef(quick)}
    processor, _ = await processors.start(jobs=jobs, shutdown_grace=3 * WAIT)
    await processor.schedule_job("hooked")
    await asyncio.wait_for(called.wait(), WAIT)
    async with asyncio.timeout(WAIT):
        assert (await processor.run_job("other")).status is JobStatus.FINISHED
    release.set()


@pytest.mark.parametrize("plain", [False, True])
async def test_a_hook_that_hangs_holds_nobody_up(
    processors: Processors, plain: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither `run_job` of another name, nor the stop; the log names its job."""
    release, called = threading.Event(), threading.Event()

    async def hook(_: Job) -> None:
        called.set()
        await asyncio.Event().wait()

    def plain_hook(_: Job) -> None:
        called.set()
        release.wait()

    async def quick() -> None:
        pass

    jobs = {
        "hooked": JobDef(quick, on_job_exited=plain_hook if plain else hook),
        "other": JobDef(quick),
    }
    processor = await processors.make(jobs=jobs, **GRACES)
    worker = RunningWorker(processor)
    try:
        job = await processor.schedule_job("hooked")
        await eventually(_is_set(called))
        async with asyncio.timeout(WAIT):
            assert (await processor.run_job("other")).status is JobStatus.FINISHED
        await stopped(worker)
    finally:
        release.set()
    assert f"not waiting any longer for on_job_exited of 'hooked' ({job.id})" in caplog.text


async def test_who_runs_a_hook_that_hangs_waits_for_it_only_so_long(
    processors: Processors, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A burst, and `run_job` of its own job, go on after the time of a stop."""

    async def hook(_: Job) -> None:
        await asyncio.Event().wait()

    async def quick() -> None:
        pass

    for module in ("worker.worker", "worker.run_job"):
        monkeypatch.setattr(f"job_processor.{module}.graceful_stop_seconds", lambda _: 0.1)
    processor = await processors.make(jobs={"a": JobDef(quick, on_job_exited=hook)}, **GRACES)
    async with asyncio.timeout(WAIT):
        ran = await processor.run_job("a")
        job = await processor.schedule_job("a")
        await processor.run_worker(burst=True)
    for each in (ran, job):
        assert f"not waiting any longer for on_job_exited of 'a' ({each.id})" in caplog.text


async def test_a_hook_has_a_limit(
    processors: Processors, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One that goes on is given up, and its job is named."""
    monkeypatch.setattr(hooks, "HOOK_TIMEOUT", 0.05)
    cancelled = asyncio.Event()

    async def hook(_: Job) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def quick() -> None:
        pass

    processor, _ = await processors.start(jobs={"a": JobDef(quick, on_job_exited=hook)})
    job = await processor.schedule_job("a")
    await asyncio.wait_for(cancelled.wait(), WAIT)
    await asyncio.sleep(0)
    assert f"on_job_exited of job 'a' ({job.id}) was given up" in caplog.text
