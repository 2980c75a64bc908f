"""Clocks that stand, and what schedules by them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from job_processor import Clock, CronTask
from job_processor.crons.scheduler import Scheduler
from job_processor.node.crons import neighbour_of
from job_processor.store.requests import JobQuery
from job_processor.worker.engine import Engine
from job_processor.worker.pauses import PauseWatch
from tests.insides import engine_of
from tests.processors import Processors

START = datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC)


class SetClock(Clock):
    """A clock that stands until it is moved."""

    def __init__(self, moment: datetime = START) -> None:
        self.moment = moment

    def now(self) -> datetime:
        """Return the moment that was set."""
        return self.moment

    def forward(self, **duration: float) -> None:
        """Move on."""
        self.moment += timedelta(**duration)


async def started_engine(processors: Processors, clock: Clock, **options: Any) -> Engine:
    """Return the started engine of a processor with this clock; it stops at the end."""
    processor = await processors.make(clock=clock, **options)
    engine = engine_of(processor)  # scheduling without a worker is below the facade
    await engine.start()
    processors.at_the_end(engine.stop)
    return engine


def scheduler_of(engine: Engine) -> Scheduler:
    """Return a scheduler that knows of no pause."""
    return Scheduler(engine, PauseWatch(engine), neighbour_of(engine))


async def tasks(processor_or_engine: Engine) -> list[CronTask]:
    """Return all cron tasks, the earliest first."""
    found = await processor_or_engine.store.history.find(JobQuery(type="cron_task", limit=1000))
    return sorted(
        (job for job in found if isinstance(job, CronTask)), key=lambda job: job.scheduled_for
    )


def at(*minutes: int) -> list[datetime]:
    """Return minutes after noon of the first day."""
    return [START.replace(second=0) + timedelta(minutes=each) for each in minutes]
