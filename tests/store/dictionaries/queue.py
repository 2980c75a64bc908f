"""What waits: claimed, or looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from heapq import nsmallest
from typing import Any

from bson import ObjectId

from job_processor.clock import LAST_MOMENT
from job_processor.models import WAITING, Job, JobStatus
from job_processor.redaction import Redaction
from job_processor.store.desks.queue import Queue
from job_processor.store.lanes import is_apart
from job_processor.store.requests import Claim
from job_processor.store.summaries import JobSummary
from tests.store.dictionaries.summaries import summaries_of
from tests.store.dictionaries.tables import OnTables, Tables, is_in_line, own

_MOMENT = timedelta(milliseconds=1)


class DictionaryQueue(OnTables, Queue):
    """Looks through all jobs; a database of any size has an index over those that wait."""

    async def _claim(self, claim: Claim) -> list[Job]:
        order = _urgency if claim.overdue_since is None else _time
        async with self._connection as tables:
            due = [
                job
                for job in _waiting(tables)
                if job.name in claim.names
                and job.scheduled_for <= claim.due_by
                and job.id not in claim.exclude
                and (claim.suspects or not job.crashes)
            ]
            first = nsmallest(claim.limit, due, key=order)
            suspects = [job for job in first if job.crashes]
            taken = [
                claimed(job, claim.worker_id, claim.now) for job in first if job not in suspects[1:]
            ]
            for job in taken:
                tables.jobs.write(job)
        return [own(job) for job in taken]

    async def _next_due(self, names: Collection[str]) -> datetime | None:
        async with self._connection as tables:
            return first(job for job in _waiting(tables) if job.name in names)

    async def _due(
        self,
        now: datetime,
        limit: int,
        leaving_out: Collection[str],
        redaction: Redaction | None,
    ) -> list[JobSummary]:
        async with self._connection as tables:
            found = nsmallest(limit, due(tables, now, leaving_out), key=_time)
            return summaries_of(found, redaction)

    async def _count_due(self, names: Collection[str], now: datetime, cap: int) -> dict[str, int]:
        async with self._connection as tables:
            found = Counter(job.name for job in due(tables, now, ()) if job.name in names)
        return {name: min(count, cap) for name, count in found.items()}


def due(tables: Tables, now: datetime, leaving_out: Collection[str]) -> list[Job]:
    """Return what waits and is due, but for some names."""
    in_lines = (job for job in tables.jobs.values() if job.status in WAITING and is_in_line(job))
    return [
        job
        for job in (*_waiting(tables), *in_lines)
        if tables.ready(job) <= now and job.name not in leaving_out
    ]


def first(jobs: Iterable[Job]) -> datetime | None:
    """Return the earliest time of jobs."""
    return min((job.scheduled_for for job in jobs), default=None)


def _waiting(tables: Tables) -> Iterable[Job]:
    return (job for job in tables.jobs.values() if job.status in WAITING and not is_apart(job))


def claimed(job: Job, worker_id: ObjectId, now: datetime) -> Job:
    """Return a job as it runs from now on."""
    moment = now  # a later one than that of the run before: it is a part of the fence
    if job.updated_at < LAST_MOMENT:
        moment = max(moment, job.updated_at + _MOMENT)
    return replace(
        job,
        status=JobStatus.RUNNING,
        worker_id=worker_id,
        started_at=job.started_at or moment,
        updated_at=moment,
    )


def _urgency(job: Job) -> tuple[Any, ...]:
    return -job.priority, *_time(job)


def _time(job: Job) -> tuple[Any, ...]:
    return job.scheduled_for, job.id
