"""Crons that no worker lists: nothing is lost for long, and nothing stays for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from job_processor import CronDef, JobProcessor, JobStateError, JobStatus, UnknownJobError
from job_processor.crons.scheduler import Scheduler
from job_processor.models import occurrence_id
from job_processor.settings import CRON_GRACE, CRON_LISTED_INTERVAL
from job_processor.store import Store
from job_processor.store.owners import KIND, Owner
from job_processor.worker.engine import Engine
from tests.crons.test_scheduler import SetClock, at, scheduler_of, started_engine, tasks
from tests.definitions import nothing
from tests.insides import engine_of, store_of
from tests.processors import Processors, eventually

HOUR = timedelta(seconds=CRON_GRACE)
DAY = timedelta(days=1)
QUICKER: dict[str, Any] = {"heartbeat_interval": 0.02, "worker_timeout": 0.04}
"""So that a worker is soon certain that nobody lists a cron."""

TICK = {"tick": CronDef("*/5 * * * *", nothing)}
OTHER = {"other": CronDef("0 13 * * *", nothing)}


async def owner_of(store: Store, name: str = "tick") -> Owner | None:
    """Return whose a cron is."""
    setting = (await store.settings.all(KIND)).get(name)
    return None if setting is None else Owner.from_setting(setting)


async def change(store: Store, changes: Mapping[str, Any], name: str = "tick") -> None:
    """Change the owner of a cron behind everybody's back."""
    setting = (await store.settings.all(KIND))[name]
    assert await store.settings.put(KIND, name, {**setting, **changes}, setting)


async def age(store: Store, by: timedelta, name: str = "tick") -> None:
    """Let the time pass since a cron was listed."""
    owner = await owner_of(store, name)
    assert owner is not None
    assert owner.listed_at is not None
    served = owner.served_at and owner.served_at - by
    await change(store, {"listed_at": owner.listed_at - by, "served_at": served}, name)


async def left(
    processors: Processors, clock: SetClock, crons: Mapping[str, CronDef] = TICK, **options: Any
) -> None:
    """Let a service that ends then plan its crons."""
    first = await processors.make(clock=clock, crons=crons, **options)
    await first.run_worker(burst=True)


async def watcher(
    processors: Processors, clock: SetClock, **options: Any
) -> tuple[Engine, Scheduler]:
    """Return another worker, of the same service unless told otherwise, and what it schedules."""
    wanted = {"crons": OTHER, **QUICKER, **options}
    engine = await started_engine(processors, clock, **wanted)
    return engine, scheduler_of(engine)


async def settled_down(scheduler: Scheduler) -> None:
    """Make passes for so long that the worker is certain of what it sees."""
    for _ in range(3):
        await scheduler.schedule()
        await asyncio.sleep(2 * QUICKER["worker_timeout"])  # its own time has to pass, no more
    await scheduler.schedule()


async def waiting(engine: Engine, name: str = "tick") -> list[datetime]:
    """Return for when occurrences of a cron stand in the queue."""
    found = await tasks(engine)
    return [task.scheduled_for for task in found if (task.name, task.status) == (name, "pending")]


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


async def test_that_it_is_listed_is_written_rarely(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by each pass, but each few minutes, and where what is there lies in the future."""
    clock = SetClock()
    engine = await started_engine(processors, clock, crons=TICK)
    scheduler = scheduler_of(engine)
    await scheduler.schedule()
    await scheduler.schedule()
    written = 0
    put = engine.store.settings.put

    async def count(*arguments: Any) -> bool:
        nonlocal written
        written += 1
        return await put(*arguments)

    monkeypatch.setattr(engine.store.settings, "put", count)
    for _ in range(10):
        await scheduler.schedule()
    assert written == 0
    for step in (timedelta(seconds=CRON_LISTED_INTERVAL), -10 * DAY):
        await age(engine.store, step)
        written = 0
        for _ in range(3):
            await scheduler.schedule()
        assert written == 1
        owner = await owner_of(engine.store)
        assert owner is not None
        assert owner.listed_at is not None
        assert abs(await engine.store.ping() - owner.listed_at) < timedelta(minutes=1)


async def test_an_owner_of_an_earlier_version_gets_its_hour(processors: Processors) -> None:
    """One that does not say when it was listed last counts from the first look."""
    clock = SetClock()
    await left(processors, clock)
    engine, scheduler = await watcher(processors, clock)
    setting = (await engine.store.settings.all(KIND))["tick"]
    earlier = {name: value for name, value in setting.items() if name != "listed_at"}
    assert await engine.store.settings.put(KIND, "tick", earlier, setting)
    await settled_down(scheduler)
    assert await waiting(engine) == at(5)
    owner = await owner_of(engine.store)
    assert owner is not None
    assert owner.listed_at is not None


async def test_what_a_later_version_keeps_with_it_stays(processors: Processors) -> None:
    """Fields that this version does not know neither get lost nor keep it from writing."""
    clock = SetClock()
    engine = await started_engine(processors, clock, crons=TICK)
    scheduler = scheduler_of(engine)
    await scheduler.schedule()
    await change(engine.store, {"colour": "green"})
    await age(engine.store, HOUR)
    await scheduler.schedule()
    setting = (await engine.store.settings.all(KIND))["tick"]
    assert setting["colour"] == "green"
    assert await engine.store.ping() - setting["listed_at"] < HOUR


async def test_whoever_loses_the_race_for_an_owner_schedules_too(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks again at once: no cron hangs on the one worker that was faster."""
    clock = SetClock()
    first = await started_engine(processors, clock, crons=TICK)
    second = await started_engine(processors, clock, crons=TICK)
    put, lost = second.store.settings.put, 0

    async def too_late(*arguments: Any) -> bool:
        nonlocal lost
        if not lost:
            lost += 1
            await scheduler_of(first).schedule()
        return await put(*arguments)

    monkeypatch.setattr(second.store.settings, "put", too_late)
    assert await scheduler_of(second).schedule() == at(5)[0]
    assert lost == 1


async def test_an_older_worker_looks_again_when_the_newer_one_should_have_planned(
    processors: Processors,
) -> None:
    """It takes over when the newer version is rolled back, and not half a minute later."""
    clock = SetClock()
    old = await started_engine(processors, clock, crons={"tick": CronDef("* * * * *", nothing)})
    await scheduler_of(old).schedule()
    new = await started_engine(processors, clock, crons=TICK)
    await scheduler_of(new).schedule()
    due = await scheduler_of(old).schedule()
    assert due is not None
    assert at(5)[0] < due <= at(5)[0] + timedelta(seconds=2)


async def test_a_pass_that_was_held_up_removes_nothing_that_has_come_due(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile others have planned on, and what they planned waits for a free worker."""
    clock = SetClock()
    slow = await started_engine(processors, clock, crons=TICK)
    quick = await started_engine(processors, clock, crons=TICK)
    await scheduler_of(slow).schedule()
    remove = slow.store.crons.remove_occurrences

    async def held_up(*arguments: Any) -> int:
        monkeypatch.undo()
        for _ in range(3):
            clock.forward(minutes=5)
            await scheduler_of(quick).schedule()
        return await remove(*arguments)

    monkeypatch.setattr(slow.store.crons, "remove_occurrences", held_up)
    await scheduler_of(slow).schedule()
    assert await waiting(quick) == at(5, 10, 15, 20) or await waiting(quick) == at(5, 10, 15)
    await scheduler_of(quick).schedule()
    assert await waiting(quick) == at(5, 10, 15, 20)


async def test_a_cron_is_removed_by_hand(processors: Processors) -> None:
    """At once: what was due is skipped, what is to come goes, what a retry waits for too."""
    clock = SetClock()
    await left(processors, clock, service="old")
    clock.forward(minutes=6)
    boss = await processors.make(clock=clock)
    by_hand = await boss.run_cron("tick")
    await boss.remove_cron("tick")
    assert await boss.get_crons() == []
    store = store_of(boss)
    assert await owner_of(store) is None
    statuses = {job.id: job.status for job in (await boss.find_jobs(name="tick", limit=100)).jobs}
    assert statuses == {
        occurrence_id("tick", at(5)[0]): JobStatus.SKIPPED,
        by_hand.id: JobStatus.SKIPPED,
    }
    new = await started_engine(processors, clock, crons=TICK, service="new")
    await scheduler_of(new).schedule()
    owner = await owner_of(store)
    assert owner is not None
    assert owner.service == "new"
    assert await waiting(new) == at(10)


async def test_a_cron_that_is_listed_is_not_removed(processors: Processors) -> None:
    """Its worker would bring it back: the error names the service and says what to do."""
    clock = SetClock()
    engine = await started_engine(processors, clock, crons=TICK, service="shop")
    await scheduler_of(engine).schedule()
    boss = await processors.make(clock=clock)
    with pytest.raises(JobStateError, match=r"'tick' is listed by a worker of service 'shop'"):
        await boss.remove_cron("tick")
    assert [cron.name for cron in await boss.get_crons()] == ["tick"]
    with pytest.raises(UnknownJobError, match=r"name: 'tock'.*'tick'"):
        await boss.remove_cron("tock")


@pytest.mark.parametrize("by", ["delete_job", "kill_job", "act_on_jobs"])
async def test_a_standing_occurrence_that_was_taken_away_does_not_come_back(
    processors: Processors, by: str
) -> None:
    """Deleted, or killed and out of the history: it does not run, and the next one does."""
    clock = SetClock()
    engine = await started_engine(processors, clock, crons=TICK)
    scheduler = scheduler_of(engine)
    await scheduler.schedule()
    boss = await processors.make(clock=clock)
    (standing,) = await tasks(engine)
    if by == "kill_job":
        await boss.kill_job(standing.id)
        await engine.store.history.delete([standing.id])  # as its history goes, after a while
    elif by == "delete_job":
        await boss.delete_job(standing.id)
    else:
        assert (await boss.act_on_jobs("delete", status="pending")).done == 1
    for minutes in (0, 1, 3):
        clock.forward(minutes=minutes)
        await scheduler.schedule()
        assert await tasks(engine) == []
    clock.forward(minutes=1)
    assert await scheduler.schedule() == at(10)[0]
    assert await waiting(engine) == at(10)


async def test_an_occurrence_that_a_late_pass_puts_back_goes_again(
    processors: Processors,
) -> None:
    """A pass that knew the occurrence from before it was deleted inserts it once more."""
    clock = SetClock()
    engine = await started_engine(processors, clock, crons=TICK)
    scheduler = scheduler_of(engine)
    await scheduler.schedule()
    (standing,) = await tasks(engine)
    boss = await processors.make(clock=clock)
    await boss.delete_job(standing.id)
    await engine.store.intake.insert([standing])
    await scheduler.schedule()
    assert await tasks(engine) == []


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
