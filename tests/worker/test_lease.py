"""A worker claims only while nobody can have declared it dead, and never what it runs still."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from bson import ObjectId

from job_processor import JobDef, JobProcessor, JobStatus, SimpleJob
from job_processor.errors import StoreUnavailableError
from job_processor.models import Job
from job_processor.store.base import Pulse
from job_processor.store.requests import Claim, Outcome, Settlement
from job_processor.worker import reconciler, stopwatch
from job_processor.worker.reconciler import Reconciler
from job_processor.worker.stopwatch import Elapsed, Moment
from tests.desks import at
from tests.insides import clock_of, engine_of, store_of
from tests.processors import QUICK, WAIT, Processors, eventually
from tests.worker.probe import Probe, ended, in_state

PAUSED = Outcome(JobStatus.PAUSED, at=None, crashes=1)  # type: ignore[arg-type]  # set below


class Line:
    """The connections of a worker's heartbeats, which a test cuts: its own, the main one."""

    def __init__(self, processor: JobProcessor) -> None:
        self.own_is_cut = False
        self.main_is_cut = False
        self.beats: Counter[str] = Counter()
        store = store_of(processor)  # what is cut has no public face
        open_pulse, beat = store.open_pulse, store.workers.beat
        line = self

        class CutPulse(Pulse):
            def __init__(self, patience: float | None) -> None:
                self._pulse = open_pulse(patience)

            def beat(self, *arguments: Any) -> bool:
                line._pass("own", cut=line.own_is_cut)
                return self._pulse.beat(*arguments)

            def close(self) -> None:
                self._pulse.close()

        async def cut_beat(*arguments: Any) -> bool:
            line._pass("main", cut=line.main_is_cut)
            return await beat(*arguments)

        store.open_pulse = CutPulse  # type: ignore[method-assign, assignment]
        store.workers.beat = cut_beat  # type: ignore[method-assign, assignment]

    def _pass(self, which: str, *, cut: bool) -> None:
        if cut:
            raise StoreUnavailableError(f"the {which} connection is cut")
        self.beats[which] += 1


async def until_not_held(processor: JobProcessor) -> None:
    """Return once the lease is too old for a claim."""

    async def too_old() -> bool:
        return not engine_of(processor).lease.is_held

    await eventually(too_old, "a lease that is too old")


async def take_away(processor: JobProcessor, run: Job) -> None:
    """Pause a run as a rescuer does that believes its worker dead."""
    outcome = replace(PAUSED, at=clock_of(processor).now())
    verdict = await store_of(processor).runs.settle([Settlement(run, outcome, ObjectId())])
    assert verdict.won == {run.id}


async def test_nothing_is_claimed_without_heartbeats_and_runs_go_on(
    processors: Processors, probe: Probe
) -> None:
    """With neither connection, what runs goes on, and what is due waits for the next heartbeat."""
    processor = await processors.make(jobs={"a": JobDef(probe.held)})
    line = Line(processor)
    await processors.worker(processor)
    first = await processor.schedule_job("a")
    await asyncio.wait_for(probe.began.wait(), WAIT)
    line.own_is_cut = line.main_is_cut = True
    await until_not_held(processor)
    second = await processor.schedule_job("a")
    claims = 0
    claim = store_of(processor).queue.claim

    async def counted(claim_: Claim) -> list[Job]:
        nonlocal claims
        claims += 1
        return await claim(claim_)

    store_of(processor).queue.claim = counted  # type: ignore[method-assign, assignment]
    await asyncio.sleep(3 * QUICK["poll_interval"])  # nothing happens, and sends no event
    assert claims == 0
    assert (await in_state(processor, second, "pending")).worker_id is None
    assert probe.running == 1
    line.own_is_cut = line.main_is_cut = False
    await in_state(processor, second, "running")
    probe.release.set()
    assert (await ended(processor, first)).status is JobStatus.FINISHED
    assert (await ended(processor, second)).status is JobStatus.FINISHED


async def test_a_heartbeat_without_its_own_connection_takes_the_main_one(
    processors: Processors, probe: Probe, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker lives on, claims on, and says once which way its heartbeats go."""
    jobs = {"a": JobDef(probe.held)}
    processor = await processors.make(jobs=jobs)
    line = Line(processor)
    line.own_is_cut = True
    await processors.worker(processor)
    await processors.start(jobs={"b": JobDef(probe.held)})  # a rescuer
    job = await processor.schedule_job("a")
    await asyncio.wait_for(probe.began.wait(), WAIT)

    async def many() -> bool:
        wanted: float = 3 * QUICK["worker_timeout"] / QUICK["heartbeat_interval"]
        return line.beats["main"] > wanted

    await eventually(many, "three timeouts of heartbeats")
    assert line.beats["own"] == 0
    probe.release.set()
    assert (await ended(processor, job)).status is JobStatus.FINISHED
    assert caplog.text.count("it goes through the worker's other connection") == 1
    assert "dead" not in caplog.text


@pytest.mark.parametrize(
    ("clock", "ahead"),
    [("wall", 600.0), ("wall", -600.0), ("wall", 3e8), ("wall", -3e8), ("boot", 600.0)],
)
@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
async def test_where_the_clocks_disagree_it_beats_first(
    processors: Processors,
    probe: Probe,
    monkeypatch: pytest.MonkeyPatch,
    clock: str,
    ahead: float,
) -> None:
    """A machine that slept, or whose clock was set: the next claim follows a new heartbeat."""
    processor = await processors.make(
        jobs={"a": JobDef(probe.held)}, heartbeat_interval=3600, worker_timeout=7200
    )
    line = Line(processor)
    await processors.worker(processor)

    async def begun() -> bool:
        return line.beats["own"] == 1

    await eventually(begun)
    line.own_is_cut = True  # no heartbeat comes by itself from now on
    lease = engine_of(processor).lease
    assert lease.is_held
    now = Moment.now

    def shifted() -> Moment:
        moment = now()
        return moment._replace(**{clock: getattr(moment, clock) + ahead})

    monkeypatch.setattr(stopwatch.Moment, "now", staticmethod(shifted))
    line.main_is_cut = True
    with pytest.raises(StoreUnavailableError):
        await lease.hold()
    line.main_is_cut = False
    job = await processor.schedule_job("a")
    await in_state(processor, job, "running")
    assert line.beats["main"] >= 1
    assert lease.is_held
    probe.release.set()


def test_elapsed_is_what_the_fastest_clock_counts() -> None:
    """No more than that has passed; the clocks agree to a second, or it is not certain."""
    began = Moment(100.0, 1000.0, 1e9)
    for later, seconds, certain in (
        (Moment(110.0, 1010.0, 1e9 + 10), 10.0, True),
        (Moment(110.0, 1010.0, 1e9 + 10.9), 10.9, True),
        (Moment(110.0, 1700.0, 1e9 + 700), 700.0, False),  # it slept
        (Moment(110.0, 1010.0, 1e9 - 700), 10.0, False),
        (Moment(110.0, 1010.0, 1e9 + 700), 700.0, False),
    ):
        elapsed = Elapsed.between(began, later)
        assert elapsed.seconds == pytest.approx(seconds)
        assert elapsed.is_certain is certain
    assert Elapsed.between(began, Moment(110.0, 1700.0, 1e9 + 700)).stepped == pytest.approx(0)


async def test_a_claim_that_takes_too_long_is_looked_up_again(
    processors: Processors,
    probe: Probe,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What it brought is not begun: others may have it. It is taken up if it is ours still."""
    processor = await processors.make(jobs={"a": JobDef(probe.held, resumable=True)})
    engine = engine_of(processor)
    store, ran_late = store_of(processor), []
    claim = store.queue.claim
    late = asyncio.Event()

    async def slow(wish: Claim) -> list[Job]:
        jobs = await claim(wish)
        if jobs and not late.is_set():
            late.set()
            ran_late.extend(jobs)
            now = Moment.now
            monkeypatch.setattr(
                stopwatch.Moment,
                "now",
                staticmethod(lambda: now()._replace(boot=now().boot + 3600)),
            )
        return jobs

    store.queue.claim = slow  # type: ignore[method-assign, assignment]
    await processors.worker(processor)
    job = await processor.schedule_job("a")
    await asyncio.wait_for(late.wait(), WAIT)
    await asyncio.wait_for(probe.began.wait(), WAIT)
    assert f"adopting job 'a' ({job.id})" in caplog.text  # by a look under a new heartbeat
    assert probe.most == 1
    assert [each.id for each in ran_late] == [job.id]
    probe.release.set()
    assert (await ended(processor, job)).status is JobStatus.FINISHED
    assert engine.runs.of_worker == len(engine.runs) == 0


@pytest.mark.parametrize("db_url", ["sqlite", "mongo"], indirect=True)
async def test_a_worker_taken_for_dead_runs_no_job_twice(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """Its handler cleans up while the job waits again; the second run begins after that."""
    at_once, most, runs = 0, 0, 0

    async def cleans_up() -> None:
        nonlocal at_once, most, runs
        at_once, runs = at_once + 1, runs + 1
        most = max(most, at_once)
        try:
            await asyncio.sleep(3600 if runs == 1 else 0)
        finally:
            if runs == 1:
                await asyncio.sleep(0.5)
            at_once -= 1

    processor = await processors.make(
        jobs={"a": JobDef(cleans_up, resumable=True)}, kill_grace=WAIT, concurrency=2
    )
    worker = await processors.worker(processor)
    engine, store = engine_of(processor), store_of(processor)
    job = await processor.schedule_job("a")
    running = await in_state(processor, job, "running")
    await take_away(processor, running)

    async def claimed_again() -> bool:
        return "giving back" in caplog.text

    await eventually(claimed_again)
    await store.workers.unregister(engine.worker_id)  # told twice, its handler cleans up in peace
    done = await ended(processor, job)
    assert (done.status, most, runs) == (JobStatus.FINISHED, 1, 2)
    await worker.stop()
    assert (len(engine.runs), engine.runs.of_worker, engine.runs.held) == (0, 0, set())
    assert engine.runs.free_slots(2) == 2


async def test_a_job_sent_round_again_while_its_end_is_reported(
    processors: Processors, probe: Probe
) -> None:
    """Whoever retries by hand is quicker than the report of the end: two runs, and no slot lost."""
    ran = 0

    async def handler() -> None:
        nonlocal ran
        ran += 1

    processor = await processors.make(jobs={"a": JobDef(handler)}, concurrency=1)
    engine, store = engine_of(processor), store_of(processor)
    settle = store.runs.settle

    async def retried_at_once(settlements: Any) -> Any:
        verdict = await settle(settlements)
        if ran == 1:
            assert await store.history.requeue(job.id, clock_of(processor).now()) is not None
            await asyncio.sleep(3 * QUICK["poll_interval"])  # its worker claims meanwhile
        return verdict

    store.runs.settle = retried_at_once  # type: ignore[method-assign]
    job = await processor.schedule_job("a")
    worker = await processors.worker(processor)

    async def twice() -> bool:
        return ran == 2 and (await processor.get_job(job.id)).settled  # type: ignore[union-attr]

    await eventually(twice)
    await worker.stop()
    assert (len(engine.runs), engine.runs.of_worker) == (0, 0)
    assert engine.runs.free_slots(1) == 1


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
