"""Jobs, crons, claims and settlements of the contract suite, and what is often done with them."""

from __future__ import annotations

from datetime import timedelta
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
from job_processor.store.requests import Claim, Outcome, Settlement

NOW = Clock().now()
"""The present, and no fixed date: MongoDB removes by itself what ended long ago."""

MS = timedelta(milliseconds=1)
SECOND = timedelta(seconds=1)
LATER = NOW + timedelta(minutes=1)
WORKER = ObjectId()
OTHER_WORKER = ObjectId()
UNKNOWN = ObjectId()
RESULT = Output("1 second", {"ok": True})


def simple(**fields: Any) -> SimpleJob:
    """Return a pending job that is due."""
    defaults: dict[str, Any] = {
        "id": ObjectId(),
        "name": "resize",
        "status": JobStatus.PENDING,
        "scheduled_for": NOW,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return SimpleJob(**{**defaults, **fields})


def occurrence(**fields: Any) -> CronTask:
    """Return a pending occurrence of a cron, its id derived from its name and time."""
    defaults: dict[str, Any] = {
        "name": "nightly",
        "status": JobStatus.PENDING,
        "scheduled_for": NOW,
        "created_at": NOW,
        "updated_at": NOW,
    }
    values = {**defaults, **fields}
    return CronTask(**{"id": occurrence_id(values["name"], values["scheduled_for"]), **values})


def cron(name: str = "nightly", **fields: Any) -> Cron:
    """Return a cron whose next occurrence is now."""
    defaults: dict[str, Any] = {
        "id": cron_id(name),
        "name": name,
        "cron_string": "* * * * *",
        "scheduled_for": NOW,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Cron(**{**defaults, **fields})


def worker(**fields: Any) -> WorkerInfo:
    """Return a registration; the database gives it its own `last_seen`."""
    defaults: dict[str, Any] = {"id": ObjectId(), "hostname": "host", "last_seen": NOW}
    return WorkerInfo(**{**defaults, **fields})


def claim(limit: int = 1, *names: str, **fields: Any) -> Claim:
    """Return a claim by `WORKER`, a second from now."""
    defaults: dict[str, Any] = {
        "worker_id": WORKER,
        "names": names or ("resize", "nightly"),
        "limit": limit,
        "now": NOW + SECOND,
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
        "scheduled_for": NOW + timedelta(minutes=1),
        "attempt": job.attempt + 1,
        "output": Output("1 second", error="ValueError: no"),
    }
    return end(job, JobStatus.PENDING, **{**defaults, **fields})


async def run(store: Store, *jobs: Job, worker_id: ObjectId = WORKER) -> list[Job]:
    """Insert jobs that are due and claim them; return them as they run, in the given order."""
    assert await store.insert(jobs) == []
    names = {job.name for job in jobs}
    claimed = await store.claim(claim(len(jobs), *names, worker_id=worker_id))
    by_id = {job.id: job for job in claimed}
    return [by_id[job.id] for job in jobs]


async def run_one(store: Store, worker_id: ObjectId = WORKER) -> Job:
    """Insert one job and claim it."""
    (job,) = await run(store, simple(), worker_id=worker_id)
    return job


async def read(store: Store, *jobs: Job) -> list[Job | None]:
    """Return how jobs stand in the database."""
    return [await store.get(job.id) for job in jobs]
