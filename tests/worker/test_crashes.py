"""Crashed workers, lost registrations and lost replies, on both stores."""

from __future__ import annotations

import asyncio
import time

import pytest
from bson import ObjectId

from job_processor import JobDef, JobProcessor, JobStatus, Retry, SimpleJob
from job_processor.models import Job
from job_processor.settings import ORPHAN_NAME_SECONDS
from job_processor.store.requests import Claim, Settlement
from job_processor.worker.outcomes import rescue
from job_processor.worker.reconciler import Reconciler
from job_processor.worker.rescuer import Rescuer
from tests.insides import clock_of, engine_of, store_of
from tests.processors import QUICK, WAIT, Processors, eventually
from tests.worker.deaths import die_holding
from tests.worker.probe import Probe, ended, in_state


async def test_a_crash_is_noticed_and_settled(processors: Processors, probe: Probe) -> None:
    """A dead worker's runs: resumable → run again, retry → retried, else errored; hooks called."""
    ran: list[str] = []

    async def handler(job: SimpleJob) -> None:
        ran.append(job.name)

    jobs = {
        "resumable": JobDef(handler, resumable=True),
        "retried": JobDef(handler, retry=Retry(delay=0)),
        "plain": JobDef(handler, on_job_exited=probe.exit_hook),
    }
    processor = await processors.make(jobs=jobs)
    made = await processor.schedule_jobs(list(jobs))
    (first, *_) = claimed = await die_holding(processor, list(jobs))
    assert len(claimed) == 3
    await processors.worker(processor)
    resumed, retried, plain = [await ended(processor, job) for job in made]
    assert (resumed.status, retried.status, plain.status) == ("finished", "finished", "errored")
    assert plain.output is not None
    assert plain.output.error == "Worker crashed unexpectedly"
    assert resumed.started_at == first.started_at
    assert retried.attempt == 2
    assert sorted(ran) == ["resumable", "retried"]

    async def hooked() -> bool:
        return [job.id for job in probe.exited] == [plain.id]

    await eventually(hooked)
    assert [w["worker"]["hostname"] for w in (await processor.get_healthcheck())["workers"]] != []


async def test_nobody_is_rescued_before_its_time(processors: Processors, probe: Probe) -> None:
    """A worker that is silent for less than its own timeout is alive, whatever ours is."""
    jobs = {"a": JobDef(probe.held)}
    processor = await processors.make(jobs=jobs)
    job = await processor.schedule_job("a")
    await die_holding(processor, ["a"], timeout_s=3600)
    node = await processor.schedule_job("a")
    await die_holding(processor, ["a"], timeout_s=None)
    await processors.worker(processor)
    engine = engine_of(processor)  # when its rescuer may judge has no public face

    async def confident() -> bool:
        return engine.lease.unbroken_for() > 1.5

    await eventually(confident)
    for each in (job, node):
        assert (await in_state(processor, each, "running")).worker_id is not None


@pytest.mark.slow
async def test_ten_rescuers_call_a_hook_once(processors: Processors, probe: Probe) -> None:
    """However many workers rescue at the same moment, each crash is settled and hooked once."""
    jobs = {"a": JobDef(probe.held, on_job_exited=probe.exit_hook)}
    rescuers = [await processors.make(jobs=jobs) for _ in range(10)]
    made = await rescuers[0].schedule_jobs(("a",) for _ in range(20))
    await die_holding(rescuers[0], ["a"], timeout_s=1e-6)
    engines = [engine_of(each) for each in rescuers]
    for engine in engines:
        await engine.start()
        engine.lease.unbroken_since = lambda: 0.0  # type: ignore[method-assign]
    watching = [Rescuer(engine) for engine in engines if engine is not None]
    first = await asyncio.gather(*(each.rescue() for each in watching))
    assert sum(first) == 0  # nobody is dead at first sight
    counts = await asyncio.gather(*(each.rescue() for each in watching))
    counts += await asyncio.gather(*(each.rescue() for each in watching))
    for engine in engines:
        await engine.hooks.ended(lambda _: True, WAIT)
        await engine.stop()
    assert sum(counts) == 20
    assert sorted(job.id for job in probe.exited) == sorted(job.id for job in made)


async def test_a_job_that_kills_every_worker_ends_errored(processors: Processors) -> None:
    """The third crash without a settlement in between is the last, resumable or not."""
    ran = 0

    async def handler() -> None:
        nonlocal ran
        ran += 1

    jobs = {"poison": JobDef(handler, resumable=True)}
    processor = await processors.make(jobs=jobs)
    job = await processor.schedule_job("poison")
    engine = engine_of(processor)
    await engine.start()
    engine.lease.unbroken_since = lambda: 0.0  # type: ignore[method-assign]
    for crash in range(1, 4):
        (claimed,) = await die_holding(processor, ["poison"], timeout_s=0.001)
        assert claimed.crashes == crash - 1
        await eventually(Rescuer(engine).rescue)
    await engine.stop()
    done = await ended(processor, job)
    assert done.status is JobStatus.ERRORED
    assert done.output is not None
    assert done.output.error == "crashed its worker 3 times"


async def test_a_kill_asked_of_a_dead_worker_ends_the_job_killed(processors: Processors) -> None:
    """The rescuer finds the pending kill request of a resumable run and obeys it."""

    async def handler() -> None: ...

    jobs = {"a": JobDef(handler, resumable=True)}
    processor = await processors.make(jobs=jobs)
    job = await processor.schedule_job("a")
    await die_holding(processor, ["a"])
    assert (await processor.kill_job(job.id)).status is JobStatus.RUNNING
    await processors.worker(processor)
    assert (await ended(processor, job)).status is JobStatus.KILLED


async def test_a_kill_survives_the_shutdown_of_its_worker(
    processors: Processors, probe: Probe
) -> None:
    """A run that is paused while a kill is on its way ends killed, not resumed."""
    jobs = {"a": JobDef(probe.held, resumable=True)}
    processor, worker = await processors.start(jobs=jobs, poll_interval=3600, kill_grace=0.1)
    job = await processor.schedule_job("a")
    await asyncio.wait_for(probe.began.wait(), WAIT)
    running = await in_state(processor, job, "running")
    store = store_of(processor)  # a request whose hint got lost
    assert running.worker_id is not None
    stopping = asyncio.create_task(worker.stop())
    await store.kills.request(job.id, running.worker_id, running.updated_at)
    await stopping
    assert (await ended(processor, job)).status is JobStatus.KILLED
    assert await store.kills.requested([job.id]) == set()


async def test_a_busy_loop_is_not_a_dead_worker(processors: Processors) -> None:
    """A handler that blocks the event loop for three timeouts is run once: the heart beats on."""
    ran: list[float] = []

    async def blocking(job: SimpleJob) -> str:
        ran.append(time.monotonic())
        time.sleep(3 * QUICK["worker_timeout"])  # noqa: ASYNC251  # blocking the loop is the test
        return "done"

    processor, _ = await processors.start(jobs={"a": JobDef(blocking, resumable=True)})
    watcher = await processors.make(jobs={"a": JobDef(blocking, resumable=True)})
    job = await processor.schedule_job("a")
    done = await ended(watcher, job)
    assert done.status is JobStatus.FINISHED
    assert len(ran) == 1


async def test_a_worker_whose_registration_is_gone_moves_its_runs(
    processors: Processors, probe: Probe
) -> None:
    """It registers anew and goes on; a run that was taken away meanwhile is cancelled."""
    jobs = {"a": JobDef(probe.held)}
    processor, _ = await processors.start(jobs=jobs)
    kept, taken = await processor.schedule_jobs(["a", "a"])

    async def both() -> bool:
        return probe.running == 2

    await eventually(both)
    before = await in_state(processor, kept, "running")
    assert before.worker_id is not None
    store = store_of(processor)  # as if a rescuer had been here
    engine = engine_of(processor)
    run = engine.runs.get(taken.id)
    assert run is not None
    outcome = rescue(run.job, run.definition, killed=False, at=clock_of(processor).now())
    assert (await store.runs.settle([Settlement(run.job, outcome, ObjectId())])).won == {taken.id}
    await store.workers.unregister(before.worker_id)

    async def one() -> bool:
        return probe.running == 1

    await eventually(one)
    after = await in_state(processor, kept, "running")
    assert after.worker_id not in (None, before.worker_id)
    probe.release.set()
    assert (await ended(processor, kept)).status is JobStatus.FINISHED
    assert (await ended(processor, taken)).status is JobStatus.ERRORED


async def test_a_result_of_a_run_that_was_taken_away_is_dropped(
    processors: Processors, probe: Probe, caplog: pytest.LogCaptureFixture
) -> None:
    """A settlement that is not ours any more writes nothing, calls no hook, and is logged."""
    jobs = {"a": JobDef(probe.held, on_job_exited=probe.exit_hook)}
    processor, worker = await processors.start(jobs=jobs)
    job = await processor.schedule_job("a")
    await asyncio.wait_for(probe.began.wait(), WAIT)
    running = await in_state(processor, job, "running")
    store = store_of(processor)  # another worker took it
    assert running.worker_id is not None
    other = ObjectId()
    await store.runs.move(running.worker_id, other)
    probe.release.set()

    async def said() -> bool:
        return "taken away" in caplog.text

    await eventually(said)
    still = await in_state(processor, job, "running")
    assert still.worker_id == other
    await worker.stop()
    assert probe.exited == []


async def test_a_worker_adopts_what_runs_under_its_id(processors: Processors, probe: Probe) -> None:
    """A claim whose reply was lost is found, and run once."""
    jobs = {"a": JobDef(probe.held)}
    processor, _ = await processors.start(jobs=jobs)
    engine = engine_of(processor)

    async def registered() -> bool:
        return bool((await processor.get_healthcheck())["workers"])

    await eventually(registered)
    lost = await processors.make(jobs={"b": JobDef(probe.held)})
    made = await lost.schedule_job("b")
    engine.registry.add_job("b", JobDef(probe.polite))
    store = store_of(processor)  # the claim that the worker does not hear of
    for job in await store.runs.of_worker(engine.worker_id, 10):
        assert job.id in engine.runs
    await _claim_unheard(processor, made)
    await Reconciler(engine).reconcile(adopt=True)
    probe.release.set()
    assert (await ended(processor, made)).status is JobStatus.FINISHED


async def _claim_unheard(processor: JobProcessor, made: Job) -> None:
    engine = engine_of(processor)
    if (await processor.get_job(made.id)) == made:
        claim = Claim(engine.worker_id, (made.name,), 1, clock_of(processor).now())
        await store_of(processor).queue.claim(claim)


async def test_an_orphan_whose_name_nobody_knows_waits(processors: Processors) -> None:
    """A dead run of an unknown name is errored only after ten minutes, not at once."""

    async def handler() -> None: ...

    stranger = await processors.make(jobs={"theirs": JobDef(None)})  # no service lists it
    job = await stranger.schedule_job("theirs")
    await die_holding(stranger, ["theirs"], timeout_s=0.001, known=False)
    processor = await processors.make(jobs={"ours": JobDef(handler)})
    engine = engine_of(processor)
    await engine.start()
    engine.lease.unbroken_since = lambda: 0.0  # type: ignore[method-assign]
    watching = Rescuer(engine)

    async def orphaned() -> bool:
        assert await watching.rescue() == 0
        return bool(watching._orphaned_since)

    await eventually(orphaned)
    assert await watching.rescue() == 0
    assert await watching.rescue() == 0
    (since,) = watching._orphaned_since.values()  # ten minutes are too long to wait
    watching._orphaned_since[job.id] = since - ORPHAN_NAME_SECONDS
    await eventually(watching.rescue)
    await engine.stop()
    assert (await ended(processor, job)).status is JobStatus.ERRORED
