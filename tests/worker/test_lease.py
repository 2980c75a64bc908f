"""A worker claims only while nobody can have declared it dead, and never what it runs still."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from job_processor import JobDef, JobStatus
from job_processor.errors import StoreUnavailableError
from job_processor.models import Job
from job_processor.store.requests import Claim
from job_processor.worker import stopwatch
from job_processor.worker.stopwatch import Elapsed, Moment
from tests.insides import clock_of, engine_of, store_of
from tests.processors import QUICK, WAIT, Processors, eventually
from tests.worker.lines import Line, take_away, until_not_held
from tests.worker.probe import Probe, ended, in_state


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

    async def counted(claim_: Claim) -> Sequence[Job]:
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
    store, ran_late = store_of(processor), list[Job]()
    claim = store.queue.claim
    late = asyncio.Event()

    async def slow(wish: Claim) -> Sequence[Job]:
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

    async def left_the_table() -> bool:
        return engine.runs.of_worker == len(engine.runs) == 0

    await eventually(left_the_table, "a table without the run")


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
