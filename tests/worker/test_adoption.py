"""What runs under the id of a worker: it knows all of it, whatever becomes of its registration."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from job_processor import CronDef, Job, JobDef, JobStatus, Rate, SimpleJob, StoreUnavailableError
from job_processor.store.requests import Claim
from job_processor.worker import reconciler
from job_processor.worker.reconciler import Reconciler
from tests.desks import at
from tests.insides import clock_of, engine_of, store_of
from tests.processors import QUICK, WAIT, Processors, eventually
from tests.samples import occurrence
from tests.worker.probe import Probe, ended, in_state


async def test_the_table_of_runs_never_overwrites(processors: Processors, probe: Probe) -> None:
    """A second run of one job is an error, and takes no slot."""
    processor, _ = await processors.start(jobs={"a": JobDef(probe.held)})
    job = await processor.schedule_job("a")
    await asyncio.wait_for(probe.began.wait(), WAIT)
    engine = engine_of(processor)
    run = engine.runs.get(job.id)
    assert run is not None
    with pytest.raises(ValueError, match=str(job.id)):
        engine.executor.start(run.job, run.definition)
    assert engine.runs.get(job.id) is run
    assert engine.runs.of_worker == 1
    probe.release.set()
    await ended(processor, job)


@pytest.mark.parametrize("verb", ["intake.insert", "runs.settle"])
async def test_run_job_beside_a_worker_is_never_adopted(
    processors: Processors, probe: Probe, verb: str
) -> None:
    """However late the reply to its insert or its end, whoever looks for unknown runs waits."""
    processor, _ = await processors.start(jobs={"a": JobDef(probe.held)})
    engine, (desk, name) = engine_of(processor), at(store_of(processor), verb)
    write: Callable[..., Awaitable[Any]] = getattr(desk, name)
    applied, let_go = asyncio.Event(), asyncio.Event()

    async def late(*arguments: Any) -> Any:
        answer = await write(*arguments)
        applied.set()
        await let_go.wait()
        return answer

    setattr(desk, name, late)
    running = asyncio.create_task(processor.run_job("a"))
    if verb == "runs.settle":
        probe.release.set()
    await asyncio.wait_for(applied.wait(), WAIT)
    looking = asyncio.create_task(Reconciler(engine).reconcile(adopt=True))
    await asyncio.sleep(0.1)  # it would look, if it could
    let_go.set()
    await asyncio.wait_for(looking, WAIT)
    probe.release.set()
    done = await asyncio.wait_for(running, WAIT)
    assert (done.status, probe.most) == (JobStatus.FINISHED, 1)
    assert (len(engine.runs), engine.runs.of_worker) == (0, 0)


async def test_a_renewal_waits_for_the_insert_of_run_job(
    processors: Processors, probe: Probe
) -> None:
    """The id does not change between the insert and the table, so its run is moved, too."""
    processor, _ = await processors.start(jobs={"a": JobDef(probe.held)})
    engine, store = engine_of(processor), store_of(processor)
    insert = store.intake.insert
    applied, let_go = asyncio.Event(), asyncio.Event()

    async def late(jobs: Any) -> Any:
        answer = await insert(jobs)
        applied.set()
        await let_go.wait()
        return answer

    store.intake.insert = late  # type: ignore[method-assign]
    before = engine.worker_id
    running = asyncio.create_task(processor.run_job("a"))
    await asyncio.wait_for(applied.wait(), WAIT)
    await store.workers.unregister(before)
    await asyncio.sleep(3 * QUICK["heartbeat_interval"])  # a heartbeat has found it gone by now
    assert engine.worker_id == before
    let_go.set()
    await asyncio.wait_for(probe.began.wait(), WAIT)

    async def renewed() -> bool:
        return engine.worker_id != before

    await eventually(renewed)
    probe.release.set()
    done = await asyncio.wait_for(running, WAIT)
    assert (done.status, done.worker_id) == (JobStatus.FINISHED, engine.worker_id)


@pytest.mark.parametrize("workers", [3])
async def test_registrations_that_a_clock_removed_kill_nobody(
    processors: Processors, caplog: pytest.LogCaptureFixture, workers: int
) -> None:
    """As the TTL does when the database's clock jumps: all register anew and move their runs."""
    probes = [Probe() for _ in range(workers)]
    made = []
    for number, probe in enumerate(probes):
        name = f"of_{number}"
        processor, _ = await processors.start(jobs={name: JobDef(probe.held)})
        made.append((processor, await processor.schedule_job(name)))
        await asyncio.wait_for(probe.began.wait(), WAIT)
    before = [engine_of(processor).worker_id for processor, _ in made]
    store = store_of(made[0][0])
    for _ in range(3):
        for worker in (await store.workers.registrations()).workers:
            await store.workers.unregister(worker.id)
        await asyncio.sleep(QUICK["worker_timeout"])  # so long a rescuer watches who is missing
    for (processor, job), old, probe in zip(made, before, probes, strict=True):
        assert engine_of(processor).worker_id != old
        assert (await in_state(processor, job, "running")).crashes == 0
        probe.release.set()
        assert (await ended(processor, job)).status is JobStatus.FINISHED
    assert "rescued" not in caplog.text
    assert "taken away" not in caplog.text


async def test_a_registration_that_cannot_be_renewed_at_once_is_renewed_later(
    processors: Processors, probe: Probe, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the database says to it, the next heartbeat tries again, and runs go on."""
    processor, _ = await processors.start(jobs={"a": JobDef(probe.held)})
    job = await processor.schedule_job("a")
    await asyncio.wait_for(probe.began.wait(), WAIT)
    engine, store = engine_of(processor), store_of(processor)
    register, failures = store.workers.register, 2

    async def fails_twice(info: Any) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise RuntimeError("something that nobody foresaw")
        await register(info)

    store.workers.register = fails_twice  # type: ignore[method-assign, assignment]
    before = engine.worker_id
    await store.workers.unregister(before)

    async def renewed() -> bool:
        return engine.worker_id != before and not engine.lease.former

    await eventually(renewed)
    assert (await in_state(processor, job, "running")).worker_id == engine.worker_id
    probe.release.set()
    assert (await ended(processor, job)).status is JobStatus.FINISHED


async def test_a_claim_whose_reply_is_lost_skips_all_the_same(processors: Processors) -> None:
    """What its rate, its expiry or its cron let no claim begin is not begun by whoever finds it."""
    began: list[str] = []

    async def note(job: Job) -> None:
        began.append(job.name)

    rated = JobDef(note, rate=Rate(1, per=3600, burst=1, on_full="skip"))
    processor, _ = await processors.start(
        jobs={"rated": rated, "late": JobDef(note)},
        crons={"missed": CronDef("0 0 1 1 *", note, misfire="skip")},
    )
    await ended(processor, await processor.schedule_job("rated"))
    store = store_of(processor)
    claim = at(store, "queue.claim")
    lost = asyncio.Event()
    call = getattr(*claim)

    async def loses_a_reply(wish: Claim) -> Any:
        jobs = await call(wish)
        if jobs and not lost.is_set():
            lost.set()
            raise StoreUnavailableError("the reply was lost")
        return jobs

    setattr(*claim, loses_a_reply)
    missed = occurrence("missed", at=clock_of(processor).now() - timedelta(days=1))

    async def schedule(name: str) -> Job:
        if name == "missed":
            await store.intake.insert([missed])
            return missed
        expires_at = timedelta(milliseconds=1) if name == "late" else None
        return await processor.schedule_job(name, expires_at=expires_at)

    for name in ("rated", "late", "missed"):
        lost.clear()
        job = await schedule(name)
        await asyncio.wait_for(lost.wait(), WAIT)
        assert (await ended(processor, job)).status is JobStatus.SKIPPED
    assert began == ["rated"]


async def test_more_runs_than_one_look_reads(
    processors: Processors, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever runs under our id without our knowing is found, however many we know."""
    monkeypatch.setattr(reconciler, "RESCUE_BATCH", 3)
    known = 8

    async def waits(job: SimpleJob) -> None:
        await probe.release.wait()

    processor, worker = await processors.start(
        jobs={"known": JobDef(waits)}, concurrency=known + 10, kill_grace=5
    )
    engine = engine_of(processor)
    await processor.schedule_jobs(("known",) for _ in range(known))

    async def all_run() -> bool:
        return len(engine.runs) == known

    await eventually(all_run)
    producer = await processors.make(jobs={"unheard": JobDef(None)})
    job = await producer.schedule_job("unheard")
    wish = Claim(engine.worker_id, ("unheard",), 1, clock_of(processor).now())
    assert len(await store_of(processor).queue.claim(wish)) == 1  # its reply is lost
    engine.registry.add_job("unheard", JobDef(probe.held))
    await Reconciler(engine).reconcile(adopt=True)
    assert job.id in engine.runs
    probe.release.set()
    assert (await ended(processor, job)).status is JobStatus.FINISHED
    await worker.stop()
