"""The first page: one line of health, what needs attention, and what happened of late."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from job_processor.as_json import job_json
from job_processor.models import WorkerInfo
from job_processor.ops.overview import Overview, get_overview
from job_processor.settings import COUNT_CAP_OF_SELECTIONS, STATUS_LIMIT
from job_processor.store.name_rollups import NameRollup
from job_processor.store.rollups import HOUR, MINUTE, NAMES_KEPT
from job_processor.web import attention
from job_processor.web.carried import parts_of, views_of
from job_processor.web.charts import chart

RUNNING_SHOWN = 10
WORKERS_SHOWN = 8
CRONS_SHOWN = 8

LATE = 60.0
"""Seconds after which the job that has waited for longest is pointed at."""


@dataclass(frozen=True, slots=True)
class Health:
    """One line: whether somebody should get up."""

    workers: int
    """How many live."""
    oldest: Any
    """The job that has waited for longest, of those that are due; None: none waits."""
    waited: float
    """Seconds for which it has."""
    failed: int
    """Jobs that failed for good in the last hour."""
    before: int
    """The same in the hour before."""
    since: datetime
    """The beginning of the last hour."""

    @property
    def idle(self) -> bool:
        """True where no worker lives."""
        return self.workers == 0

    @property
    def late(self) -> bool:
        """True where a job has waited for too long."""
        return self.waited > LATE

    @property
    def worse(self) -> bool:
        """True where more fails than before."""
        return self.failed > self.before

    @property
    def well(self) -> bool:
        """True where nothing of it is wrong."""
        return not (self.idle or self.late or self.worse)


async def page(request: Request) -> Response:
    """How everything stands."""
    parts = parts_of(request)
    read = await get_overview(parts, request.app.state.redaction)
    now, hour = read.registrations.now, read.hour()
    return await views_of(request).page(
        request,
        "overview.html",
        health=health_of(read),
        attention=attention.of(read, parts.registry),
        counts={status.value: count for status, count in read.counts.items()},
        cap=COUNT_CAP_OF_SELECTIONS,
        running=[job_json(job) for job in read.running[:RUNNING_SHOWN]],
        running_more=len(read.running) - RUNNING_SHOWN,
        hour=chart(read.minutes, MINUTE, timedelta(hours=1), now),
        day=chart(read.hours, HOUR, timedelta(days=1), now),
        figures=_figures(hour),
        workers=_workers(read),
        workers_more=_alive(read) - WORKERS_SHOWN,
        crons=sorted(read.crons, key=lambda cron: cron.scheduled_for)[:CRONS_SHOWN],
        paused=read.pauses.names,
        hour_ago=read.minutes_end - timedelta(hours=1),
        names_cut=len(parts.registry.all) > NAMES_KEPT,
        runs_cut=len(read.running) == STATUS_LIMIT,
    )


def health_of(read: Overview) -> Health:
    """Return the line of health."""
    oldest = read.due[0] if read.due else None
    waited = (
        0.0
        if oldest is None
        else max((read.registrations.now - oldest.scheduled_for).total_seconds(), 0.0)
    )
    return Health(
        workers=_alive(read),
        oldest=oldest,
        waited=waited,
        failed=read.hour().errored,
        before=read.hour(back=1).errored,
        since=read.minutes_end - timedelta(hours=1),
    )


def _figures(hour: NameRollup) -> dict[str, tuple[float | None, float | None]]:
    return {
        "delay": (hour.delay(0.5), hour.delay(0.95)),
        "run time": (hour.duration(0.5), hour.duration(0.95)),
    }


def _alive(read: Overview) -> int:
    now = read.registrations.now
    return sum(not worker.is_dead(now) for worker in read.registrations.workers)


def _workers(read: Overview) -> list[tuple[WorkerInfo, int]]:
    """Return the first living workers, and how many jobs each runs of those that were read."""
    now = read.registrations.now
    living = [worker for worker in read.registrations.workers if not worker.is_dead(now)]
    return [
        (worker, sum(job.worker_id == worker.id for job in read.running))
        for worker in living[:WORKERS_SHOWN]
    ]
