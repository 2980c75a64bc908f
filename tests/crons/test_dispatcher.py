"""Moments of schedules become jobs: once, by whoever is there, and whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from job_processor import (
    Clock,
    Event,
    EventKind,
    JobDef,
    JobProcessor,
    StoreRefusedError,
    StoreUnavailableError,
)
from job_processor.store.schedules import planned_id
from job_processor.testing import in_memory
from tests.crons.clocks import SetClock
from tests.crons.schedules import (
    HOUR,
    JOBS,
    MINUTE,
    MS,
    NOON,
    at,
    clock_at,
    dispatcher_of,
    dispatching,
    found,
    jobs_of,
    moments,
)
from tests.processors import Processors, eventually

SECOND = timedelta(seconds=1)


async def put(
    processors: Processors, clock: SetClock, name: str = "digest:1", **fields: Any
) -> JobProcessor:
    """Put a schedule of each minute by a process that runs nothing; return its processor."""
    processor = await processors.make(
        clock=clock, jobs={"digest": JobDef(None), "mail": JobDef(None)}
    )
    timing = {} if "cron" in fields else {"every": 60}
    await processor.put_schedule(name, **{"job": "digest", **timing, **fields})
    return processor


async def test_what_is_due_becomes_a_job(processors: Processors) -> None:
    """Plain, for its moment, with an id that is derived; nothing stands before its time."""
    clock = clock_at(NOON)
    engine, dispatcher = await dispatching(processors, clock)
    await put(processors, clock, payload={"a": 1})
    assert await dispatcher.dispatch() == NOON + MINUTE
    assert await jobs_of(engine) == []
    clock.forward(seconds=61)
    assert await dispatcher.dispatch() == NOON + 2 * MINUTE
    (job,) = await jobs_of(engine)
    assert (job.scheduled_for, job.payload, job.status) == (NOON + MINUTE, {"a": 1}, "pending")
    assert job.id == planned_id("digest:1", NOON + MINUTE)
    schedule = await found(engine)
    assert (schedule.made, schedule.last, schedule.last_job) == (1, NOON + MINUTE, job.id)


@pytest.mark.slow
async def test_ten_who_race_make_each_moment_once(processors: Processors) -> None:
    """Any worker may; together they make no more and no fewer, and count them."""
    clock = clock_at(NOON)
    made = [await dispatching(processors, clock) for _ in range(10)]
    for number in range(30):
        await put(processors, clock, f"digest:{number}", limit=3 if number % 3 == 0 else None)
    for _ in range(4):
        clock.forward(minutes=1)
        await asyncio.gather(*(dispatcher.dispatch() for _, dispatcher in made))
    engine, _ = made[0]
    expected = sorted([*at(1, 2, 3) * 30, *at(4) * 20])
    assert await moments(engine) == expected
    page = await engine.store.schedules.page("", 100)
    assert [each.made for each in page if each.limit is None] == [4] * 20
    assert [each.made for each in page if each.limit is not None] == [3] * 10


async def test_a_crash_between_insert_and_advance_loses_and_doubles_nothing(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is stored before its schedule is moved on; the next pass finds it there."""
    clock = clock_at(NOON)
    engine, dispatcher = await dispatching(processors, clock)
    await put(processors, clock)
    clock.forward(minutes=1)

    async def crash(*_: object) -> set[str]:
        raise SystemExit("killed here")

    with monkeypatch.context() as patch:
        patch.setattr(engine.store.schedules, "advance", crash)
        with pytest.raises(SystemExit):
            await dispatcher.dispatch()
    assert await moments(engine) == at(1)
    await dispatcher_of(engine).dispatch()
    assert await moments(engine) == at(1)
    assert (await found(engine)).made == 1


@pytest.mark.parametrize(
    ("misfire", "expected"),
    [("once", [1]), ("skip", [1]), ("all", [1, *range(1341, 1441)])],
)
async def test_what_an_outage_of_a_day_leaves_to_do(
    processors: Processors, misfire: Any, expected: list[int]
) -> None:
    """Once and skip make the standing one, all adds the latest hundred."""
    clock = clock_at(NOON)
    engine, dispatcher = await dispatching(processors, clock)
    await put(processors, clock, misfire=misfire)
    clock.forward(days=1)
    assert await dispatcher.dispatch() == NOON + timedelta(days=1, minutes=1)
    assert await moments(engine) == at(*expected)


@pytest.mark.parametrize(("misfire", "status"), [("skip", "skipped"), ("once", "finished")])
async def test_a_missed_moment_is_skipped_or_run(
    processors: Processors, misfire: Any, status: str
) -> None:
    """By the worker that takes it, as all that has expired; what nobody was there for counts."""
    clock = clock_at(NOON)
    worker = await processors.make(clock=clock, jobs=JOBS)
    await put(processors, clock, misfire=misfire)
    clock.forward(hours=1)
    await worker.run_worker(burst=True)
    (job,) = (await worker.find_jobs(name="digest")).jobs
    assert job.status == status
    (counted,) = await worker.get_rollup_totals(60, clock.now())
    assert counted.missed == 59  # the last one is in time


async def test_a_change_of_the_payload_holds_for_what_is_due(processors: Processors) -> None:
    """Between two moments, and after one that nobody has looked at yet."""
    clock = clock_at(NOON)
    engine, dispatcher = await dispatching(processors, clock)
    client = await put(processors, clock, payload={"a": 1})
    clock.forward(seconds=61)
    await client.put_schedule("digest:1", job="digest", every=60, payload={"a": 2})
    await dispatcher.dispatch()
    assert [job.payload for job in await jobs_of(engine)] == [{"a": 2}]


async def test_a_change_while_it_is_moved_on_is_kept(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who read the schedule before it writes nothing over it, and makes no moment twice."""
    clock = clock_at(NOON)
    engine, dispatcher = await dispatching(processors, clock)
    client = await put(processors, clock)
    clock.forward(seconds=61)
    advance = engine.store.schedules.advance

    async def late(moves: Any) -> set[str]:
        monkeypatch.undo()
        await client.put_schedule("digest:1", job="digest", every=60, priority=3)
        return await advance(moves)

    monkeypatch.setattr(engine.store.schedules, "advance", late)
    await dispatcher.dispatch()
    schedule = await found(engine)
    assert (schedule.priority, schedule.made, schedule.next) == (3, 1, NOON + 2 * MINUTE)
    assert await moments(engine) == at(1)


async def test_a_removal_leaves_the_jobs_that_wait(processors: Processors) -> None:
    """And makes no other, also where it comes while a job is made."""
    clock = clock_at(NOON)
    engine, dispatcher = await dispatching(processors, clock)
    client = await put(processors, clock)
    clock.forward(minutes=1)
    await dispatcher.dispatch()
    assert await client.remove_schedule("digest:1")
    clock.forward(minutes=5)
    assert await dispatcher.dispatch() is None
    assert [(job.scheduled_for, job.status) for job in await jobs_of(engine)] == [
        (NOON + MINUTE, "pending")
    ]


async def test_one_that_is_paused_makes_nothing(processors: Processors) -> None:
    """What it missed is judged when it goes on."""
    clock = clock_at(NOON)
    engine, dispatcher = await dispatching(processors, clock)
    client = await put(processors, clock)
    await client.pause_schedule("digest:1")
    clock.forward(minutes=10)
    assert await dispatcher.dispatch() is None
    await client.resume_schedule("digest:1")
    assert await dispatcher.dispatch() == NOON + 11 * MINUTE
    assert await moments(engine) == at(1)


async def test_a_job_that_is_paused_or_not_defined_here_waits(processors: Processors) -> None:
    """Its moments are left to whoever defines it, and are judged then."""
    clock = clock_at(NOON)
    engine, dispatcher = await dispatching(processors, clock)
    client = await put(processors, clock, "mail:1", job="mail")
    await put(processors, clock)
    clock.forward(minutes=1)
    await client.pause("digest")
    pauses = dispatcher._pauses
    await pauses.look()  # type: ignore[attr-defined]  # it is a PauseWatch
    assert await dispatcher.dispatch() is None
    assert await jobs_of(engine) == await jobs_of(engine, "mail") == []


async def test_one_whose_key_is_held_is_stored_as_skipped(processors: Processors) -> None:
    """So runs of one schedule never overlap."""
    clock = clock_at(NOON)
    engine, dispatcher = await dispatching(processors, clock)
    await put(processors, clock, unique_key="digest:1")
    for _ in range(2):
        clock.forward(minutes=1)
        await dispatcher.dispatch()
    first, second = await jobs_of(engine)
    assert (first.status, second.status) == ("pending", "skipped")
    assert second.output is not None
    assert second.output.skip_metadata is not None
    assert second.output.skip_metadata.conflicting_job_id == first.id


async def test_one_that_the_database_refuses_holds_up_no_other(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says why, and goes on with its next moment."""
    clock = clock_at(NOON)
    engine, dispatcher = await dispatching(processors, clock)
    await put(processors, clock)
    await put(processors, clock, "digest:2", payload={"poison": True})
    clock.forward(minutes=1)
    insert = engine.store.intake.insert

    async def refusing(jobs: Any) -> list[Any]:
        if any(job.payload for job in jobs):
            raise StoreRefusedError("it is poison")
        return await insert(jobs)

    monkeypatch.setattr(engine.store.intake, "insert", refusing)
    assert await dispatcher.dispatch() == NOON + 2 * MINUTE
    assert await moments(engine) == at(1)
    assert (await found(engine, "digest:2")).problem == "it is poison"
    assert (await found(engine)).problem is None


async def test_a_database_that_is_away_is_no_refusal(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pass fails, and nothing is moved on."""
    clock = clock_at(NOON)
    engine, dispatcher = await dispatching(processors, clock)
    await put(processors, clock)
    clock.forward(minutes=1)

    async def away(_: object) -> list[Any]:
        raise StoreUnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(engine.store.intake, "insert", away)
        with pytest.raises(StoreUnavailableError):
            await dispatcher.dispatch()
    assert (await found(engine)).next == NOON + MINUTE


async def test_an_hour_by_which_a_clock_was_ahead_leaves_nothing_silent(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """Set right, it goes on from now on, and says so; what ran before its time comes once more."""
    clock = clock_at(NOON)
    engine, dispatcher = await dispatching(processors, clock)
    await put(processors, clock)
    clock.forward(hours=1)
    for _ in range(3):
        await dispatcher.dispatch()
        clock.forward(minutes=1)
    clock.moment = NOON + 10 * SECOND
    assert await dispatcher.dispatch() == NOON + MINUTE
    assert "a clock was ahead" in caplog.text
    clock.forward(minutes=1)
    await dispatcher.dispatch()
    assert (await moments(engine))[:2] == [MINUTE, MINUTE + MS]
    assert (await found(engine)).next == NOON + 2 * MINUTE


class Ahead(Clock):
    """A clock that is an hour ahead."""

    def now(self) -> datetime:
        """Return the wrong time."""
        return super().now() + HOUR


async def test_a_worker_whose_clock_is_ahead_leaves_them_to_one_whose_clock_is_right(
    processors: Processors,
) -> None:
    """Alone it makes them by its own clock; what it has moved on, a right one takes back."""
    now = Clock().now().replace(microsecond=0)
    engine, dispatcher = await dispatching(processors, Ahead())
    client = await processors.make(jobs=JOBS)
    await client.put_schedule("digest:1", job="digest", every=600, start=now + 10 * MINUTE)
    right, another = await dispatching(processors, Clock())
    await dispatcher.dispatch()
    assert await jobs_of(engine) == []
    await right.stop()
    await dispatcher.dispatch()
    assert len(await jobs_of(engine)) == 1
    assert (await found(engine)).moved_at > now + 50 * MINUTE
    await another.dispatch()
    assert (await found(engine)).next == now + 20 * MINUTE


async def test_a_pass_asks_for_what_is_due_alone(processors: Processors) -> None:
    """However many there are: when the first is due, and nothing else while none is."""
    clock = clock_at(NOON)
    engine, dispatcher = await dispatching(processors, clock)
    await put(processors, clock, "digest:0")
    one = await found(engine, "digest:0")
    moves = [(one, one)]
    assert await engine.store.schedules.advance(moves) == {"digest:0"}
    await dispatcher.dispatch()
    asked: list[str] = []
    desk = engine.store.schedules
    for verb in ("next_due", "due", "advance", "moved_after", "page", "get"):
        call = getattr(desk, verb)

        async def count(*values: Any, verb: str = verb, call: Any = call) -> Any:
            asked.append(verb)
            return await call(*values)

        setattr(desk, verb, count)
    await dispatcher.dispatch()
    assert asked == ["next_due"]
    clock.forward(minutes=1)
    asked.clear()
    await dispatcher.dispatch()
    assert sorted(asked) == ["advance", "due", "moved_after", "next_due", "next_due"]


async def test_a_worker_hears_of_a_schedule_that_is_put(processors: Processors) -> None:
    """And makes its jobs at their moments, without a sweep in between."""
    processor, _ = await processors.start(jobs=JOBS)
    await processor.put_schedule("digest:1", job="digest", every=1, limit=2)

    async def made() -> bool:
        schedule = await processor.get_schedule("digest:1")
        return schedule is not None and schedule.ended_at is not None

    await eventually(made, "both jobs")
    page = await processor.find_jobs(name="digest")
    assert len(page.jobs) == 2
    assert page.jobs[0].scheduled_for - page.jobs[1].scheduled_for >= SECOND


async def test_it_tells_of_each_job_once(processors: Processors) -> None:
    """As of every job that is scheduled."""
    clock = clock_at(NOON)
    engine, dispatcher = await dispatching(processors, clock)
    told: list[Event] = []
    engine.parts.events.listen(told.append)
    await put(processors, clock)
    clock.forward(minutes=1)
    await dispatcher.dispatch()
    await dispatcher.dispatch()
    assert [event.kind for event in told] == [EventKind.SCHEDULED]


async def test_the_testing_kit_moves_its_clock_through_them() -> None:
    """`drain` makes what is due by the clock of the test, and runs it."""
    processor = JobProcessor("sqlite://")
    ran: list[int] = []

    @processor.job
    def digest(user: int) -> None:
        ran.append(user)

    async with in_memory(processor, start=NOON) as tester:
        await processor.put_schedule(
            "digest:42", cron="0 8 * * *", job=digest, payload={"user": 42}
        )
        tester.clock.move(hours=19)
        assert await tester.drain() == []
        tester.clock.move(hours=1)
        (job,) = await tester.drain()
        tester.assert_scheduled(digest, {"user": 42}, NOON + 20 * HOUR)
    assert (ran, job.status) == ([42], "finished")
