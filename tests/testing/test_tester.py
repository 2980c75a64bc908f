"""The test kit: an application's processor in memory, drained, with a clock to move."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import Any

import pytest

from job_processor import (
    Context,
    InvalidArgumentError,
    InvalidPayloadError,
    JobDef,
    JobProcessor,
    JobStatus,
    JobTimeoutError,
    LifespanError,
    Retry,
    WorkerStateError,
)
from job_processor.parts import parts_of
from job_processor.testing import MovableClock, in_memory
from tests.insides import clock_of

START = datetime(2026, 5, 1, 12, tzinfo=UTC)


async def nothing() -> str:
    """Do next to nothing."""
    return "done"


@pytest.fixture
def processor() -> JobProcessor:
    """An application's processor, whose database nobody reaches."""
    return JobProcessor("mongodb://127.0.0.1:1/app", jobs={"a": JobDef(nothing)})


async def test_it_gets_its_own_back(processor: JobProcessor) -> None:
    """In memory for the time of the block, then with its own database and clock, nothing kept."""
    address, clock = processor.address, clock_of(processor)
    for _ in range(2):
        async with in_memory(processor, START) as tester:
            assert processor.address != address
            job = await processor.schedule_job("a")
            assert job.scheduled_for == START
            assert [each.id for each in await tester.drain()] == [job.id]
            assert len((await processor.find_jobs()).jobs) == 1
        assert processor.address == address
        assert clock_of(processor) is clock
        assert not parts_of(processor).events.listeners.all


@pytest.mark.parametrize("given", [..., "fakes", None])
async def test_handlers_get_their_resources(given: Any) -> None:
    """Those of the lifespan, entered once a test; or those of the test, and no lifespan."""
    log: list[str] = []

    @asynccontextmanager
    async def lifespan(processor: JobProcessor) -> AsyncIterator[str]:
        log.append("enter")
        yield "opened"
        log.append("leave")

    processor = JobProcessor("mongodb://127.0.0.1:1/app", lifespan=lifespan)

    @processor.job
    async def work(resources: Any) -> str:
        return f"with {resources}"

    @processor.cron("@daily")
    async def daily(resources: Any) -> None: ...

    resources = "opened" if given is ... else given
    async with in_memory(processor, resources=given) as tester:
        assert tester.resources == resources
        for _ in range(2):
            await work.schedule()
            (job,) = await tester.drain()
            assert job.result() == f"with {resources}"
        assert (await work.run()).result() == f"with {resources}"
    assert log == (["enter", "leave"] if given is ... else [])
    assert parts_of(processor).lifespan is lifespan


async def test_a_lifespan_that_fails_fails_the_test() -> None:
    """With its error, and the processor has its own database back."""

    @asynccontextmanager
    async def lifespan(processor: JobProcessor) -> AsyncIterator[None]:
        if processor.address:
            raise ConnectionError("no pool")
        yield

    processor = JobProcessor("mongodb://127.0.0.1:1/app", lifespan=lifespan)
    address = processor.address
    with pytest.raises(LifespanError, match="no pool"):
        async with in_memory(processor):
            pass
    assert processor.address == address


async def test_it_gets_its_own_back_after_a_failure(processor: JobProcessor) -> None:
    """A test that fails leaves nothing behind."""
    address = processor.address
    with pytest.raises(ZeroDivisionError):
        async with in_memory(processor):
            raise ZeroDivisionError
    assert processor.address == address


async def test_drain_runs_what_is_due_and_what_comes_of_it(processor: JobProcessor) -> None:
    """A job that schedules another: both; one for later, or a retry: when the clock has come."""
    tries: list[datetime] = []

    @processor.job()
    async def parent() -> None:
        await processor.schedule_job("a")
        await processor.schedule_job("a", None, timedelta(hours=1))

    @processor.job(retry=Retry(max_attempts=2, delay=60, jitter=False))
    async def shaky() -> None:
        tries.append(tester.clock.now())
        raise ValueError("as told")

    async with in_memory(processor, START) as tester:
        await processor.schedule_job("parent")
        assert {job.name for job in await tester.drain()} == {"parent", "a"}  # in either order
        await processor.schedule_job("shaky")
        assert await tester.drain() == []
        assert tester.clock.move(seconds=60) == START + timedelta(seconds=60)
        (failed,) = await tester.drain()
        assert failed.status is JobStatus.ERRORED
        assert tries == [START, START + timedelta(seconds=60)]
        tester.clock.move(timedelta(minutes=58), seconds=59)
        assert await tester.drain() == []
        tester.clock.move(seconds=1)
        assert [job.name for job in await tester.drain()] == ["a"]


async def test_crons_fire_when_the_clock_has_come(processor: JobProcessor) -> None:
    """Each occurrence once, without a first drain by hand."""
    processor.cron("0 2 * * *", "nightly")(nothing)
    async with in_memory(processor, START) as tester:
        tester.clock.move_to(datetime(2026, 5, 2, 1, 59, 59, tzinfo=UTC))
        assert await tester.drain() == []
        for day in (2, 3):
            tester.clock.move_to(datetime(2026, 5, day, 2, tzinfo=UTC))
            (task,) = await tester.drain()
            assert (task.name, task.scheduled_for) == ("nightly", tester.clock.now())


async def test_what_was_scheduled(processor: JobProcessor) -> None:
    """By name, payload, moment or delay, and number; a failure lists what was scheduled."""
    async with in_memory(processor, START) as tester:
        tester.assert_not_scheduled()
        with pytest.raises(AssertionError, match=r"0 jobs .* 'a', at least one .* nothing was"):
            tester.assert_scheduled("a")
        first = await processor.schedule_job("a", {"n": 1})
        second = await processor.schedule_job("a", {"n": 2}, timedelta(hours=1))
        assert tester.scheduled("a") == tester.scheduled() == [first, second]
        assert tester.assert_scheduled("a", count=2) == second
        assert tester.assert_scheduled("a", {"n": 1}) == first
        assert tester.assert_scheduled("a", scheduled_for=timedelta(hours=1), count=1) == second
        assert tester.assert_scheduled("a", scheduled_for=START) == first
        tester.assert_not_scheduled("b")
        for wrong in ({"payload": None}, {"scheduled_for": START + timedelta(1)}, {"count": 3}):
            with pytest.raises(AssertionError, match=r"'a', payload {'n': 2}, for 2026-05-01T13"):
                tester.assert_scheduled("a", **wrong)
        with pytest.raises(AssertionError, match="no job 'a' was to be scheduled"):
            tester.assert_not_scheduled("a")


class Colour(Enum):
    RED = "red"


@dataclass
class Resize:
    image: str
    day: date


async def test_what_is_asserted_of_a_payload() -> None:
    """By name or handle: a model, single fields as their handler has them, a part of a mapping."""
    processor = JobProcessor("sqlite://")

    @processor.job
    async def send(
        to: str, on: date, user: dict[str, Any], colour: Colour = Colour.RED
    ) -> None: ...

    @processor.job
    async def resize(payload: Resize) -> None: ...

    @processor.job
    async def untyped(payload: Any) -> None: ...

    day = date(2026, 5, 1)
    async with in_memory(processor, START) as tester:
        job = await send.schedule("ada", day, {"id": 7, "name": {"first": "Ada", "last": "L"}})
        assert tester.assert_scheduled(send, to="ada", on=day) == job
        assert tester.assert_scheduled("send", part={"user": {"name": {"first": "Ada"}}}) == job
        for wrong in ({"to": "eve"}, {"user": {"id": 8}}, {"colour": Colour.RED}):
            with pytest.raises(AssertionError, match=r"'send', with .* in its payload, at least"):
                tester.assert_scheduled(send, part=wrong)
        with pytest.raises(InvalidPayloadError, match="did you mean 'to'"):
            tester.assert_scheduled(send, too="ada")
        small = await resize.schedule(Resize("a.png", day))
        assert tester.assert_scheduled(resize, Resize("a.png", day), image="a.png") == small
        with pytest.raises(AssertionError, match="0 jobs"):
            tester.assert_scheduled(resize, Resize("b.png", day))
        any_job = await untyped.schedule({"colour": "red", "on": ["2026-05-01"]})
        assert tester.assert_scheduled("untyped", colour=Colour.RED, on=[day]) == any_job
        with pytest.raises(AssertionError, match="no job 'send' was to be scheduled"):
            tester.assert_not_scheduled(send)


async def test_what_never_ends_is_told() -> None:
    """A drain that takes too long names the job that does not end, and leaves nothing running."""

    async def long() -> None:
        await asyncio.Event().wait()

    async with in_memory(JobProcessor("sqlite://", jobs={"long": JobDef(long)})) as tester:
        await tester.processor.schedule_job("long")
        with pytest.raises(JobTimeoutError, match=r"within 0\.1 s: 'long' did not end"):
            await tester.drain(timeout=0.1)


async def test_one_that_is_in_use_is_refused(sqlite_db_url: str) -> None:
    """A processor that is set up works on its own database: that is no place for tests."""
    async with JobProcessor(sqlite_db_url) as processor:
        with pytest.raises(WorkerStateError, match="close the processor"):
            async with in_memory(processor):
                pass
        assert await processor.get_healthcheck()


async def test_without_a_processor() -> None:
    """It makes one."""
    async with in_memory() as tester:
        tester.processor.job("a")(nothing)
        await tester.processor.schedule_job("a")
        assert [job.result() for job in await tester.drain()] == ["done"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda clock: MovableClock(datetime(2026, 1, 1)), "start: .* aware"),  # noqa: DTZ001
        (lambda clock: clock.move(lightyears=1), "by: .* timedelta"),
        (lambda clock: clock.move(5), "by: 5 .* timedelta"),
        (lambda clock: clock.move(hours=-1), "moment: .* from 2026-05-01T12"),
        (lambda clock: clock.move_to("noon"), "moment: 'noon' .* aware"),
    ],
)
def test_a_clock_goes_ahead_only(call: Any, message: str) -> None:
    """What is no time, and what lies behind, is refused with what is allowed."""
    with pytest.raises(InvalidArgumentError, match=message):
        call(MovableClock(START))


async def test_sleeps_are_skipped() -> None:
    """Each is slept to its end, by a clock that moves as far; others wait until it is moved."""
    processor = JobProcessor("sqlite://")
    began: list[datetime] = []

    @processor.job
    async def order(hours: int, context: Context) -> int:
        began.append(context.job.updated_at)
        for _ in range(hours):
            await context.sleep(hours=1)
        return hours

    async with in_memory(processor, START) as tester:
        await order.schedule_many([{"hours": hours} for hours in (2, 3)])
        await order.options(scheduled_for=timedelta(days=1)).schedule(hours=0)
        assert await tester.drain() == []
        ended = await tester.drain(skip_sleeps=True)
        assert sorted(job.result() for job in ended) == [2, 3]
        assert tester.clock.now() == START + timedelta(hours=3)
        assert len(began) == 3 + 4


async def test_a_handler_that_sleeps_for_ever_is_no_end() -> None:
    """It is told as any other that does not end."""
    processor = JobProcessor("sqlite://")

    @processor.job
    async def order(context: Context) -> None:
        while True:
            await context.sleep(hours=1)

    async with in_memory(processor) as tester:
        await order.schedule()
        with pytest.raises(JobTimeoutError):
            await tester.drain(0.5, skip_sleeps=True)


async def test_a_message_is_sent_in_a_test(caplog: pytest.LogCaptureFixture) -> None:
    """Who waits for one is named, and its time is not skipped; it goes on with it."""
    processor = JobProcessor("sqlite://")

    @processor.job
    async def order(id: int, context: Context) -> Any:
        await context.sleep(hours=1)
        return await context.receive(f"paid:{id}", timeout=86_400)

    async with in_memory(processor, START) as tester:
        job = await order.schedule(id=42)
        late = await order.schedule(id=43)
        assert await tester.drain(skip_sleeps=True) == []
        assert tester.clock.now() == START + timedelta(hours=1)
        waiting = await tester.waiting()
        assert {each.topics for each in waiting} == {("paid:42",), ("paid:43",)}
        assert f"job 'order' ({job.id}) still waits for the message paid:42 until" in caplog.text
        assert await tester.send("paid:42", {"by": "card"})
        assert not await tester.send("paid:42")
        assert [each.result() for each in await tester.drain()] == [{"by": "card"}]
        tester.clock.move(days=1)
        (ended,) = await tester.drain()
        assert (ended.id, ended.result()) == (late.id, None)


async def test_no_test_waits_for_a_rate(processor: JobProcessor) -> None:
    """What is due runs, however few may start in a time; afterwards the rate applies again."""
    processor.job("rare", rate="1/d")(nothing)
    async with in_memory(processor) as tester:
        await processor.schedule_jobs(["rare"] * 3)
        assert len(await tester.drain()) == 3
        assert (await processor.run_job("rare")).status is JobStatus.FINISHED
    assert list(processor.registry.rates) == ["rare"]


async def test_groups_are_run_to_their_end() -> None:
    """With the jobs that follow, which count as scheduled."""
    processor = JobProcessor(jobs={"a": JobDef(nothing), "zip": JobDef(nothing)})
    async with in_memory(processor) as tester:
        group = await processor.schedule_group("a", [{}, {}], then="zip")
        assert [job.name for job in await tester.drain()] == ["a", "a", "zip"]
        tester.assert_scheduled("zip", count=1)
        assert (await group.counts()).finished == 2


async def test_jobs_after_others_run_to_their_end(processor: JobProcessor) -> None:
    """A drain runs a chain as far as it goes; a failure skips the rest, however long that is."""

    async def fail() -> None:
        raise ValueError("no")

    processor.job(fail)
    async with in_memory(processor, START) as tester:
        first = await processor.schedule_job("a")
        second = await processor.schedule_job("a", after=first)
        bad = await processor.schedule_job("fail", after=second)
        last = await processor.schedule_job("a", after=bad)
        chain = [last]
        for _ in range(30):
            chain.append(await processor.schedule_job("a", after=chain[-1]))
        anyway = await processor.schedule_job("a", after=chain[-1], on_parent_failure="run")
        ended = await tester.drain()
        assert [job.id for job in ended] == [first.id, second.id, bad.id, anyway.id]
        found = [await processor.get_job(job.id) for job in chain]
        assert {job.status for job in found if job is not None} == {JobStatus.SKIPPED}
