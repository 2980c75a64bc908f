"""A handler that meets somebody else's limit, and holds by hand: nothing of the rate starts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from job_processor import (
    InvalidArgumentError,
    JobDef,
    JobProcessor,
    JobStatus,
    Rate,
    RateLimited,
    Retry,
    SimpleJob,
)
from tests.definitions import nothing
from tests.faults import failed, faulty
from tests.processors import Processors, eventually
from tests.worker.probe import ended, in_state
from tests.worker.process_handlers import limited

FAST = Rate(1000, per=1, burst=1000, group="api")


async def in_coroutine() -> None:
    """Meet a limit."""
    raise RateLimited(after=timedelta(hours=1))


def in_thread() -> None:
    """Meet a limit."""
    raise ExceptionGroup("calls", [RateLimited(after=3600), RateLimited(after=5)])


async def held_for(processor: JobProcessor, name: str = "api") -> float:
    """Return for how long a rate is held."""
    return next(each.held_for for each in await processor.rates() if each.name == name)


async def runs(processor: JobProcessor, count: int) -> bool:
    """True while so many jobs run."""
    return await processor.count_jobs(status="running") == count


@pytest.mark.parametrize(
    ("handler", "executor"),
    [(in_coroutine, "async"), (in_thread, "thread"), (limited, "process")],
)
async def test_it_holds_all_that_share_the_rate(
    processors: Processors, handler: Callable[..., Any], executor: Any
) -> None:
    """The job comes back later, with its attempt, without an error; the others wait as well."""
    jobs = {
        "limited": JobDef(handler, rate=FAST, executor=executor),
        "other": JobDef(nothing, rate=FAST),
        "free": JobDef(nothing),
    }
    processor, _ = await processors.start(jobs=jobs)
    job = await processor.schedule_job("limited")

    async def came_back() -> SimpleJob | None:
        found = await processor.get_job(job.id)
        assert isinstance(found, SimpleJob)
        back = found.status is JobStatus.PENDING and found.scheduled_for > job.scheduled_for
        return found if back else None

    back: SimpleJob = await eventually(came_back)
    assert (back.attempt, back.attempts, back.output) == (1, (), None)
    assert back.scheduled_for - back.updated_at == timedelta(hours=1)
    assert 3500 < await held_for(processor) <= 3600
    other = await processor.schedule_job("other")
    await ended(processor, await processor.schedule_job("free"))
    waiting = await processor.get_job(other.id)
    assert waiting is not None
    assert waiting.status is JobStatus.PENDING
    boss = await processors.make()
    await boss.hold("api", 0)
    await ended(processor, other)


async def test_a_shorter_limit_does_not_shorten_a_hold(processors: Processors) -> None:
    """Of two that meet a limit the longer counts; by hand it is as it was said last."""
    told = {3600: asyncio.Event(), 60: asyncio.Event()}

    async def meet(seconds: int) -> None:
        await told[seconds].wait()
        raise RateLimited(after=seconds)

    processor, _ = await processors.start(jobs={"a": JobDef(meet, rate=FAST)})
    for seconds in told:
        job = await processor.schedule_job("a", {"seconds": seconds})
        await in_state(processor, job, "running")
    for event in told.values():
        event.set()
        await eventually(lambda: runs(processor, 2 - sum(each.is_set() for each in told.values())))
        assert 3500 < await held_for(processor) <= 3600
    await processor.hold("api", 60)
    assert 0 < await held_for(processor) <= 60
    await processor.hold("api", timedelta(0))
    assert await held_for(processor) == 0


async def test_with_an_error_beside_it_the_attempt_fails_and_the_rate_is_held(
    processors: Processors,
) -> None:
    """The limit was met all the same."""

    async def both() -> None:
        raise ExceptionGroup("calls", [RateLimited(after=3600), ValueError("boom")])

    processor, _ = await processors.start(jobs={"a": JobDef(both, rate=FAST, retry=Retry(1))})
    job = await ended(processor, await processor.schedule_job("a"))
    assert job.status is JobStatus.ERRORED
    assert await held_for(processor) > 3500


async def test_a_time_beyond_all_reason_holds_for_a_year(processors: Processors) -> None:
    """Whatever a server answers, the rate can be looked at, and goes on one day."""

    async def odd() -> None:
        raise RateLimited(after=1e300)

    processor, _ = await processors.start(jobs={"a": JobDef(odd, rate=FAST)})
    job = await processor.schedule_job("a")

    async def is_held() -> bool:
        return await held_for(processor) > 0

    await eventually(is_held)
    assert await held_for(processor) <= 366 * 86_400
    await in_state(processor, job, "pending")
    await processor.hold("api", 0)


async def test_without_a_rate_only_the_job_waits(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """And the log shows, once, the line to write."""
    processor, _ = await processors.start(jobs={"a": JobDef(in_coroutine), "b": JobDef(nothing)})
    first, second = await processor.schedule_jobs(["a", "a"])
    await ended(processor, await processor.schedule_job("b"))

    async def came_back() -> bool:
        found = [await processor.get_job(job.id) for job in (first, second)]
        return all(each and each.scheduled_for > first.scheduled_for for each in found)

    await eventually(came_back)
    assert caplog.text.count("raised RateLimited and has no rate") == 1
    assert 'write rate="100/m"' in caplog.text


async def test_a_hold_that_cannot_be_written_is_written_again(processors: Processors) -> None:
    """The run is let go only once its rate is held."""
    processor = JobProcessor(processors.db_url, jobs={"a": JobDef(in_coroutine, rate=FAST)})
    fault = faulty(processor)
    await processors.open(processor)
    fault.next("rates.hold", failed(), failed())
    await processors.worker(processor)
    job = await processor.schedule_job("a")

    async def back() -> bool:
        found = await processor.get_job(job.id)
        assert found is not None
        return found.scheduled_for > job.scheduled_for

    await eventually(back)
    await in_state(processor, job, "pending")
    assert await held_for(processor) > 3500
    assert fault.calls["rates.hold"] == 3


@pytest.mark.parametrize(
    ("name", "seconds", "argument"),
    [
        ("api", -1, "seconds"),
        ("api", "1", "seconds"),
        ("api", float("inf"), "seconds"),
        ("api", timedelta(days=5000), "seconds"),
        ("", 1, "name"),
        (None, 1, "name"),
        ("a", 1, "name"),
        ("apis", 1, "name"),
    ],
)
async def test_a_hold_that_cannot_be(
    processors: Processors, name: Any, seconds: Any, argument: str
) -> None:
    """What is wrong is named; of a name, which ones there are."""
    processor = await processors.make(jobs={"a": JobDef(nothing, rate=FAST)})
    with pytest.raises(InvalidArgumentError) as caught:
        await processor.hold(name, seconds)
    assert caught.value.argument == argument
    if name in ("a", "apis"):
        assert "'api'" in str(caught.value)
        with pytest.raises(InvalidArgumentError):
            await processor.set_rate(name, "1/s")


@pytest.mark.parametrize(
    "rate", ["fast", 7, Rate(1, per=1, group="other"), Rate(1, per=1, on_full="skip")]
)
async def test_a_rate_that_cannot_be_set(processors: Processors, rate: Any) -> None:
    """The group, and what happens when it is full, are those of the code."""
    processor = await processors.make(jobs={"a": JobDef(nothing, rate=FAST)})
    with pytest.raises(InvalidArgumentError) as caught:
        await processor.set_rate("api", rate)
    assert caught.value.argument == "rate"
    assert await processor.rates() == await processor.rates()


async def test_of_many_who_change_a_rate_each_is_heard(processors: Processors) -> None:
    """Ten at once, of two groups: each sees its own, or that of who came later; none is lost."""
    jobs = {"a": JobDef(nothing, rate="1/s"), "b": JobDef(nothing, rate="1/s")}
    processor = await processors.make(jobs=jobs)
    many = [await processors.make(jobs=jobs) for _ in range(5)]
    await asyncio.gather(
        *(each.set_rate("a", f"{number + 2}/s") for number, each in enumerate(many)),
        *(each.hold("a", 60) for each in many),
        *(each.set_rate("b", "7/m") for each in many),
    )
    a, b = await processor.rates()
    assert a.rate.amount in range(2, 7)
    assert a.held_for > 0
    assert str(b.rate) == "7/m"
