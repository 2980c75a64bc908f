"""Owners of crons, and time that passes since a worker listed one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from job_processor import CronDef
from job_processor.crons.scheduler import Scheduler
from job_processor.settings import CRON_GRACE
from job_processor.store import Store
from job_processor.store.owners import KIND, Owner
from job_processor.worker.engine import Engine
from tests.crons.clocks import SetClock, scheduler_of, started_engine, tasks
from tests.definitions import nothing
from tests.processors import Processors

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
