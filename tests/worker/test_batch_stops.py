"""How jobs of a batch are made to stop: by a kill, of one or all, a shutdown, their time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from job_processor import AbortReason, JobStatus, Retry
from tests.insides import engine_of
from tests.processors import Processors, eventually
from tests.worker.batched import Batched, all_ended, put, statuses
from tests.worker.deaths import claim_as
from tests.worker.probe import ended
from tests.worker.test_kills import DEAD


@pytest.fixture(params=[False, True], ids=["of each", "packed"])
def batched(request: pytest.FixtureRequest) -> Batched:
    """A handler that goes on until it is released."""
    made = Batched()
    made.holds, made.packed = True, request.param
    return made


async def test_a_kill_of_one_is_its_own(processors: Processors, batched: Batched) -> None:
    """Its signal alone aborts; it is killed, and the others finish as if nothing had been."""
    processor, _ = await processors.start(jobs=batched.jobs(3, batch_wait=3600))
    jobs = await put(processor, 0, 1, 2)
    await eventually(lambda: _has(batched, 3))
    await processor.kill_job(jobs[1].id)
    killed = await ended(processor, jobs[1])
    assert killed.status is JobStatus.KILLED
    by_id = {each.job.id: each.signal for each in batched.contexts}
    if not batched.packed:
        assert [by_id[job.id].aborted for job in jobs] == [False, True, False]
        assert by_id[jobs[1].id].reason is AbortReason.KILL
    assert batched.signal is not None
    assert not batched.signal.aborted
    batched.release.set()
    found = await all_ended(processor, jobs)
    assert statuses(found) == ["finished", "killed", "finished"]
    assert not batched.cancelled

    async def all_exited() -> bool:
        return sorted(job.id for job in batched.exited) == sorted(job.id for job in jobs)

    await eventually(all_exited)


async def test_a_kill_of_all_stops_the_handler(processors: Processors, batched: Batched) -> None:
    """The signal of the whole aborts with the last of them, then the handler is cancelled."""
    processor, _ = await processors.start(jobs=batched.jobs(2, batch_wait=3600))
    jobs = await put(processor, 0, 1)
    await eventually(lambda: _has(batched, 2))
    assert (await processor.act_on_jobs("kill", [job.id for job in jobs])).done == 2
    assert statuses(await all_ended(processor, jobs)) == ["killed", "killed"]
    assert batched.signal is not None
    assert batched.signal.aborted

    async def is_free() -> bool:
        return len(engine_of(processor).runs) == 0

    await eventually(is_free)
    assert batched.calls == [[0, 1]]


async def test_a_kill_of_one_that_waits_for_others(
    processors: Processors, batched: Batched
) -> None:
    """It never begins, and its batch goes on without it."""
    processor, _ = await processors.start(jobs=batched.jobs(3, batch_wait=3600))
    batched.holds = False
    (job,) = await put(processor, 0)

    async def is_claimed() -> bool:
        return await processor.count_jobs(status="running") == 1

    await eventually(is_claimed)
    await processor.kill_job(job.id)
    assert (await ended(processor, job)).status is JobStatus.KILLED
    others = await put(processor, 1, 2, 3)
    assert statuses(await all_ended(processor, others)) == ["finished"] * 3
    assert batched.calls == [[1, 2, 3]]


async def test_the_maximum_runtime_is_that_of_the_batch(
    processors: Processors, batched: Batched
) -> None:
    """All of it fail by it, each with an attempt of its own."""
    definitions = batched.jobs(2, batch_wait=3600, max_runtime=0.05, retry=Retry(2, delay=3600))
    processor, _ = await processors.start(jobs=definitions)
    jobs = await put(processor, 0, 1)

    async def waits() -> bool:
        return await processor.count_jobs(status="pending", name="send") == 2

    await eventually(lambda: _has(batched, 2))
    await eventually(waits)
    found = [await processor.get_job(job.id) for job in jobs]
    assert [each.attempt for each in found if each] == [2, 2]
    assert all("max runtime" in (each.attempts[0].error or "") for each in found if each)
    assert batched.cancelled


@pytest.mark.parametrize("resumable", [True, False])
async def test_a_shutdown(processors: Processors, batched: Batched, resumable: bool) -> None:
    """Resumable ones are paused and come together again; others are errored, interrupted."""
    options: dict[str, Any] = {"resumable": resumable, "batch_wait": 3600}
    processor, worker = await processors.start(jobs=batched.jobs(2, **options), shutdown_grace=0.05)
    jobs = await put(processor, 0, 1)
    await eventually(lambda: _has(batched, 2))
    await worker.stop()
    found = [await processor.get_job(job.id) for job in jobs]
    expected = "paused" if resumable else "errored"
    assert [each.status.value for each in found if each] == [expected, expected]
    assert batched.cancelled
    batched.holds = False
    await processor.run_worker(burst=True)
    if resumable:
        assert statuses(await all_ended(processor, jobs)) == ["finished", "finished"]
        assert batched.calls == [[0, 1], [0, 1]]
    else:
        assert all("Interrupted" in (job.output.error or "") for job in found if job and job.output)


async def test_a_handler_that_ends_within_the_grace(
    processors: Processors, batched: Batched
) -> None:
    """What a batch has done when a shutdown asked it is done."""
    processor, worker = await processors.start(jobs=batched.jobs(2, batch_wait=3600))
    jobs = await put(processor, 0, 1)
    await eventually(lambda: _has(batched, 2))
    stopping = asyncio.create_task(worker.stop())
    batched.release.set()
    await stopping
    assert statuses(await all_ended(processor, jobs)) == ["finished", "finished"]


async def test_a_forced_stop_gives_back_what_waits(
    processors: Processors, batched: Batched
) -> None:
    """Nothing of an open batch has begun, so it is no attempt, and no failure."""
    processor, worker = await processors.start(jobs=batched.jobs(3, batch_wait=3600))
    (job,) = await put(processor, 0)

    async def is_claimed() -> bool:
        return await processor.count_jobs(status="running") == 1

    await eventually(is_claimed)
    await worker.crash()
    found = await processor.get_job(job.id)
    assert found is not None
    assert (found.status, found.attempt, found.crashes) == (JobStatus.PENDING, 1, 0)
    assert batched.calls == []


async def test_what_a_dead_worker_left_comes_together_again(
    processors: Processors, batched: Batched
) -> None:
    """Each is rescued by itself; a first crash of several says nothing of which it was."""
    batched.holds = False
    processor = await processors.make(jobs=batched.jobs(3, retry=Retry(2, delay=0)))
    jobs = await put(processor, 0, 1, 2)
    assert len(await claim_as(processor, DEAD, "send", limit=3)) == 3
    await processors.start(jobs=batched.jobs(3, retry=Retry(2, delay=0)))
    found = await all_ended(processor, jobs)
    assert statuses(found) == ["finished"] * 3
    assert [job.attempt for job in found] == [2, 2, 2]


async def test_one_that_was_taken_away_leaves_the_others(
    processors: Processors, batched: Batched
) -> None:
    """Its signal says so, its result is dropped, and theirs are written."""
    processor, _ = await processors.start(jobs=batched.jobs(2, batch_wait=3600))
    jobs = await put(processor, 0, 1)
    await eventually(lambda: _has(batched, 2))
    engine = engine_of(processor)
    run = engine.runs.get(jobs[0].id)
    assert run is not None
    engine.executor.ladder.abort(run, AbortReason.LOST, grace=0)

    async def is_gone() -> bool:
        return jobs[0].id not in engine.runs

    await eventually(is_gone)
    batched.release.set()
    assert statuses(await all_ended(processor, jobs[1:])) == ["finished"]
    assert (await processor.get_job(jobs[0].id)).status is JobStatus.RUNNING  # type: ignore[union-attr]  # it is there


async def _has(batched: Batched, count: int) -> bool:
    """True once a batch of so many has begun."""
    return any(len(call) == count for call in batched.calls)
