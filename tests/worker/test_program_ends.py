"""A program that ends, or leaves its processor, leaves no run behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from job_processor import JobDef, JobProcessor, JobStatus, NotSetUpError, Retry
from tests.insides import store_of
from tests.processors import WAIT, Processors, RunningWorker
from tests.worker.frozen import GRACES, stopped
from tests.worker.probe import Probe, ended, in_state

pytestmark = pytest.mark.usefixtures("little_time")


def cancel_all() -> None:
    """Cancel every task but this one, as `asyncio.run` does at its end."""
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


async def test_a_program_that_ends_gives_its_jobs_back(
    processors: Processors, probe: Probe
) -> None:
    """All tasks are cancelled at once, the settler's too: no crash is counted, nothing is left.

    However often it happens; a worker of the same processor that begins afterwards goes on.
    """
    processor = await processors.make(jobs={"held": JobDef(probe.held, resumable=True)}, **GRACES)
    job = await processor.schedule_job("held")
    for _ in range(4):
        await _work_until_cancelled(processor, probe)
        found = await in_state(processor, job, "paused")
        assert (found.crashes, found.worker_id) == (0, None)
        assert (await processor.get_healthcheck())["workers"] == []
    probe.release.set()
    worker = RunningWorker(processor)
    assert (await ended(processor, job)).status is JobStatus.FINISHED
    await stopped(worker)


@pytest.mark.parametrize("retry", [None, Retry()])
async def test_a_program_that_ends_interrupts_what_is_not_resumable(
    processors: Processors, probe: Probe, retry: Retry | None
) -> None:
    """As a shutdown does: it is retried where it may be, else errored "Interrupted"."""
    processor = await processors.make(jobs={"held": JobDef(probe.held, retry=retry)}, **GRACES)
    job = await processor.schedule_job("held")
    await _work_until_cancelled(processor, probe)
    found = await in_state(processor, job, "errored" if retry is None else "pending")
    assert found.output is not None
    assert found.output.error == "Interrupted"
    assert (await processor.get_healthcheck())["workers"] == []


async def _work_until_cancelled(processor: JobProcessor, probe: Probe) -> None:
    probe.began.clear()
    worker = RunningWorker(processor)
    await asyncio.wait_for(probe.began.wait(), WAIT)
    cancel_all()
    done, _ = await asyncio.wait([worker.task], timeout=WAIT)
    assert worker.task in done
    assert worker.task.cancelled()


async def test_a_program_that_ends_while_an_end_is_written(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether that was written or not: it is written again."""
    settling = asyncio.Event()

    async def quick() -> str:
        return "done"

    processor = await processors.make(jobs={"a": JobDef(quick)}, **GRACES)
    settle = store_of(processor).runs.settle

    async def hang_once(settlements: Any) -> Any:
        if not settling.is_set():
            settling.set()
            await asyncio.Event().wait()
        return await settle(settlements)

    monkeypatch.setattr(store_of(processor).runs, "settle", hang_once)
    worker = RunningWorker(processor)
    job = await processor.schedule_job("a")
    await asyncio.wait_for(settling.wait(), WAIT)
    cancel_all()
    await asyncio.wait([worker.task], timeout=WAIT)
    assert (await in_state(processor, job, "finished")).output is not None


async def test_a_run_job_whose_program_ends(processors: Processors, probe: Probe) -> None:
    """Its caller is cancelled together with everything else: the run is settled all the same."""
    processor = await processors.make(jobs={"held": JobDef(probe.held)}, **GRACES)
    running = asyncio.create_task(processor.run_job("held"))
    await asyncio.wait_for(probe.began.wait(), WAIT)
    (job,) = (await processor.find_jobs()).jobs
    cancel_all()
    done, _ = await asyncio.wait([running], timeout=WAIT)
    assert running in done
    found = await in_state(processor, job, "errored")
    assert found.output is not None
    assert found.output.error == "Interrupted"
    assert (await processor.get_healthcheck())["workers"] == []


async def test_a_processor_that_is_closed_stops_its_worker_first(
    processors: Processors, probe: Probe
) -> None:
    """`async with` is left while a worker runs: it writes its ends, and returns as usual."""
    processor = await processors.make(jobs={"held": JobDef(probe.held, resumable=True)}, **GRACES)
    watching = await processors.make()
    worker = RunningWorker(processor)
    job = await processor.schedule_job("held")
    await asyncio.wait_for(probe.began.wait(), WAIT)
    async with asyncio.timeout(WAIT):
        await processor.close()
    assert worker.task.done()
    assert worker.task.exception() is None
    found = await in_state(watching, job, "paused")
    assert (found.crashes, found.worker_id) == (0, None)
    assert (await watching.get_healthcheck())["workers"] == []


async def test_a_processor_that_is_closed_interrupts_run_job(
    processors: Processors, probe: Probe
) -> None:
    """What `run_job` runs is settled before its database is closed."""
    processor = await processors.make(jobs={"held": JobDef(probe.held)}, **GRACES)
    watching = await processors.make()
    running = asyncio.create_task(processor.run_job("held"))
    await asyncio.wait_for(probe.began.wait(), WAIT)
    (job,) = (await processor.find_jobs()).jobs
    async with asyncio.timeout(WAIT):
        await processor.close()
    assert (await in_state(watching, job, "errored")).worker_id is not None
    await asyncio.wait([running], timeout=WAIT)
    running.exception()


async def test_a_processor_that_is_being_closed_runs_nothing_more(
    processors: Processors, probe: Probe
) -> None:
    """Neither a job here and now nor a worker, while what runs is still being interrupted."""
    processor = await processors.make(jobs={"held": JobDef(probe.held)}, **GRACES)
    running = asyncio.create_task(processor.run_job("held"))
    await asyncio.wait_for(probe.began.wait(), WAIT)
    closing = asyncio.create_task(processor.close())
    await asyncio.sleep(0)  # it has begun
    for call in (processor.run_job("held"), processor.run_worker(burst=True)):
        with pytest.raises(NotSetUpError):
            await call
    await closing
    await asyncio.wait([running], timeout=WAIT)
    running.exception()


async def test_a_worker_after_one_that_left_runs_behind(
    processors: Processors, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be written is let go with it: the next one counts only its own."""
    processor = await processors.make(jobs={"held": JobDef(probe.held, resumable=True)}, **GRACES)
    settle = store_of(processor).runs.settle

    async def hang(_: Any) -> Any:
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(store_of(processor).runs, "settle", hang)
        worker = RunningWorker(processor)
        job = await processor.schedule_job("held")
        await asyncio.wait_for(probe.began.wait(), WAIT)
        await stopped(worker)
    assert store_of(processor).runs.settle == settle
    probe.release.set()
    async with asyncio.timeout(WAIT):
        await processor.run_worker(burst=True)  # it rescues what the first one left
    assert (await ended(processor, job)).status is JobStatus.FINISHED
