"""Events: each kind is told once, after the write, and costs nothing when nobody listens."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from job_processor import (
    Context,
    CronDef,
    Event,
    EventKind,
    InvalidArgumentError,
    JobDef,
    JobProcessor,
    Retry,
    Snooze,
)
from tests.crons.clocks import SetClock, scheduler_of, started_engine
from tests.definitions import nothing
from tests.processors import Processors
from tests.worker.deaths import die_holding
from tests.worker.heard import Heard


async def fail() -> None:
    """Fail."""
    raise ValueError("as told")


async def test_a_run_from_its_schedule_to_its_end(processors: Processors) -> None:
    """Scheduled, claimed, started, finished, each with the job as it was then written."""
    processor = await processors.make(jobs={"a": JobDef(nothing)})
    heard = Heard(processor)
    job = await processor.schedule_job("a")
    await processor.run_worker(burst=True)
    assert [(event.kind.value, event.job and event.job.status.value) for event in heard.events] == [
        ("scheduled", "pending"),
        ("worker started", None),
        ("claimed", "running"),
        ("started", "running"),
        ("finished", "finished"),
        ("worker stopped", None),
    ]
    assert heard.events[0].job == job
    assert heard.events[0].worker_id is None
    assert heard.events[4].job == await processor.get_job(job.id)
    assert len({event.worker_id for event in heard.events[1:]}) == 1


async def test_what_is_stored_at_once_is_told(processors: Processors) -> None:
    """One, many, and those that are skipped for a conflict; not the holder of a unique key."""
    jobs = {"a": JobDef(nothing), "x": JobDef(nothing, exclusive=True)}
    processor = await processors.make(jobs=jobs)
    heard = Heard(processor)
    first = await processor.schedule_job("a", unique_key="k")
    assert (await processor.schedule_job("a", unique_key="k")).id == first.id
    many = await processor.schedule_jobs(["a", "x", "x"])
    alone = await processor.schedule_job("x")
    told = [(event.kind.value, event.job and event.job.id) for event in heard.events]
    assert told == [
        ("scheduled", first.id),
        ("scheduled", many[0].id),
        ("scheduled", many[1].id),
        ("skipped", many[2].id),
        ("skipped", alone.id),
    ]


async def test_failures_are_told_with_what_was_raised(processors: Processors) -> None:
    """A retry and the last failure carry the exception itself; a snooze is a retry, too."""
    snoozed: list[int] = []

    async def snooze() -> None:
        if not snoozed:
            snoozed.append(1)
            raise Snooze(delay=0.001)

    retry = Retry(max_attempts=2, delay=0)
    processor = await processors.make(jobs={"a": JobDef(fail, retry=retry), "s": JobDef(snooze)})
    heard = Heard(processor)
    job, other = await processor.schedule_jobs(["a", "s"])
    await processors.worker(processor)
    await processor.wait_for_job(job.id)
    await processor.wait_for_job(other.id)
    errored = await heard.wait_for(EventKind.ERRORED)
    await heard.wait_for(EventKind.FINISHED)  # the store has an end before it is told
    ends = [heard.of(EventKind.RETRIED), [errored]]
    errors = [event.error for kind in ends for event in kind if event.job and event.job.name == "a"]
    assert [repr(error) for error in errors] == ["ValueError('as told')"] * 2
    run = ["claimed", "started"]
    assert heard.of_job(other) == ["scheduled", *run, "retried", *run, "finished"]


async def test_what_ends_a_run_from_outside_is_no_error_of_its_handler(
    processors: Processors,
) -> None:
    """A maximum runtime is told as errored, without an exception."""

    async def long() -> None:
        await asyncio.Event().wait()

    processor = await processors.make(jobs={"a": JobDef(long, max_runtime_in_minutes=0.0001)})
    heard = Heard(processor)
    await processor.run_job("a")
    (event,) = heard.of(EventKind.ERRORED)
    assert event.error is None


async def test_interruptions_and_kills(processors: Processors) -> None:
    """A resumable job is paused by a shutdown; killed while it waits, or while it runs."""
    begun = asyncio.Event()

    async def long() -> None:
        begun.set()
        await asyncio.Event().wait()

    processor = await processors.make(jobs={"a": JobDef(long, resumable=True)})
    heard = Heard(processor)
    job = await processor.schedule_job("a")
    worker = await processors.worker(processor)
    await begun.wait()
    await worker.stop()
    await processor.kill_job(job.id)
    assert heard.of_job(job) == ["scheduled", "claimed", "started", "paused", "killed"]
    assert heard.of(EventKind.KILLED)[0].job == await processor.get_job(job.id)
    await processor.kill_job(job.id)  # settled: nothing happens, nothing is told
    assert len(heard.of(EventKind.KILLED)) == 1
    await processor.retry_job(job.id)
    assert heard.of_job(job)[-1] == "scheduled"


async def test_progress_is_told_when_it_is_written(processors: Processors) -> None:
    """The job comes with its notes, while its handler still runs."""
    told = asyncio.Event()

    async def tell(context: Context) -> None:
        context.progress(0.5, "half")
        await told.wait()

    processor = await processors.make(jobs={"a": JobDef(tell)})
    heard = Heard(processor)
    running = asyncio.create_task(processor.run_job("a"))
    event = await heard.wait_for(EventKind.PROGRESSED)
    told.set()
    await running
    assert event.job is not None
    assert event.job.progress is not None
    assert (event.job.progress.fraction, event.job.progress.message) == (0.5, "half")


async def test_a_crash_is_told_by_its_rescuer(processors: Processors) -> None:
    """The dead worker, the rescue, and what becomes of the job."""
    processor = await processors.make(jobs={"a": JobDef(nothing)})
    job = await processor.schedule_job("a")
    (claimed,) = await die_holding(processor, ["a"])
    heard = Heard(processor)
    await processors.worker(processor)
    await heard.wait_for(EventKind.ERRORED)
    assert [event.worker_id for event in heard.of(EventKind.WORKER_LOST)] == [claimed.worker_id]
    assert heard.of_job(job) == ["rescued", "errored"]


async def test_a_cron_fires_once(processors: Processors) -> None:
    """However many schedulers look, an occurrence that comes due is told by one of them."""
    clock = SetClock()
    engines = [
        await started_engine(processors, clock, crons={"tick": CronDef("* * * * *", nothing)})
        for _ in range(3)
    ]
    fired: list[Event] = []
    for engine in engines:
        engine.events.listen(fired.append)
        await scheduler_of(engine).schedule()
    assert fired == []
    clock.forward(minutes=1)
    await asyncio.gather(*(scheduler_of(engine).schedule() for engine in engines))
    (event,) = fired
    assert event.kind is EventKind.CRON_FIRED
    assert event.job is not None
    assert event.job.scheduled_for == clock.moment.replace(second=0)


async def test_nothing_is_made_when_nobody_listens(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No event, no scope, no stamp: without a listener none of them is even made."""

    def made(*_: object, **__: object) -> Any:
        raise AssertionError("nobody wanted it")

    processor = await processors.make(jobs={"a": JobDef(nothing)})
    Heard(processor).forget()
    for place in ("worker.loop", "worker.executor", "worker.reporter", "events"):
        monkeypatch.setattr(f"job_processor.{place}.Event", made)
    for name in ("hooks.Scopes.enter", "hooks.Stamps.on"):
        monkeypatch.setattr(f"job_processor.{name}", made)
    job = await processor.schedule_job("a", None, timedelta(0))
    (other,) = await processor.schedule_jobs(["a"])
    await processor.run_worker(burst=True)
    for each in (job, other):
        assert (await processor.wait_for_job(each.id)).status == "finished"


async def wait(event: Event) -> None:
    """Be no listener."""


@pytest.mark.parametrize("listener", [None, "print", wait])
async def test_only_a_plain_function_may_listen(listener: Any, tmp_path: Any) -> None:
    """What cannot be called, or would have to be awaited, is refused with what is allowed."""
    processor = JobProcessor(f"sqlite:///{tmp_path}/jobs.db")
    with pytest.raises(InvalidArgumentError, match=r"listener: .*allowed is a sync function"):
        processor.listen(listener)
