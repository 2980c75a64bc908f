"""Whatever verb goes wrong, of a worker, its crons, a caller or a rescue: the others go on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId

from job_processor import (
    Context,
    CronDef,
    Job,
    JobDef,
    JobStatus,
    SimpleJob,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
)
from tests.faults import ERRORS, failed, refusal
from tests.processors import WAIT, Processors, working
from tests.samples import simple
from tests.worker.deaths import claim_as
from tests.worker.diary import FEW, WHEN, Diary, done, eventually_hooked, fine, is_running, make

UPKEEP = (
    "queue.claim",
    "queue.next_due",
    "runs.settle",
    "runs.save_notes",
    "kills.requested",
    "runs.workers",
    "runs.of_worker",
    "rollups.add",
    "history.prune",
    "workers.beat",
)
"""Verbs that a worker calls by itself, again and again."""

OF_CRONS = (
    "settings.all",
    "workers.registrations",
    "crons.all",
    "settings.put",
    "intake.insert",
    "crons.create",
    "crons.remove_occurrences",
)
"""Those that its scheduler calls, one after the other."""


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("error", FEW)
async def test_no_error_of_any_verb_ends_a_worker(
    processors: Processors, diary: Diary, when: str, error: str
) -> None:
    """Each fails three times in a row while it works: everything is run once, and told once."""
    begun: Counter[ObjectId] = Counter()

    async def work(job: SimpleJob, context: Context) -> str:
        begun[job.id] += 1
        context.log("a line")
        await context.save({"seen": True})
        return "done"

    processor, fault = await make(processors, diary, {"work": work})
    async with working(processor) as worker:
        for verb in UPKEEP:
            fault.next(verb, *[WHEN[when](ERRORS[error])] * 3)
        made = [simple("work") for _ in range(3)]
        await fault.behind.intake.insert(made)
        for job in made:
            assert (await done(processor, job)).result() == "done"
        await eventually_hooked(diary, *made)
        assert not worker.task.done()
    assert worker.task.exception() is None
    assert begun == Counter(job.id for job in made)
    assert diary.hooked == begun


@pytest.mark.slow
@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("error", FEW)
async def test_no_error_of_any_verb_ends_a_scheduler(
    processors: Processors, diary: Diary, when: str, error: str
) -> None:
    """Each fails once: the cron is scheduled all the same."""
    ticks = asyncio.Event()

    async def tick() -> None:
        ticks.set()

    processor, fault = await make(
        processors, diary, {}, crons={"tick": CronDef("* * * * * *", tick)}
    )
    for verb in OF_CRONS:
        fault.next(verb, WHEN[when](ERRORS[error]))
    async with working(processor) as worker:
        async with asyncio.timeout(WAIT):
            await ticks.wait()
        assert not worker.task.done()


@pytest.mark.parametrize("kind", ["refused", "a mistake"])
async def test_a_cron_that_always_fails_keeps_no_other_from_being_scheduled(
    processors: Processors, diary: Diary, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is named in the log, once; the others tick."""
    ticks = asyncio.Event()

    async def tick() -> None:
        ticks.set()

    crons = {name: CronDef("* * * * * *", tick) for name in ("a-poison", "b-fine")}
    processor, fault = await make(processors, diary, {}, crons=crons)
    insert = fault.behind.intake.insert

    async def poisoned(jobs: list[Job]) -> list[Job]:
        if any(job.name == "a-poison" for job in jobs):
            raise refusal() if kind == "refused" else ERRORS[kind]()
        return await insert(jobs)

    fault.behind.intake.insert = poisoned  # type: ignore[assignment,method-assign]  # for one name
    async with working(processor) as worker:
        async with asyncio.timeout(WAIT):
            await ticks.wait()
        assert not worker.task.done()
    told = [each for each in caplog.records if "cron 'a-poison'" in each.message]
    assert len(told) == 1


@pytest.mark.parametrize("error", ["unavailable", "unknown to us"])
async def test_a_caller_gets_the_error_at_once(
    processors: Processors, diary: Diary, error: str
) -> None:
    """Whoever schedules, reads or kills is told, and nothing is repeated in secret."""
    processor, fault = await make(processors, diary, {"fine": fine})
    kind = StoreUnavailableError if error == "unavailable" else StoreError
    job = await processor.schedule_job("fine")
    calls: dict[str, Callable[[], Any]] = {
        "intake.put": lambda: processor.schedule_job("fine"),
        "history.get": lambda: processor.get_job(job.id),
        "kills.kill_waiting": lambda: processor.kill_job(job.id),
        "history.find": processor.find_jobs,
    }
    for verb, call in calls.items():
        before = fault.calls[verb]
        fault.next(verb, failed(ERRORS[error]))
        with pytest.raises(kind):
            await call()
        assert fault.calls[verb] == before + 1


async def test_a_caller_is_told_what_can_never_be_stored(
    processors: Processors, diary: Diary
) -> None:
    """By an error of its own, so that it is not tried again for ever."""
    processor, fault = await make(processors, diary, {"fine": fine})

    async def refuse(_: Any) -> Any:
        raise refusal()

    fault.next("intake.put", refuse)
    with pytest.raises(StoreRefusedError):
        await processor.schedule_job("fine")


# --- rescue -----------------------------------------------------------------------------------


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("error", FEW)
async def test_a_rescue_survives_whatever_its_write_raises(
    processors: Processors, diary: Diary, when: str, error: str
) -> None:
    """The runs of a dead worker are settled as its crash, and each is told once."""
    dead = await processors.make(jobs={"work": JobDef(fine)})
    made = await dead.schedule_jobs([("work", {"n": n}) for n in range(5)])
    gone = ObjectId()
    assert len(await claim_as(dead, gone, "work", limit=len(made))) == len(made)
    processor, fault = await make(processors, diary, {"work": fine})
    fault.next("runs.settle", *[WHEN[when](ERRORS[error])] * 2)
    async with working(processor) as worker:
        for job in made:
            settled = await done(processor, job)
            assert settled.status is JobStatus.ERRORED
            assert settled.output is not None
            assert settled.output.error == "Worker crashed unexpectedly"
        await eventually_hooked(diary, *made)
        assert not worker.task.done()
    assert diary.hooked == Counter(job.id for job in made)


async def test_a_rescue_of_many_leaves_out_what_is_refused(
    processors: Processors, diary: Diary
) -> None:
    """One that nothing can be written of keeps no other from being rescued."""
    dead = await processors.make(jobs={"work": JobDef(fine)})
    made = await dead.schedule_jobs([("work", {"n": n}) for n in range(20)])
    assert len(await claim_as(dead, ObjectId(), "work", limit=len(made))) == len(made)
    processor, fault = await make(processors, diary, {"work": fine})
    fault.refuses = lambda each: each.job.id == made[7].id
    async with working(processor):
        for job in made:
            if job.id != made[7].id:
                assert (await done(processor, job)).status is JobStatus.ERRORED
        assert await is_running(processor, made[7])
        assert sum(fault.settled[:6]) <= 30
