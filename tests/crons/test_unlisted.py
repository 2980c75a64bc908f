"""Crons that no worker lists: nothing is lost for long, and nothing stays for ever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from job_processor import CronDef, JobProcessor, JobStatus
from tests.crons.clocks import SetClock, at, scheduler_of, started_engine, tasks
from tests.crons.owners import (
    DAY,
    HOUR,
    OTHER,
    QUICKER,
    TICK,
    age,
    left,
    owner_of,
    settled_down,
    waiting,
    watcher,
)
from tests.definitions import nothing
from tests.insides import engine_of, store_of
from tests.processors import Processors, eventually


@pytest.mark.parametrize("misfire", ["once", "all", "skip"])
async def test_a_restart_loses_nothing(processors: Processors, misfire: Any) -> None:
    """While its only worker is away, others of its service leave a cron as it stands, due or not.

    Its worker then goes on by the misfire.
    """
    clock, crons = SetClock(), {"tick": CronDef("*/5 * * * *", nothing, misfire=misfire)}
    await left(processors, clock, crons)
    engine, scheduler = await watcher(processors, clock)
    await settled_down(scheduler)
    clock.forward(minutes=12)
    await settled_down(scheduler)
    assert await waiting(engine) == at(5)
    back = await started_engine(processors, clock, crons=crons)
    await scheduler_of(back).schedule()
    assert await waiting(engine) == (at(5, 10, 15) if misfire == "all" else at(5, 15))


@pytest.mark.parametrize("service", ["default", "another"])
async def test_after_an_hour_it_plans_nothing(processors: Processors, service: str) -> None:
    """Any worker takes its future occurrence away; owner and pointer stay where they are."""
    clock = SetClock()
    await left(processors, clock)
    engine, scheduler = await watcher(processors, clock, service=service)
    await age(engine.store, HOUR - timedelta(minutes=1))
    await settled_down(scheduler)
    assert await waiting(engine) == at(5)
    await age(engine.store, timedelta(minutes=1))
    await settled_down(scheduler)
    assert await waiting(engine) == []
    owner = await owner_of(engine.store)
    assert owner is not None
    assert (owner.service, owner.dormant) == ("default", True)
    (tick,) = [cron for cron in await engine.store.crons.all() if cron.name == "tick"]
    assert tick.scheduled_for == at(5)[0]
    back = await started_engine(processors, clock, crons=TICK)
    await scheduler_of(back).schedule()
    assert await waiting(engine) == at(5)
    owner = await owner_of(engine.store)
    assert owner is not None
    assert not owner.dormant


async def figures(processor: JobProcessor) -> dict[str, Any]:
    """Return all that tells of what waits."""
    status, health = await processor.get_status(), await processor.get_healthcheck()
    return {
        "queue": [job["name"] for job in status["queue"]],
        "health": [job["name"] for job in health["queue"]],
        "due": (await processor.get_vitals()).due_since is not None,
        "waiting": (await processor.count_waiting()).get("tick", 0),
    }


async def test_what_is_due_of_it_waits_for_nobody_until_it_comes_back(
    processors: Processors,
) -> None:
    """It counts in no queue and no delay any more; a service that comes back runs it."""
    clock = SetClock()
    ran: list[datetime] = []

    async def tick(signal: object, job: Any) -> None:
        ran.append(job.scheduled_for)

    crons = {"tick": CronDef("*/5 * * * *", tick)}
    await left(processors, clock, crons)
    clock.forward(minutes=6)
    processor = await processors.make(clock=clock, service="another", **QUICKER)
    engine = engine_of(processor)
    await engine.start()
    processors.at_the_end(engine.stop)
    scheduler = scheduler_of(engine)
    assert await figures(processor) == {
        "queue": ["tick"],
        "health": ["tick"],
        "due": True,
        "waiting": 1,
    }
    await age(engine.store, HOUR)
    await settled_down(scheduler)
    assert await figures(processor) == {"queue": [], "health": [], "due": False, "waiting": 0}
    assert await waiting(engine) == at(5)
    infos = {cron.name: cron for cron in await processor.get_crons()}
    assert infos["tick"].unlisted_since is not None
    (told,) = [each for each in await processor.check() if each.subject == "cron 'tick'"]
    assert told.level == "warning"
    assert "no worker of service 'default' has listed it since" in told.text
    back = await processors.make(clock=clock, crons=crons)
    await back.run_worker(burst=True)
    assert ran == at(5)
    assert await waiting(engine) == at(10)


async def test_after_the_history_it_is_removed(processors: Processors) -> None:
    """Cron and owner go; what was due is skipped, what had run stays."""
    clock = SetClock()
    await left(processors, clock)
    clock.forward(minutes=6)
    engine, scheduler = await watcher(processors, clock, service="another")
    await age(engine.store, 89 * DAY)
    await settled_down(scheduler)
    assert await waiting(engine) == at(5)
    await age(engine.store, DAY)
    await settled_down(scheduler)
    (task,) = [each for each in await tasks(engine) if each.name == "tick"]
    assert (task.scheduled_for, task.status) == (at(5)[0], JobStatus.SKIPPED)
    assert task.ended_at is not None
    assert task.output is not None
    assert task.output.skip_metadata is not None
    assert task.output.skip_metadata.reason == "other"
    assert [cron.name for cron in await engine.store.crons.all()] == ["other"]
    assert await owner_of(engine.store) is None


async def test_a_renamed_service_goes_on_by_itself(processors: Processors) -> None:
    """An hour after the old name's last worker the new one takes the cron over, by its misfire."""
    clock = SetClock()
    await left(processors, clock, service="old")
    clock.forward(minutes=6)
    engine, scheduler = await watcher(processors, clock, crons=TICK, service="new")
    await age(engine.store, HOUR - timedelta(minutes=1))
    await settled_down(scheduler)
    owner = await owner_of(engine.store)
    assert owner is not None
    assert owner.service == "old"
    assert await waiting(engine) == at(5)
    await age(engine.store, timedelta(minutes=1))
    await settled_down(scheduler)
    owner = await owner_of(engine.store)
    assert owner is not None
    assert (owner.service, owner.dormant) == ("new", False)
    assert await waiting(engine) == at(5, 10)


async def test_a_service_that_lives_keeps_its_crons(processors: Processors) -> None:
    """Whoever else lists one gets it only when the owner has had no worker at all for an hour."""
    clock = SetClock()
    await left(processors, clock)
    lives = engine_of(await processors.make(clock=clock, crons=OTHER))
    assert lives is not None
    await lives.start()
    engine, scheduler = await watcher(processors, clock, crons=TICK, service="new")
    await age(engine.store, 2 * HOUR)
    await settled_down(scheduler)
    owner = await owner_of(engine.store)
    assert owner is not None
    assert (owner.service, owner.dormant) == ("default", True)
    await lives.stop()
    await settled_down(scheduler)
    owner = await owner_of(engine.store)
    assert owner is not None
    assert owner.service == "default"  # its last worker was there a moment ago
    await age(engine.store, HOUR)
    await settled_down(scheduler)
    owner = await owner_of(engine.store)
    assert owner is not None
    assert owner.service == "new"


async def test_the_clock_of_a_process_takes_no_cron_away(processors: Processors) -> None:
    """However far it steps: it is the database's clock that counts, and nobody's own."""
    clock = SetClock()
    await left(processors, clock)
    engine, scheduler = await watcher(processors, clock)
    for step in (400, -800, 4000):
        clock.forward(days=step)
        await settled_down(scheduler)
        assert await waiting(engine) == at(5)
    owner = await owner_of(engine.store)
    assert owner is not None
    assert not owner.dormant


async def test_one_look_takes_nothing_away(processors: Processors) -> None:
    """Who has just come may only have missed the worker that lists it: it goes on looking."""
    clock = SetClock()
    await left(processors, clock)
    engine, scheduler = await watcher(
        processors, clock, heartbeat_interval=10.0, worker_timeout=60.0
    )
    await age(engine.store, 365 * DAY)
    for _ in range(3):
        await scheduler.schedule()
    assert await waiting(engine) == at(5)


async def test_a_service_that_is_retired_leaves_nothing_that_waits(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With real workers: the other service's worker looks after it, whatever it has to do."""
    old = await processors.make(service="old", crons={"of_old": CronDef("* * * * * *", nothing)})
    worker = await processors.worker(old)

    async def planned() -> bool:
        return bool(await old.get_crons())

    await eventually(planned)
    await worker.stop()
    await age(store_of(old), HOUR, "of_old")
    crons = {"of_new": CronDef("* * * * * *", nothing)}
    new, _ = await processors.start(service="new", crons=crons, **QUICKER)

    async def dormant() -> bool:
        owner = await owner_of(store_of(new), "of_old")
        return owner is not None and owner.dormant

    await eventually(dormant, "a cron that plans nothing")
    health = await new.get_healthcheck()
    assert "of_old" not in {job["name"] for job in health["queue"]}
    assert datetime.now(UTC) - (await new.get_vitals()).now < timedelta(minutes=1)
