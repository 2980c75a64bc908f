"""Schedules that are made at run time, and what makes jobs of them by a clock that stands."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from job_processor import Clock, JobDef, Schedule, SimpleJob
from job_processor.crons.dispatcher import Dispatcher
from job_processor.store.requests import JobQuery
from job_processor.worker.engine import Engine
from job_processor.worker.pauses import PauseWatch
from tests.crons.clocks import START, SetClock, started_engine
from tests.definitions import nothing
from tests.processors import Processors

NOON = START.replace(second=0)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
MS = timedelta(milliseconds=1)
JOBS = {"digest": JobDef(nothing)}


def dispatcher_of(engine: Engine) -> Dispatcher:
    """Return a dispatcher that knows of no pause."""
    return Dispatcher(engine, PauseWatch(engine))


async def dispatching(
    processors: Processors, clock: Clock, **options: Any
) -> tuple[Engine, Dispatcher]:
    """Return a started engine with a job, and a dispatcher of it."""
    engine = await started_engine(processors, clock, **{"jobs": JOBS, **options})
    return engine, dispatcher_of(engine)


async def jobs_of(engine: Engine, name: str = "digest") -> list[SimpleJob]:
    """Return the jobs of a name, the earliest first."""
    found = await engine.store.history.find(JobQuery(name=name, limit=1000))
    jobs = [job for job in found if isinstance(job, SimpleJob)]
    return sorted(jobs, key=lambda job: job.scheduled_for)


async def moments(engine: Engine) -> list[timedelta]:
    """Return how long after noon the jobs were to begin."""
    return [job.scheduled_for - NOON for job in await jobs_of(engine)]


async def found(engine: Engine, name: str = "digest:1") -> Schedule:
    """Return a schedule that is there."""
    schedule = await engine.store.schedules.get(name)
    assert schedule is not None
    return schedule


def at(*minutes: float) -> list[timedelta]:
    """Return minutes."""
    return [each * MINUTE for each in minutes]


def clock_at(moment: datetime) -> SetClock:
    """Return a clock that stands at a moment."""
    return SetClock(moment)
