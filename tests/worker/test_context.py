"""The context of a run: progress and log, written now and then, and a state that survives."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from bson import ObjectId

from job_processor import (
    AbortedError,
    Context,
    CronDef,
    InvalidArgumentError,
    Job,
    JobDef,
    JobProcessor,
    JobStatus,
    PayloadError,
    Retry,
    StoreUnavailableError,
)
from job_processor.settings import LOG_LINE_LIMIT, LOG_LINES, MESSAGE_LIMIT
from job_processor.store.requests import Settlement
from job_processor.worker.outcomes import rescue
from tests.insides import engine_of, store_of
from tests.processors import Processors, eventually


async def settled(processor: JobProcessor, name: str) -> Job:
    """Run a job of this name to its end, and return it."""
    job = await processor.schedule_job(name)
    await processor.run_worker(burst=True)
    return await processor.wait_for_job(job.id)


async def test_what_a_run_told_comes_with_its_end(processors: Processors) -> None:
    """The hook gets it, too; a run that tells nothing leaves no notes."""
    seen: list[Job] = []

    async def tell(context: Context) -> int:
        context.progress(0, "beginning")
        context.log("one")
        context.progress(1)
        context.log(2)
        return context.attempt

    async def silent(context: Context) -> None:
        assert context.job.name == "silent"

    jobs = {"tell": JobDef(tell, on_job_exited=seen.append), "silent": JobDef(silent)}
    processor = await processors.make(jobs=jobs)
    job = await settled(processor, "tell")
    assert job.result() == 1
    assert job.progress is not None
    assert (job.progress.fraction, job.progress.message) == (1.0, None)
    assert [line.text for line in job.log] == ["one", "2"]
    assert seen == [job]
    assert (await settled(processor, "silent")).notes is None


async def test_a_running_job_is_seen(processors: Processors) -> None:
    """By everybody, before it has ended; what comes later is written later."""
    go_on, end = asyncio.Event(), asyncio.Event()

    async def slow(signal: Any, context: Context) -> None:
        assert context.signal is signal
        context.progress(0.25, "first")
        await go_on.wait()
        context.log("second")
        await end.wait()

    processor, _ = await processors.start(jobs={"slow": JobDef(slow)})
    other = await processors.make()
    job = await processor.schedule_job("slow")

    async def is_told() -> bool:
        seen = await other.get_job(job.id)
        return seen is not None and seen.progress is not None and seen.log == ()

    async def is_logged() -> bool:
        seen = await other.get_job(job.id)
        return seen is not None and [line.text for line in seen.log] == ["second"]

    await eventually(is_told)
    go_on.set()
    await eventually(is_logged)
    end.set()
    assert (await processor.wait_for_job(job.id)).status is JobStatus.FINISHED


async def test_telling_much_is_cheap_and_bounded(processors: Processors) -> None:
    """Ten thousand calls make few writes, and the last 100 short lines."""
    writes = 0

    async def chatter(context: Context) -> None:
        for n in range(10_000):
            context.log(f"{n} " + "x" * 1000)
            context.progress(n / 10_000, "y" * 1000)
            if n % 100 == 0:
                await asyncio.sleep(0)

    processor = await processors.make(jobs={"chatter": JobDef(chatter)})
    save_notes = store_of(processor).runs.save_notes

    async def counted(noted: Any) -> Mapping[ObjectId, str]:
        nonlocal writes
        writes += 1
        return await save_notes(noted)

    store_of(processor).runs.save_notes = counted  # type: ignore[method-assign]  # to count
    job = await settled(processor, "chatter")
    assert writes <= 5  # it takes less than a second or two
    assert len(job.log) == LOG_LINES
    assert job.log[-1].text.startswith("9999 x")
    assert max(len(line.text) for line in job.log) <= LOG_LINE_LIMIT
    assert job.progress is not None
    assert job.progress.message is not None
    assert len(job.progress.message) <= MESSAGE_LIMIT


async def test_threads_tell_and_save(processors: Processors) -> None:
    """A plain handler does, and so do threads of its own."""

    def plain(context: Context) -> None:
        context.save_sync({"n": 1})
        assert context.state == {"n": 1}

        def tell_much(who: int) -> None:
            for n in range(500):
                context.log(f"{who}-{n}")

        others = [threading.Thread(target=tell_much, args=(who,)) for who in range(4)]
        for thread in others:
            thread.start()
        for thread in others:
            thread.join()
        context.log("done")

    processor = await processors.make(jobs={"plain": JobDef(plain)})
    job = await settled(processor, "plain")
    assert job.status is JobStatus.FINISHED, job.output
    assert (len(job.log), job.log[-1].text) == (LOG_LINES, "done")
    assert await store_of(processor).runs.state(job.id) == {"n": 1}


async def test_a_state_survives_a_shutdown(processors: Processors) -> None:
    """The run that is resumed gets the last one, and continues the log."""
    begun = asyncio.Event()

    async def count(context: Context) -> Any:
        if context.state is not None:
            context.log("resumed")
            return context.state
        for n in range(3):
            await context.save({"n": n})
        context.log("saved")
        begun.set()
        return await asyncio.Event().wait()

    jobs = {"count": JobDef(count, resumable=True)}
    processor, worker = await processors.start(jobs=jobs)
    job = await processor.schedule_job("count")
    await begun.wait()
    await worker.stop()
    paused = await processor.get_job(job.id)
    assert paused is not None
    assert (paused.status, [line.text for line in paused.log]) == ("paused", ["saved"])
    other = await processors.make(jobs=jobs)
    await other.run_worker(burst=True)
    done = await other.wait_for_job(job.id)
    assert done.result() == {"n": 2}
    assert [line.text for line in done.log] == ["saved", "resumed"]


async def test_a_state_survives_a_crash(processors: Processors) -> None:
    """What was saved is there for whoever takes the job up again."""
    begun = asyncio.Event()

    async def count(context: Context) -> Any:
        if context.state is None:
            await context.save([1, 2])
            begun.set()
            await asyncio.Event().wait()
        return context.state

    jobs = {"count": JobDef(count, resumable=True)}
    processor, _ = await processors.start(jobs=jobs)
    job = await processor.schedule_job("count")
    await begun.wait()
    # As a rescuer does after the worker has died.
    engine = engine_of(processor)
    (running,) = await engine.store.runs.of_worker(engine.worker_id, 10)
    outcome = rescue(running, jobs["count"], killed=False, at=engine.clock.now())
    assert outcome.status is JobStatus.PAUSED
    await engine.store.runs.settle([Settlement(running, outcome, engine.worker_id)])
    other = await processors.make(jobs=jobs)
    await other.run_worker(burst=True)
    assert (await other.wait_for_job(job.id)).result() == [1, 2]


async def test_a_state_survives_a_retry(processors: Processors) -> None:
    """The next attempt gets it; one by hand begins anew."""

    async def count(context: Context) -> Any:
        state = (context.state or 0) + 1
        await context.save(state)
        if context.attempt < 3:
            raise ValueError("not yet")
        return state

    retry = Retry(max_attempts=3, delay=0)
    processor = await processors.make(jobs={"count": JobDef(count, retry=retry)})
    job = await settled(processor, "count")
    assert job.result() == 3
    await processor.retry_job(job.id)
    await processor.run_worker(burst=True)
    assert (await processor.wait_for_job(job.id)).result() == 3


async def test_a_run_that_was_taken_away_saves_nothing(processors: Processors) -> None:
    """It is told so, whether it knows already or not."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    raised: list[BaseException] = []

    async def hold(context: Context) -> None:
        begun.set()
        await go_on.wait()
        try:
            await context.save("late")
        except AbortedError as error:
            raised.append(error)

    processor, _ = await processors.start(jobs={"hold": JobDef(hold)})
    job = await processor.schedule_job("hold")
    await begun.wait()
    engine = engine_of(processor)
    (running,) = await engine.store.runs.of_worker(engine.worker_id, 10)
    outcome = rescue(running, None, killed=False, at=engine.clock.now())
    await engine.store.runs.settle([Settlement(running, outcome, engine.worker_id)])
    go_on.set()
    await eventually(lambda: _is(bool(raised)))
    assert await engine.store.runs.state(job.id) is None


async def _is(condition: bool) -> bool:
    return condition


async def test_saving_waits_for_the_database(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not the telling: a database that is away holds up no handler that only tells."""
    away = True

    async def handler(context: Context) -> None:
        context.log("told")
        context.progress(0.5)
        assert away
        asyncio.get_running_loop().call_later(0.3, come_back)
        await context.save("kept")
        assert not away

    def come_back() -> None:
        nonlocal away
        away = False

    processor = await processors.make(jobs={"handler": JobDef(handler)})
    store = store_of(processor)
    save_state, save_notes = store.runs.save_state, store.runs.save_notes

    async def faulty(call: Any, *arguments: Any) -> Any:
        if away:
            raise StoreUnavailableError("away")
        return await call(*arguments)

    monkeypatch.setattr(store.runs, "save_state", lambda *a: faulty(save_state, *a))
    monkeypatch.setattr(store.runs, "save_notes", lambda *a: faulty(save_notes, *a))
    job = await settled(processor, "handler")
    assert job.status == "finished"
    assert [line.text for line in job.log] == ["told"]
    assert await store.runs.state(job.id) == "kept"


async def test_a_cron_has_a_context(processors: Processors) -> None:
    """As a job has."""

    async def tick(context: Context) -> None:
        context.log("tick")

    processor, _ = await processors.start(crons={"tick": CronDef("* * * * * *", tick)})

    async def has_logged() -> bool:
        jobs = (await processor.find_jobs(status="finished")).jobs
        return any(job.log for job in jobs)

    await eventually(has_logged)


async def test_run_job_has_a_context(processors: Processors) -> None:
    """Its job comes back with what it told."""

    async def tell(context: Context) -> None:
        context.log("here")
        await context.save(1)

    processor = await processors.make(jobs={"tell": JobDef(tell)})
    job = await processor.run_job("tell")
    assert [line.text for line in job.log] == ["here"]


@pytest.mark.parametrize("fraction", [-0.1, 1.1, "half", None, True, float("nan")])
async def test_bad_progress(processors: Processors, fraction: Any) -> None:
    """Is an error to the handler."""

    async def bad(context: Context) -> str:
        with pytest.raises(InvalidArgumentError, match="fraction"):
            context.progress(fraction)
        with pytest.raises(PayloadError, match="state"):
            await context.save({"a": object()})
        return "caught"

    processor = await processors.make(jobs={"bad": JobDef(bad)})
    assert (await settled(processor, "bad")).result() == "caught"
