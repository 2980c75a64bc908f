"""Schedules are put, changed, paused, removed and listed while everything runs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from job_processor import (
    Clock,
    InvalidArgumentError,
    InvalidPayloadError,
    JobProcessor,
    PayloadError,
    ScheduleNotFoundError,
    UnknownJobError,
)
from job_processor.sync import JobClient
from job_processor.worker.history import HistoryKeeper
from tests.crons.clocks import SetClock
from tests.crons.schedules import HOUR, MINUTE, NOON, clock_at
from tests.insides import engine_of, store_of
from tests.processors import Processors


async def make(
    processors: Processors, clock: SetClock | None = None, **options: Any
) -> JobProcessor:
    """Return a processor with a job that takes a number."""
    processor = await processors.make(clock=clock or clock_at(NOON), **options)

    @processor.job
    def digest(user: int = 0) -> None: ...

    return processor


async def test_a_schedule_is_put_and_found(processors: Processors) -> None:
    """With what was said, its first moment, and its revision."""
    processor = await make(processors, timezone="Europe/Paris")
    made = await processor.put_schedule(
        "digest:42", cron="0 8 * * *", job="digest", payload={"user": 42}
    )
    assert (made.rev, made.timezone, made.payload) == (1, "Europe/Paris", {"user": 42})
    assert made.next == NOON.replace(day=3, hour=7)
    assert await processor.get_schedule("digest:42") == made
    assert await processor.get_schedule("digest:43") is None


async def test_a_put_of_the_same_is_no_change(processors: Processors) -> None:
    """Nothing is written: neither its revision nor its next moment changes, whenever it comes."""
    clock = clock_at(NOON)
    processor = await make(processors, clock)
    said: dict[str, Any] = {"every": 300, "job": "digest", "payload": {"user": 1}, "limit": 9}
    made = await processor.put_schedule("digest:1", **said)
    desk = store_of(processor).schedules
    (before,) = await desk.page("", 1)
    clock.forward(hours=1)
    assert await processor.put_schedule("digest:1", **said) == made
    (behind,) = await desk.page("", 1)
    assert behind.token == before.token
    same = {**said, "every": timedelta(minutes=5)}
    assert await processor.put_schedule("digest:1", **same) == made


async def test_a_change_is_a_revision(processors: Processors) -> None:
    """What its times do not say leaves its next moment, and what is due; other times begin now."""
    clock = clock_at(NOON)
    processor = await make(processors, clock)
    await processor.put_schedule("digest:1", every=300, job="digest")
    clock.forward(minutes=6)
    changed = await processor.put_schedule("digest:1", every=300, job="digest", payload={"user": 2})
    assert (changed.rev, changed.next, changed.payload) == (2, NOON + 5 * MINUTE, {"user": 2})
    changed = await processor.put_schedule("digest:1", every=60, job="digest")
    assert (changed.rev, changed.next) == (3, NOON + 7 * MINUTE)
    assert changed.created_at == NOON  # from which it counts on
    assert changed.updated_at == NOON + 6 * MINUTE


async def test_two_who_put_at_once_both_get_through(processors: Processors) -> None:
    """One after the other, each upon what the other wrote."""
    processor = await make(processors)
    await asyncio.gather(
        *(
            processor.put_schedule("digest:1", every=300, job="digest", payload={"user": each})
            for each in range(8)
        )
    )
    found = await processor.get_schedule("digest:1")
    assert found is not None
    assert found.rev == 8


async def test_a_handle_stands_for_its_name(processors: Processors) -> None:
    """As where jobs are scheduled."""
    processor = await processors.make()

    @processor.job("digest")
    def send(user: int) -> None: ...

    made = await processor.put_schedule("digest:1", every=60, job=send, payload={"user": 1})
    assert made.job == "digest"


ALLOWED: dict[str, Any] = {"job": "digest", "every": 300}


@pytest.mark.parametrize(
    ("fields", "argument"),
    [
        ({"cron": "0 8 * * *"}, "cron"),
        ({"every": None}, "cron"),
        ({"every": None, "cron": "0 25 * * *"}, "cron"),
        ({"every": None, "cron": "@every 5m"}, "cron"),
        ({"every": None, "cron": "0 8 * * *", "anchor": NOON}, "anchor"),
        ({"every": 0.5}, "every"),
        ({"every": "5m"}, "every"),
        ({"every": timedelta(seconds=1.5)}, "every"),
        ({"timezone": "Europe/Paris"}, "timezone"),
        ({"every": None, "cron": "0 8 * * *", "timezone": "Mars/Olympus"}, "timezone"),
        ({"start": NOON.replace(tzinfo=None)}, "start"),
        ({"start": timedelta(hours=1)}, "start"),
        ({"end": "tomorrow"}, "end"),
        ({"start": NOON, "end": NOON - MINUTE}, "end"),
        ({"anchor": NOON.replace(tzinfo=None)}, "anchor"),
        ({"limit": 0}, "limit"),
        ({"limit": True}, "limit"),
        ({"misfire": "sometimes"}, "misfire"),
        ({"priority": 10}, "priority"),
        ({"expires_after": 0}, "expires_after"),
        ({"unique_key": ""}, "unique_key"),
        ({"limit_key": "tenant"}, "limit_key"),
        ({"job": "digset"}, "job"),
        ({"job": []}, "job"),
        ({"every": 10**400}, "every"),
        ({"expires_after": 1e300}, "expires_after"),
        ({"limit": 10**30}, "limit"),
        ({"every": None, "cron": "0 8 * * *", "timezone": ""}, "timezone"),
        ({"start": datetime(1, 1, 1, tzinfo=UTC)}, "start"),
        ({"start": datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)}, "start"),
        ({"payload": {"user": 1, "x": 2}}, "payload"),
    ],
)
async def test_what_cannot_be_is_refused_when_it_is_put(
    processors: Processors, fields: dict[str, Any], argument: str
) -> None:
    """By its name, and nothing is stored."""
    processor = await make(processors)
    with pytest.raises(InvalidArgumentError) as told:
        await processor.put_schedule("digest:1", **{**ALLOWED, **fields})
    assert told.value.argument == argument
    assert await processor.get_schedule("digest:1") is None


async def test_the_job_and_its_payload_are_checked(processors: Processors) -> None:
    """As `schedule_job` checks them: the nearest name is told, and no value of the payload."""
    processor = await make(processors)
    with pytest.raises(UnknownJobError, match="did you mean 'digest'"):
        await processor.put_schedule("digest:1", every=60, job="digset")
    with pytest.raises(InvalidPayloadError) as told:
        await processor.put_schedule("digest:1", every=60, job="digest", payload={"user": "ada"})
    assert "ada" not in str(told.value)


async def test_a_large_payload_is_refused(processors: Processors) -> None:
    """It would be read at each moment; the error says how large it may be, and nothing of it."""
    processor = await processors.make()
    processor.job("mail")(lambda payload: None)
    with pytest.raises(PayloadError, match=r"65,536 bytes.*it has") as told:
        await processor.put_schedule("mail:1", every=60, job="mail", payload={"x": "ada" * 30_000})
    assert "ada" not in str(told.value)


@pytest.mark.parametrize("name", ["", " ", "x" * 201, None, 7])
async def test_a_name_is_a_text(processors: Processors, name: Any) -> None:
    """Of 1 to 200 characters, wherever one is given."""
    processor = await make(processors)
    for call in (
        processor.get_schedule,
        processor.remove_schedule,
        processor.pause_schedule,
        processor.resume_schedule,
    ):
        with pytest.raises(InvalidArgumentError):
            await call(name)
    with pytest.raises(InvalidArgumentError):
        await processor.put_schedule(name, every=60, job="digest")


async def test_one_is_paused_and_goes_on(processors: Processors) -> None:
    """Twice is harmless; one that is not there is told."""
    processor = await make(processors)
    await processor.put_schedule("digest:1", every=60, job="digest")
    paused = await processor.pause_schedule("digest:1")
    assert (paused.paused, paused.due, paused.next) == (True, None, NOON + MINUTE)
    assert await processor.pause_schedule("digest:1") == paused
    changed = await processor.put_schedule("digest:1", every=60, job="digest", priority=1)
    assert (changed.paused, changed.rev) == (True, 2)
    resumed = await processor.resume_schedule("digest:1")
    assert (resumed.paused, resumed.due) == (False, NOON + MINUTE)
    for call in (processor.pause_schedule, processor.resume_schedule):
        with pytest.raises(ScheduleNotFoundError, match="digest:2"):
            await call("digest:2")


async def test_one_is_removed(processors: Processors) -> None:
    """It tells whether there was one; put anew it begins anew."""
    clock = clock_at(NOON)
    processor = await make(processors, clock)
    await processor.put_schedule("digest:1", every=60, job="digest")
    await processor.put_schedule("digest:1", every=60, job="digest", priority=1)
    assert await processor.remove_schedule("digest:1") is True
    assert await processor.remove_schedule("digest:1") is False
    clock.forward(seconds=30)
    anew = await processor.put_schedule("digest:1", every=60, job="digest")
    assert (anew.rev, anew.next) == (1, NOON + 90 * timedelta(seconds=1))


async def test_they_are_listed_in_pages(processors: Processors) -> None:
    """By name, each once; of one job, or of all."""
    processor = await make(processors)
    processor.job("mail")(lambda: None)
    for number in range(5):
        await processor.put_schedule(f"s{number}", every=60, job="digest" if number % 2 else "mail")
    names, after = [], None
    while True:
        page = await processor.schedules(2, after)
        names.append([each.name for each in page.schedules])
        if page.next is None:
            break
        after = page.next
    assert names == [["s0", "s1"], ["s2", "s3"], ["s4"]]
    page = await processor.schedules(job="digest")
    assert [each.name for each in page.schedules] == ["s1", "s3"]
    for limit in (0, 1001, True):
        with pytest.raises(InvalidArgumentError):
            await processor.schedules(limit)


async def test_a_raised_limit_lets_one_that_has_ended_go_on(processors: Processors) -> None:
    """What it made counts on; a limit that is reached already ends it."""
    clock = clock_at(NOON)
    processor = await make(processors, clock)
    await processor.put_schedule("digest:1", every=60, job="digest", limit=1)
    clock.forward(minutes=1)
    await processor.run_worker(burst=True)
    ended = await processor.get_schedule("digest:1")
    assert ended is not None
    assert (ended.made, ended.next, ended.ended_at) == (1, None, NOON + MINUTE)
    on = await processor.put_schedule("digest:1", every=60, job="digest", limit=3)
    assert (on.made, on.next, on.ended_at) == (1, NOON + 2 * MINUTE, None)
    over = await processor.put_schedule("digest:1", every=60, job="digest", limit=1)
    assert (over.next, over.ended_at) == (None, NOON + MINUTE)


async def test_one_that_has_ended_goes_with_the_history(processors: Processors) -> None:
    """After `history_days`; one that goes on stays, however old it is."""
    clock = SetClock(Clock().now())
    processor = await make(processors, clock, history_days=1)
    ended = clock.now() - timedelta(days=2)
    await processor.put_schedule("on", every=60, job="digest")
    made = await processor.put_schedule("over", every=60, job="digest", end=ended)
    desk = store_of(processor).schedules
    (present,) = await desk.page("on", 1)
    assert await desk.put(replace(made, ended_at=ended), present.token)
    engine = engine_of(processor)
    await engine.start()
    processors.at_the_end(engine.stop)
    await HistoryKeeper(engine).prune()
    assert [each.name for each in await desk.page("", 10)] == ["on"]


async def test_one_whose_end_has_come_has_ended_at_once(processors: Processors) -> None:
    """It is kept, and says so."""
    processor = await make(processors)
    made = await processor.put_schedule("digest:1", every=60, job="digest", end=NOON - HOUR)
    assert (made.next, made.ended_at) == (None, NOON)


async def test_a_plain_function_puts_them_too(processors: Processors) -> None:
    """`JobClient` has the same calls, for code without an event loop."""
    processor = await make(processors)

    def work() -> list[Any]:
        with JobClient(processor) as client:
            made = client.put_schedule("digest:1", every=60, job="digest", payload={"user": 1})
            told: list[Any] = [client.get_schedule("digest:1") == made]
            told.append(client.pause_schedule("digest:1").paused)
            told.append(client.resume_schedule("digest:1").paused)
            told.append(len(client.schedules(job="digest").schedules))
            told.append(client.remove_schedule("digest:1"))
            return told

    assert await asyncio.to_thread(work) == [True, True, False, 1, True]
