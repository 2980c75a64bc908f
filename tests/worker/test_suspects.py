"""Who is to blame for a dead worker: after the first time only what ran alone among suspects."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from bson import ObjectId

from job_processor import Context, JobDef, JobProcessor, JobStatus, SimpleJob
from job_processor.models import Job
from job_processor.settings import CRASH_LIMIT
from job_processor.store.requests import Claim, Outcome, Settlement
from job_processor.worker.outcomes import POISONOUS, is_suspect, rescue
from job_processor.worker.rescuer import Rescuer
from tests.insides import clock_of, engine_of, store_of
from tests.processors import QUICK, WAIT, Processors, eventually
from tests.samples import simple
from tests.worker.deaths import claim_as, die_holding
from tests.worker.probe import ended, in_state


@dataclass
class Fleet:
    """A model of workers under one rule: how they claim, and whom a death is counted against."""

    apart: bool
    """Whether suspects run one at a time in each worker."""
    waiting: dict[str, int] = field(default_factory=dict)
    """How often each waiting job has crashed."""
    errored: set[str] = field(default_factory=set)
    finished: set[str] = field(default_factory=set)

    def live(self, slots: int, chance: random.Random) -> None:
        """Let one worker claim what it may, until the poisonous one takes it down or all ends."""
        running: list[str] = []
        for name in chance.sample(sorted(self.waiting), len(self.waiting)):
            suspects = any(self.waiting[each] for each in running)
            if len(running) < slots and not (self.apart and suspects and self.waiting[name]):
                running.append(name)
        if not any(name.startswith("poison") for name in running):
            for name in running:
                del self.waiting[name]
                self.finished.add(name)
            return
        suspects_running = [name for name in running if self.waiting[name]]
        for name in running:
            alone = not self.apart or len(suspects_running) == 1
            self.waiting[name] += alone or not self.waiting[name]
            if self.waiting[name] == CRASH_LIMIT:
                del self.waiting[name]
                self.errored.add(name)


@pytest.mark.parametrize(("apart", "innocents_errored"), [(False, True), (True, False)])
def test_the_choice(apart: bool, innocents_errored: bool) -> None:
    """Counted against all that ran, neighbours are errored; apart, the poisonous one alone."""
    wronged = 0
    for seed in range(200):
        fleet = Fleet(apart, dict.fromkeys(("poison", "one", "two"), 0))
        while fleet.waiting:
            fleet.live(slots=10, chance=random.Random(seed))
        assert "poison" in fleet.errored
        wronged += len(fleet.errored) - 1
    assert (wronged > 0) is innocents_errored


def test_two_poisonous_jobs_and_many_innocent_ones() -> None:
    """Among all that began together, only those that kill are errored, whatever comes first."""
    for seed in range(200):
        chance = random.Random(seed)
        names = ["poison 1", "poison 2", *(f"innocent {n}" for n in range(8))]
        fleet = Fleet(apart=True, waiting=dict.fromkeys(names, 0))
        while fleet.waiting:
            fleet.live(slots=chance.randint(1, 10), chance=chance)
        assert fleet.errored == {"poison 1", "poison 2"}


async def rescuing(processor: JobProcessor) -> Rescuer:
    """Return a rescuer that may judge at once."""
    engine = engine_of(processor)
    engine.lease.unbroken_since = lambda: 0.0  # type: ignore[method-assign]
    return Rescuer(engine)


async def test_only_what_ran_alone_among_suspects_is_counted(processors: Processors) -> None:
    """The first death counts for all; the next for the lone suspect; of two of them for neither."""

    async def handler() -> None: ...

    jobs = {"a": JobDef(handler, resumable=True)}
    processor = await processors.make(jobs=jobs)
    made = await processor.schedule_jobs(["a", "a", "a"])
    engine = engine_of(processor)

    async def crashes() -> list[int]:
        found = [await processor.get_job(job.id) for job in made]
        return sorted(job.crashes for job in found if job is not None)

    async with engine:
        watching = await rescuing(processor)
        for limit, expected in ((3, [1, 1, 1]), (1, [1, 1, 2]), (3, [1, 1, 2]), (2, [1, 1, 2])):
            assert len(await die_holding(processor, ["a"], limit, timeout_s=0.001)) == limit
            await eventually(watching.rescue)
            assert await crashes() == expected


async def test_a_saved_state_is_progress(processors: Processors) -> None:
    """A run that saved a state before it crashed begins to count anew, without a write more."""

    async def handler(context: Context) -> None: ...

    jobs = {"a": JobDef(handler, resumable=True)}
    processor = await processors.make(jobs=jobs)
    job = await processor.schedule_job("a")
    engine = engine_of(processor)
    async with engine:
        watching = await rescuing(processor)
        for saves, expected in ((False, 1), (False, 2), (True, 1), (False, 2), (True, 1)):
            (run,) = await die_holding(processor, ["a"], 1, timeout_s=0.001)
            if saves:
                assert await engine.store.runs.save_state(run, {"row": 7})
            await eventually(watching.rescue)
            found = await processor.get_job(job.id)
            assert found is not None
            assert (found.status, found.crashes) == (JobStatus.PAUSED, expected)


def test_a_state_of_an_earlier_run_is_no_progress_of_this_one() -> None:
    """It belongs to the run of the claim in which it was saved."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    job = simple(
        at=moment,
        status=JobStatus.RUNNING,
        crashes=2,
        state_saved=moment.replace(year=2020),
    )
    definition = JobDef(None, resumable=True)
    assert is_suspect(job)
    last = rescue(job, definition, killed=False, at=moment)
    assert (last.status, last.crashes) == (JobStatus.ERRORED, 3)
    assert last.output is not None
    assert last.output.error == POISONOUS
    beside = rescue(job, definition, killed=False, at=moment, alone=False)
    assert (beside.status, beside.crashes) == (JobStatus.PAUSED, 2)


class Suspects:
    """A handler that tells how many of its kind run at once, until it is released."""

    def __init__(self) -> None:
        self.at_once = 0
        self.most = 0
        self.ran: list[ObjectId] = []
        self.release = asyncio.Event()

    async def run(self, job: SimpleJob, context: Context) -> None:
        """Run until released."""
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self.ran.append(job.id)
        await self.release.wait()
        self.at_once -= 1


async def crashed_once(processor: JobProcessor, name: str, count: int) -> list[Job]:
    """Return paused jobs that took one worker down, or were beside it."""
    made = await processor.schedule_jobs(name for _ in range(count))
    dead = ObjectId()
    store = store_of(processor)
    for run in await claim_as(processor, dead, name, limit=count):
        paused = Outcome(JobStatus.PAUSED, clock_of(processor).now(), crashes=1)
        await store.runs.settle([Settlement(run, paused, dead)])
    return list(made)


async def test_suspects_run_one_at_a_time_and_hold_nobody_up(processors: Processors) -> None:
    """The others wait, resumed one after the other; a job that never crashed does not wait."""
    suspects = Suspects()

    async def innocent() -> str:
        return "ran"

    jobs = {"s": JobDef(suspects.run, resumable=True), "i": JobDef(innocent)}
    processor = await processors.make(jobs=jobs, concurrency=10)
    made = await crashed_once(processor, "s", 4)
    worker = await processors.worker(processor)

    async def one_runs() -> bool:
        return suspects.at_once == 1

    await eventually(one_runs)
    assert (await ended(processor, await processor.schedule_job("i"))).output is not None
    await asyncio.sleep(3 * QUICK["poll_interval"])  # the others are not claimed, without an event
    assert (suspects.at_once, len(suspects.ran)) == (1, 1)
    suspects.release.set()
    for job in made:
        done = await ended(processor, job)
        assert (done.status, done.crashes) == (JobStatus.FINISHED, 0)
    assert suspects.most == 1
    assert sorted(suspects.ran) == sorted(job.id for job in made)
    await worker.stop()


async def test_a_claim_brings_one_suspect_and_what_stands_behind_them(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is claimed to be given back, however many there are for however few slots."""
    suspects, ran = Suspects(), asyncio.Event()

    async def innocent() -> None:
        ran.set()

    jobs = {"s": JobDef(suspects.run, resumable=True), "i": JobDef(innocent)}
    processor = await processors.make(jobs=jobs, concurrency=3)
    made = await crashed_once(processor, "s", 12)
    behind = await processor.schedule_jobs("i" for _ in range(5))
    worker = await processors.worker(processor)
    await asyncio.wait_for(ran.wait(), WAIT)
    for each in behind:
        await ended(processor, each)
    assert len(suspects.ran) == 1
    suspects.release.set()
    for job in made:
        assert (await ended(processor, job)).status is JobStatus.FINISHED
    assert (suspects.most, len(suspects.ran)) == (1, len(made))
    assert "giving back" not in caplog.text
    await worker.stop()


async def test_other_workers_take_the_suspects_that_wait(processors: Processors) -> None:
    """One at a time is a rule of each worker, not of the fleet."""
    suspects = Suspects()
    jobs = {"s": JobDef(suspects.run, resumable=True)}
    first = await processors.make(jobs=jobs)
    made = await crashed_once(first, "s", 3)
    await processors.worker(first)
    for _ in range(2):
        await processors.start(jobs=jobs)

    async def all_run() -> bool:
        return suspects.at_once == 3

    await eventually(all_run)
    suspects.release.set()
    for job in made:
        assert (await ended(first, job)).status is JobStatus.FINISHED
    assert sorted(suspects.ran) == sorted(job.id for job in made)


async def test_a_suspect_that_saves_a_state_lets_the_next_one_begin(
    processors: Processors,
) -> None:
    """What crashed it is behind it, so it needs to be apart no more."""
    release, at_once = asyncio.Event(), 0

    async def saves(context: Context) -> None:
        nonlocal at_once
        at_once += 1
        await context.save({"page": 1})
        await release.wait()

    processor = await processors.make(jobs={"s": JobDef(saves, resumable=True)})
    made = await crashed_once(processor, "s", 3)
    await processors.worker(processor)

    async def all_run() -> bool:
        return at_once == 3

    await eventually(all_run)
    release.set()
    for job in made:
        assert (await ended(processor, job)).status is JobStatus.FINISHED


async def test_a_waiting_suspect_costs_little(processors: Processors) -> None:
    """While it waits behind another one of its worker, that worker asks no more often for it."""
    suspects = Suspects()
    processor = await processors.make(jobs={"s": JobDef(suspects.run, resumable=True)})
    await crashed_once(processor, "s", 3)
    store = store_of(processor)
    claim, claims = store.queue.claim, 0

    async def counted(claim_: Claim) -> Sequence[Job]:
        nonlocal claims
        claims += 1
        return await claim(claim_)

    store.queue.claim = counted  # type: ignore[method-assign, assignment]
    await processors.worker(processor)

    async def one_runs() -> bool:
        return suspects.at_once == 1

    await eventually(one_runs)
    await asyncio.sleep(1.0)  # the pause grows
    before, began = claims, time.monotonic()
    await asyncio.sleep(5 * QUICK["poll_interval"])  # so long is what is counted
    assert claims - before <= (time.monotonic() - began) / QUICK["poll_interval"] + 2
    suspects.release.set()


async def test_a_kill_finds_a_suspect_that_waits(processors: Processors) -> None:
    """It stands paused like any other, and is killed at once."""
    suspects = Suspects()
    processor = await processors.make(jobs={"s": JobDef(suspects.run, resumable=True)})
    made = await crashed_once(processor, "s", 2)
    await processors.worker(processor)

    async def one_runs() -> bool:
        return suspects.at_once == 1

    await eventually(one_runs)
    (waiting,) = [job for job in made if job.id not in suspects.ran]
    await in_state(processor, waiting, "paused")
    assert (await processor.kill_job(waiting.id)).status is JobStatus.KILLED
    suspects.release.set()
    async with asyncio.timeout(WAIT):
        for job in made:
            await ended(processor, job)
    assert waiting.id not in suspects.ran
