"""Jobs, occurrences, crons, registrations, claims and ends of runs, as stores get them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from job_processor.clock import Clock
from job_processor.models import (
    Cron,
    CronTask,
    Job,
    JobStatus,
    Output,
    SimpleJob,
    WorkerInfo,
    cron_id,
    occurrence_id,
)
from job_processor.store import Store
from job_processor.store.fresh import Fresh
from job_processor.store.requests import Claim, Outcome, Settlement

NOW = Clock().now()
"""The present, and no fixed date: MongoDB removes by itself what ended long ago.

Of each process its own: what another process has made may be due a moment later.
"""
MS = timedelta(milliseconds=1)
SECOND = timedelta(seconds=1)
DAY = 86_400.0
"""Seconds."""
SOON = NOW + SECOND
"""When claims are made."""
LATER = NOW + timedelta(minutes=1)
WORKER = ObjectId()
OTHER_WORKER = ObjectId()
UNKNOWN = ObjectId()
RESULT = Output("1 second", {"ok": True})


def simple(
    name: str = "resize", *, at: datetime = NOW, due_in: float = 0.0, **fields: Any
) -> SimpleJob:
    """Return a pending job, made at a moment, and due so many seconds after it."""
    return SimpleJob(**{**_pending(name, at, due_in), **fields})


def occurrence(
    name: str = "nightly", *, at: datetime = NOW, due_in: float = 0.0, **fields: Any
) -> CronTask:
    """Return a pending occurrence of a cron, its id derived from its name and time."""
    values = {**_pending(name, at, due_in), **fields}
    return CronTask(**{**values, "id": occurrence_id(name, values["scheduled_for"]), **fields})


def settled(name: str = "resize", *, at: datetime = NOW, **fields: Any) -> SimpleJob:
    """Return a job of the history: it has finished at a moment."""
    return simple(name, at=at, **{"status": JobStatus.FINISHED, "ended_at": at, **fields})


def cron(name: str = "nightly", *, at: datetime = NOW, **fields: Any) -> Cron:
    """Return a cron whose next occurrence is at the moment of its making."""
    defaults: dict[str, Any] = {
        "id": cron_id(name),
        "name": name,
        "cron_string": "* * * * *",
        "scheduled_for": at,
        "created_at": at,
        "updated_at": at,
    }
    return Cron(**{**defaults, **fields})


def worker(**fields: Any) -> WorkerInfo:
    """Return a registration; the database gives it its own `last_seen`."""
    defaults: dict[str, Any] = {
        "id": ObjectId(),
        "hostname": "host",
        "last_seen": NOW,
        "timeout_s": 60.0,
    }
    return WorkerInfo(**{**defaults, **fields})


def claim(limit: int = 1, *names: str, **fields: Any) -> Claim:
    """Return a claim by `WORKER`, a second from now."""
    defaults: dict[str, Any] = {
        "worker_id": WORKER,
        "names": names or ("resize", "nightly"),
        "limit": limit,
        "now": SOON,
    }
    return Claim(**{**defaults, **fields})


def end(
    job: Job,
    status: JobStatus = JobStatus.FINISHED,
    *,
    writer: ObjectId | None = None,
    **fields: Any,
) -> Settlement:
    """Return the settlement of a run, by its own worker unless another is named."""
    defaults: dict[str, Any] = {"at": NOW + 2 * SECOND, "output": RESULT}
    outcome = Outcome(status=status, **{**defaults, **fields})
    return Settlement(job, outcome, writer or job.worker_id or WORKER)


def retry(job: Job, **fields: Any) -> Settlement:
    """Return the settlement that puts a run back, to run again in a minute."""
    defaults: dict[str, Any] = {
        "scheduled_for": LATER,
        "attempt": job.attempt + 1,
        "output": Output("1 second", error="ValueError: no"),
    }
    return end(job, JobStatus.PENDING, **{**defaults, **fields})


async def run(store: Store, *jobs: Job, worker_id: ObjectId = WORKER) -> list[Job]:
    """Insert jobs that are due and claim them; return them as they run, in the given order."""
    assert await store.intake.insert(jobs) == []
    names = {job.name for job in jobs}
    claimed = await store.queue.claim(claim(len(jobs), *names, worker_id=worker_id))
    by_id = {job.id: job for job in claimed}
    return [by_id[job.id] for job in jobs]


async def run_one(store: Store, worker_id: ObjectId = WORKER) -> Job:
    """Insert one job and claim it."""
    (job,) = await run(store, simple(), worker_id=worker_id)
    return job


async def read(store: Store, *jobs: Job) -> list[Job | None]:
    """Return how jobs stand in the database."""
    return [await store.history.get(job.id) for job in jobs]


def _pending(name: str, at: datetime, due_in: float) -> dict[str, Any]:
    """Return the fields of a job or an occurrence that waits."""
    return {
        "id": ObjectId(),
        "name": name,
        "status": JobStatus.PENDING,
        "scheduled_for": at + timedelta(seconds=due_in),
        "created_at": at,
        "updated_at": at,
    }


class Made(Fresh):
    """Jobs of one claim, for stores that make all of them."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        super().__init__(jobs[0].name, jobs[0].worker_id or WORKER, jobs[0].updated_at)
        self._made = jobs

    @property
    def keys(self) -> list[bytes]:
        """Their ids."""
        return [job.id.binary for job in self._made]

    def payloads(self) -> list[Any]:
        """Their payloads."""
        return [getattr(job, "payload", None) for job in self._made]

    def scheduled(self) -> list[datetime]:
        """Their times."""
        return [job.scheduled_for for job in self._made]

    def _jobs(self) -> Sequence[Job]:
        return self._made
