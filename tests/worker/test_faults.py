"""A worker whose store goes wrong: no outcome is lost, none is worse than it was, none told twice.

The same on every store: see `tests/faults.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from job_processor import Context, EventKind, Job, JobDef, JobProcessor, JobStatus, Retry, SimpleJob
from job_processor.settings import LONE_TRIES
from job_processor.store.rollups import start_of, total
from tests.faults import ERRORS, Faulty, failed, held_up, lost
from tests.insides import clock_of, engine_of
from tests.processors import Processors, eventually, working
from tests.worker.diary import (
    FEW,
    WHEN,
    Diary,
    done,
    eventually_hooked,
    fine,
    is_running,
    make,
    of,
    wrong,
)

# --- settlements -----------------------------------------------------------------------------


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("error", ERRORS)
async def test_an_outcome_survives_whatever_its_write_raises(
    processors: Processors, diary: Diary, when: str, error: str
) -> None:
    """A result is kept, a failed attempt is retried, and each end is told once."""
    processor, fault = await make(
        processors,
        diary,
        {
            "fine": fine,
            "wrong": JobDef(wrong, retry=Retry(2, delay=0.01), on_job_exited=diary.hook),
        },
    )
    kind = WHEN[when](ERRORS[error])
    async with working(processor) as worker:
        fault.next("runs.settle", *[kind] * 3)
        job = await processor.schedule_job("fine")
        settled = await done(processor, job)
        assert (settled.status, settled.result()) == (JobStatus.FINISHED, await fine())
        await eventually_hooked(diary, job)
        assert diary.of(job) == [EventKind.FINISHED]

        fault.next("runs.settle", *[kind] * 3)
        again = await processor.schedule_job("wrong")
        settled = await done(processor, again)
        assert (settled.status, settled.attempt) == (JobStatus.ERRORED, 2)
        await eventually_hooked(diary, again)
        assert diary.of(again) == [EventKind.RETRIED, EventKind.ERRORED]
        assert not worker.task.done()
    assert diary.hooked == {job.id: 1, again.id: 1}


async def gathered(
    processor: JobProcessor, fault: Faulty, gate: asyncio.Event, count: int
) -> list[SimpleJob]:
    """Run so many jobs that their ends gather behind the first; return them settled."""
    first = asyncio.Event()
    fault.next("runs.settle", held_up(first))
    made = await processor.schedule_jobs([("work", {"n": n}) for n in range(count)])
    running = asyncio.create_task(processor.run_worker(burst=True))

    async def all_run() -> bool:
        engine = engine_of(processor)
        return engine is not None and sum(run.begun for run in engine.runs) == count

    await eventually(all_run)
    gate.set()

    async def all_ended() -> bool:
        engine = engine_of(processor)
        return engine is not None and all(run.concluded for run in engine.runs)

    await eventually(all_ended)
    first.set()
    await asyncio.wait_for(running, 60)
    return [await done(processor, job) for job in made]


@pytest.mark.parametrize("count", [20, pytest.param(60, marks=pytest.mark.slow)])
async def test_what_is_refused_costs_the_same_however_many_are_with_it(
    processors: Processors, diary: Diary, count: int
) -> None:
    """One of a batch: a handful of writes, those of it alone; all others stand as they ended."""
    gate = asyncio.Event()

    async def work(payload: dict[str, int]) -> dict[str, Any]:
        if payload["n"]:
            await gate.wait()
        return {"x": "y" * 20_000}

    processor, fault = await make(processors, diary, {"work": work}, concurrency=count)
    fault.refuses = lambda each: (
        isinstance(each.job, SimpleJob)
        and each.job.payload == {"n": count - 1}
        and each.outcome.output is not None
        and isinstance(each.outcome.output.result, dict)
    )
    *others, refused = await gathered(processor, fault, gate, count)
    assert {job.status for job in others} == {JobStatus.FINISHED}
    assert {str(job.result()) for job in others} == {str({"x": "y" * 20_000})}
    assert refused.status is JobStatus.FINISHED
    assert isinstance(refused.result(), str)
    assert sum(fault.settled) <= count + 3
    assert len(fault.settled) <= 5
    assert diary.hooked == Counter(job.id for job in [*others, refused])


async def test_a_whole_batch_is_refused_at_the_cost_of_a_few_writes(
    processors: Processors, diary: Diary
) -> None:
    """Each gets what is next best, together with the others."""
    gate = asyncio.Event()

    async def work(payload: dict[str, int]) -> dict[str, Any]:
        if payload["n"]:
            await gate.wait()
        return {"x": "y" * 20_000}

    processor, fault = await make(processors, diary, {"work": work}, concurrency=50)
    fault.refuses = lambda each: (
        each.outcome.output is not None and isinstance(each.outcome.output.result, dict)
    )
    settled = await gathered(processor, fault, gate, 50)
    assert {job.status for job in settled} == {JobStatus.FINISHED}
    assert len(fault.settled) <= 8


async def test_what_can_be_stored_at_last_is_stored(
    processors: Processors, diary: Diary, caplog: pytest.LogCaptureFixture
) -> None:
    """A run whose every output is refused ends errored all the same, and says so in the log."""

    async def work(context: Context) -> dict[str, int]:
        await context.save({"row": 7})
        context.log("begun")
        return {"n": 1}

    processor, fault = await make(processors, diary, {"work": work, "fine": fine})
    fault.refuses = lambda each: each.job.name == "work" and each.outcome.output is not None
    async with working(processor):
        job = await done(processor, await processor.schedule_job("work"))
        assert (job.status, job.output) == (JobStatus.ERRORED, None)
        other = await done(processor, await processor.schedule_job("fine"))
        assert other.status is JobStatus.FINISHED
    assert "refused by a test" in caplog.text


async def test_what_nothing_of_can_be_stored_is_said_loudly(
    processors: Processors, diary: Diary, caplog: pytest.LogCaptureFixture
) -> None:
    """It stays running and is not run again here; the others go on, and the worker can stop."""
    processor, fault = await make(processors, diary, {"work": fine, "fine": fine})
    fault.refuses = lambda each: each.job.name == "work"
    async with working(processor):
        held = await processor.schedule_job("work")
        other = await done(processor, await processor.schedule_job("fine"))
        assert other.status is JobStatus.FINISHED

        async def told() -> bool:
            return "cannot be stored at all" in caplog.text

        await eventually(told)
        assert await is_running(processor, held)
    loud = [each for each in caplog.records if "cannot be stored at all" in each.message]
    assert [each.levelno for each in loud] == [logging.CRITICAL]


@pytest.mark.slow
@pytest.mark.parametrize("error", FEW[1:])
async def test_one_that_always_fails_keeps_no_other_from_being_written(
    processors: Processors, diary: Diary, error: str
) -> None:
    """Whatever it raises, it is found among the others, and they are written as they ended."""
    gate = asyncio.Event()

    async def work(payload: dict[str, int]) -> dict[str, int]:
        if payload["n"]:
            await gate.wait()
        return payload

    processor, fault = await make(processors, diary, {"work": work}, concurrency=20)
    poison: set[ObjectId] = set()
    poisonous = of(poison)
    fault.breaks = lambda each: ERRORS[error]() if poisonous(each) else None
    first = asyncio.Event()
    fault.next("runs.settle", held_up(first))
    async with working(processor) as worker:
        made = await processor.schedule_jobs([("work", {"n": n}) for n in range(20)])
        poison.add(made[13].id)
        gate.set()
        first.set()
        for n, job in enumerate(made):
            if n != 13:
                settled = await done(processor, job)
                assert (settled.status, settled.result()) == (JobStatus.FINISHED, {"n": n})
        if error == "unknown to us":
            # That may be about anything: it is kept, and written once it can be.
            async def tried() -> bool:
                return fault.settled.count(1) > LONE_TRIES + 2

            await eventually(tried)
            assert await is_running(processor, made[13])
            fault.breaks = None
            assert (await done(processor, made[13])).result() == {"n": 13}
        else:
            settled = await done(processor, made[13])
            assert settled.status is JobStatus.ERRORED
            assert settled.output is not None
            assert "could not be stored" in (settled.output.error or "")
        assert not worker.task.done()
    assert diary.hooked == Counter(job.id for job in made)


@pytest.mark.slow
@pytest.mark.parametrize("times", [LONE_TRIES + 1, LONE_TRIES + 2])
async def test_an_answer_that_is_lost_to_a_mistake_again_and_again_is_recognised(
    processors: Processors, diary: Diary, times: int
) -> None:
    """The outcome was written each time: what was to be written instead of it never is."""
    processor, fault = await make(processors, diary, {"fine": fine})
    fault.next("runs.settle", *[lost(ERRORS["a mistake"])] * times)
    async with working(processor):
        job = await done(processor, await processor.schedule_job("fine"))
        assert job.result() == await fine()
        await eventually_hooked(diary, job)
    assert diary.of(job) == [EventKind.FINISHED]
    assert diary.hooked[job.id] == 1


# --- what follows a settlement ---------------------------------------------------------------


@pytest.mark.parametrize("error", FEW)
@pytest.mark.parametrize("verb", ["kills.requested", "kills.kill_waiting", "kills.acknowledge"])
async def test_what_follows_a_settlement_is_told_once_whatever_the_store_raises(
    processors: Processors, diary: Diary, error: str, verb: str
) -> None:
    """And no other outcome waits for it: kills are looked for until that succeeds."""
    release = asyncio.Event()

    async def stubborn() -> None:
        await release.wait()
        raise ConnectionError("try again")

    processor, fault = await make(
        processors,
        diary,
        {"fine": fine, "wrong": JobDef(stubborn, retry=5, on_job_exited=diary.hook)},
        poll_interval=3600,
    )
    ended = asyncio.Event()
    async with working(processor) as worker:
        retried = await processor.schedule_job("wrong")

        async def runs() -> bool:
            return await is_running(processor, retried)

        await eventually(runs)
        fault.always(verb, failed(ERRORS[error]))
        settle = asyncio.Event()
        fault.next("runs.settle", held_up(settle))
        release.set()
        # The kill comes while its end is being written.
        await fault.behind.kills.request(retried.id, ObjectId(), clock_of(processor).now())
        settle.set()
        job = await done(processor, await processor.schedule_job("fine"))
        assert job.status is JobStatus.FINISHED
        ended.set()
        fault.always(verb, None)
        killed = await done(processor, retried)
        assert killed.status is JobStatus.KILLED
        assert not worker.task.done()

        async def forgotten() -> bool:
            return await fault.behind.kills.requested([retried.id]) == set()

        await eventually(forgotten)
    assert diary.of(retried).count(EventKind.RETRIED) <= 1
    assert diary.of(job) == [EventKind.FINISHED]


@pytest.mark.parametrize("error", FEW)
async def test_what_was_counted_is_written_once_that_succeeds(
    processors: Processors, diary: Diary, error: str
) -> None:
    """Counts that cannot be written are kept, and added to what is counted meanwhile."""
    processor, fault = await make(processors, diary, {"fine": fine})
    fault.always("rollups.add", failed(ERRORS[error]))
    since = start_of(clock_of(processor).now() - timedelta(minutes=1), 60)
    async with working(processor):
        tally = engine_of(processor).tally
        for _ in range(2):
            await done(processor, await processor.schedule_job("fine"))
            await tally.flush()
        assert await fault.behind.rollups.since(60, since) == []
        fault.always("rollups.add", None)
        await tally.flush()
    assert total(await fault.behind.rollups.since(60, since)).counts == {"finished": 2}


async def test_a_hook_may_fail_in_any_way(
    processors: Processors, diary: Diary, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged with its job, and ends nothing."""

    class Unheard(BaseException):
        """No Exception."""

    def hook(job: Job) -> None:
        raise Unheard("of this")

    processor, _ = await make(processors, diary, {"work": JobDef(fine, on_job_exited=hook)})
    async with working(processor) as worker:
        first = await done(processor, await processor.schedule_job("work"))
        second = await done(processor, await processor.schedule_job("work"))
        assert {first.status, second.status} == {JobStatus.FINISHED}
        assert not worker.task.done()
    assert "on_job_exited" in caplog.text
