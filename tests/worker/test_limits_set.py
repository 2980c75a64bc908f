"""Limits that are changed while workers run, and how their lanes are seen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from job_processor import (
    CronDef,
    InvalidArgumentError,
    JobDef,
    JobProcessor,
    JobStatus,
    Limit,
    LimitInfo,
)
from tests.definitions import nothing
from tests.insides import store_of
from tests.processors import Processors, eventually

FAR_AWAY: dict[str, Any] = {"worker_timeout": 240.0, "poll_interval": 3600.0}
"""No sweep comes to help, and no look without a hint."""


class Door:
    """A handler inside of which jobs stay until they are let out."""

    def __init__(self) -> None:
        self.inside = 0
        self.entered = 0
        self._out = asyncio.Semaphore(0)

    async def __call__(self) -> None:
        """Be inside."""
        self.inside += 1
        self.entered += 1
        await self._out.acquire()
        self.inside -= 1

    def let_out(self, count: int) -> None:
        """Let so many out."""
        for _ in range(count):
            self._out.release()

    async def holds(self, count: int, of: int | None = None) -> None:
        """Return once so many are inside, of so many who have entered."""

        async def held() -> bool:
            return self.inside == count and of in (None, self.entered)

        await eventually(held, f"{count} inside")


async def sure(look: Callable[[], Awaitable[bool]]) -> None:
    """Return once a look says so."""
    await eventually(look, "what was waited for")


async def of_name(processor: JobProcessor, name: str = "sync") -> LimitInfo:
    """Return how a limit stands."""
    (found,) = [each for each in await processor.limits() if each.name == name]
    return found


async def counts(processor: JobProcessor) -> tuple[int, int, int]:
    """Return what runs, what is in line and what is parked of the only lane."""
    (lane,) = (await of_name(processor)).lanes
    return lane.running, lane.in_line, lane.parked


@pytest.fixture
def door() -> Door:
    """A handler that keeps what is inside."""
    return Door()


@pytest.mark.parametrize("limit", [Limit(1, key="tenant"), 1])
async def test_a_raised_limit_lets_waiting_jobs_start_at_once(
    processors: Processors, door: Door, limit: Any
) -> None:
    """No sweep and no look are waited for: who runs the worker hears of it and lets them in."""
    jobs = {"sync": JobDef(door, limit=limit)}
    worker, _ = await processors.start(jobs=jobs, **FAR_AWAY)
    boss = await processors.make(jobs=jobs)
    await worker.schedule_jobs([("sync", {"tenant": "a"}) for _ in range(6)])
    await door.holds(1)
    await boss.set_limit("sync", 4)
    await door.holds(4)
    info = await of_name(boss)
    assert (info.amount, info.is_changed, info.defined) == (4, True, jobs["sync"].limited)
    (lane,) = info.lanes
    assert (lane.running, lane.waiting) == (4, 2)
    door.let_out(6)
    await door.holds(0)


async def test_a_lowered_limit_lets_running_jobs_end(processors: Processors, door: Door) -> None:
    """What runs above it goes on; a place that is left above it is not taken again."""
    jobs = {"sync": JobDef(door, limit=Limit(3, key="tenant"))}
    worker, _ = await processors.start(jobs=jobs, **FAR_AWAY)
    await worker.schedule_jobs([("sync", {"tenant": "a"}) for _ in range(8)])
    await door.holds(3)
    await worker.set_limit("sync", 1)

    async def seen() -> bool:
        return store_of(worker).lanes.book.set == {"sync": 1}

    await sure(seen)
    assert door.inside == 3
    for entered in (4, 5, 6):  # one at a time goes and one comes, as soon as no more than one is in
        door.let_out(3 if entered == 4 else 1)
        await door.holds(1, of=entered)
    await worker.set_limit("sync", None)
    await door.holds(3)
    assert not (await of_name(worker)).is_changed
    door.let_out(3)
    await door.holds(0)


async def test_what_was_let_in_and_has_not_begun_waits_again(
    processors: Processors, door: Door
) -> None:
    """Lowered, a limit takes slots back from jobs that no worker was free for."""
    jobs = {
        "sync": JobDef(door, tag="sync", limit=Limit(3, key="tenant")),
        "other": JobDef(door, tag="other"),
    }
    first, running = await processors.start(jobs=jobs, worker_tags=["sync"], **FAR_AWAY)
    await processors.start(jobs=jobs, worker_tags=["other"], **FAR_AWAY)
    await first.schedule_jobs([("sync", {"tenant": "a"}) for _ in range(6)])

    async def full() -> bool:
        return await counts(first) == (3, 0, 3)

    await sure(full)
    await door.holds(3)
    running.controller.abort("test")
    door.let_out(3)
    await running.stop()
    assert await counts(first) == (0, 3, 0)
    await first.set_limit("sync", 1)

    async def taken_back() -> bool:
        return await counts(first) == (0, 1, 2)

    await sure(taken_back)


async def test_a_limit_of_each_worker_is_changed_too(processors: Processors, door: Door) -> None:
    """What each worker counts by itself follows what was set."""
    jobs = {"sync": JobDef(door, limit=Limit(1, per="worker"))}
    worker, _ = await processors.start(jobs=jobs, **FAR_AWAY)
    await worker.schedule_jobs(["sync"] * 4)
    await door.holds(1)
    await worker.set_limit("sync", 3)
    await door.holds(3)
    info = await of_name(worker)
    assert (info.amount, info.lanes) == (3, ())
    door.let_out(4)
    await door.holds(0)


async def test_a_worker_that_starts_later_knows_what_was_set(
    processors: Processors, door: Door
) -> None:
    """It is kept in the database, and read before the first claim."""
    jobs = {"sync": JobDef(door, limit=Limit(1, group="stripe", key="tenant"))}
    boss = await processors.make(jobs=jobs)
    await boss.set_limit("stripe", Limit(2))
    await boss.schedule_jobs([("sync", {"tenant": "a"}) for _ in range(3)])
    await processors.start(jobs=jobs, **FAR_AWAY)
    await door.holds(2)
    door.let_out(3)
    await door.holds(0)


async def test_of_many_who_change_the_last_word_counts(processors: Processors) -> None:
    """Changes of several at once are all made, one after the other; one of them holds then."""
    jobs = {"a": JobDef(nothing, limit=1), "b": JobDef(nothing, limit=1)}
    many = [await processors.make(jobs=jobs) for _ in range(4)]
    await asyncio.gather(
        *(each.set_limit("a", number + 2) for number, each in enumerate(many)),
        *(each.set_limit("b", 7) for each in many),
    )
    amounts = {info.name: info.amount for info in await many[0].limits()}
    assert amounts["a"] in {2, 3, 4, 5}
    assert amounts["b"] == 7


async def test_who_kills_without_a_worker_knows_what_was_set(
    processors: Processors, door: Door
) -> None:
    """A process that watches nothing reads what was set before it hands a slot over."""
    jobs = {"sync": JobDef(door, limit=Limit(2, key="tenant"))}
    worker, running = await processors.start(jobs=jobs, concurrency=2, **FAR_AWAY)
    boss = await processors.make(jobs=jobs)
    await worker.schedule_jobs([("sync", {"tenant": "a"}) for _ in range(4)])
    await door.holds(2)
    await running.crash()
    await boss.set_limit("sync", 1)
    lanes = store_of(boss).lanes
    assert await lanes.hand_over(["sync:a"]) <= 1
    assert lanes.book.set == {"sync": 1}


async def test_limits_tell_their_lanes_the_fullest_first(processors: Processors) -> None:
    """With what they are defined as; as many lanes as are asked for, and whether there are more."""
    boss = await processors.make(
        jobs={
            "sync": JobDef(nothing, limit=Limit(2, group="api", key="tenant")),
            "send": JobDef(nothing, limit=Limit(2, group="api", key="tenant")),
            "alone": JobDef(nothing, limit=1),
            "free": JobDef(nothing),
        },
        crons={"tick": CronDef("0 0 1 1 *", nothing, limit=1)},
    )
    for tenant, count in (("a", 1), ("b", 3), ("c", 2)):
        await boss.schedule_jobs([("sync", {"tenant": tenant})] * count)
    await boss.schedule_jobs(["alone"] * 2)
    api, alone, tick = sorted(await boss.limits(2), key=lambda info: len(info.name) != 3)
    assert (api.name, api.names, api.amount) == ("api", ("sync", "send"), 2)
    assert [(lane.key, lane.waiting) for lane in api.lanes] == [("b", 3), ("c", 2)]
    assert (api.more, api.is_changed) == (True, False)
    assert (alone.name, [lane.waiting for lane in alone.lanes]) == ("alone", [2])
    assert (tick.name, tick.lanes, tick.more) == ("tick", (), False)
    lane = await boss.get_lane("api:b", 2)
    assert (lane.amount, lane.holding, len(lane.next)) == (2, (), 2)
    assert all(job.name == "sync" for job in lane.next)
    nobody = await boss.get_lane("none:x")
    assert (nobody.info.is_empty, nobody.amount, nobody.next) == (True, None, ())


async def test_limits_of_others_are_seen_by_their_lanes(processors: Processors) -> None:
    """A process that defines nothing sees what waits, and may set an amount."""
    owner = await processors.make(jobs={"sync": JobDef(nothing, limit=Limit(2, key="tenant"))})
    await owner.schedule_job("sync", {"tenant": "a"})
    other = await processors.make()
    info = await of_name(other)
    assert (info.amount, info.defined, info.names, len(info.lanes)) == (None, None, (), 1)
    await other.set_limit("sync", 5)
    assert (await of_name(owner)).amount == 5


@pytest.mark.parametrize(
    ("name", "limit", "told"),
    [
        ("sync", 0, "to let none start, pause the jobs"),
        ("sync", "3", "allowed is a whole number of at least 1"),
        ("sync", True, "allowed is a whole number of at least 1"),
        ("sync", Limit(3, key="account"), r"set_limit\('sync', 3\)"),
        ("sync", Limit(3, per="worker"), "are those of the code"),
        ("posts", 2, "one after the other"),
        ("sink", 2, "'posts', 'sync'"),
        ("", 2, "allowed is a str"),
    ],
)
async def test_what_cannot_be_set_is_told(
    processors: Processors, name: str, limit: Any, told: str
) -> None:
    """Which argument, its value, and what to write instead; nothing is changed."""
    boss = await processors.make(
        jobs={
            "sync": JobDef(nothing, limit=Limit(2, key="tenant")),
            "posts": JobDef(nothing, limit=Limit(1, key="account", ordered=True)),
        }
    )
    with pytest.raises(InvalidArgumentError, match=told):
        await boss.set_limit(name, limit)
    assert not any(info.is_changed for info in await boss.limits())
    await boss.set_limit("sync", Limit(3, key="tenant"))
    await boss.set_limit("posts", 1)


async def test_an_order_outlives_what_others_set(processors: Processors) -> None:
    """Who does not know that a lane has an order cannot take it away."""
    jobs = {"posts": JobDef(nothing, limit=Limit(1, key="account", ordered=True))}
    other = await processors.make()
    await other.set_limit("posts", 5)
    worker, _ = await processors.start(jobs=jobs)  # which reads it before it claims
    job = await worker.schedule_job("posts", {"account": 1})
    assert (await worker.wait_for_job(job.id)).status is JobStatus.FINISHED
    assert (await of_name(worker, "posts")).amount == 1
    assert store_of(worker).lanes.book.set == {}


async def test_names_without_a_limit_ask_nothing(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker without limits never reads what was set."""
    worker, running = await processors.start(jobs={"free": JobDef(nothing)})
    asked: list[str] = []
    settings = store_of(worker).settings
    before = settings.all

    async def heard(kind: str) -> Any:
        asked.append(kind)
        return await before(kind)

    monkeypatch.setattr(settings, "all", heard)
    other = await processors.make()
    await other.set_limit("free", 2)
    job = await worker.schedule_job("free")
    await worker.wait_for_job(job.id)
    await running.stop()
    assert "limit" not in asked
