"""Jobs, claims and ends of runs to put into a store."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from bson import ObjectId

from job_processor.clock import Clock
from job_processor.models import CronTask, Job, JobStatus, Output, SimpleJob, WorkerInfo
from job_processor.store.requests import Claim, Outcome, Settlement

NOW = Clock().now()
"""Of each process its own: what a job of one is to another is due long since."""
WORKER = ObjectId()


def job(name: str = "work", *, due_in: float = -86_400.0, **fields: Any) -> SimpleJob:
    """Return a job that is due `due_in` seconds from `NOW`."""
    values: dict[str, Any] = {
        "id": ObjectId(),
        "name": name,
        "status": JobStatus.PENDING,
        "scheduled_for": NOW + timedelta(seconds=due_in),
        "created_at": NOW,
        "updated_at": NOW,
    }
    return SimpleJob(**{**values, **fields})


def cron_task(name: str = "tick", *, due_in: float = 60.0) -> CronTask:
    """Return a cron task that is due `due_in` seconds from `NOW`."""
    return CronTask(
        id=ObjectId(),
        name=name,
        status=JobStatus.PENDING,
        scheduled_for=NOW + timedelta(seconds=due_in),
        created_at=NOW,
        updated_at=NOW,
    )


def settled_job(name: str = "work", **fields: Any) -> SimpleJob:
    """Return a job of the history."""
    return job(name, status=JobStatus.FINISHED, ended_at=NOW, output=Output("1 ms"), **fields)


def claim(*names: str, limit: int = 10, **fields: Any) -> Claim:
    """Return a claim of `WORKER`."""
    return Claim(WORKER, names or ("work",), limit, NOW, **fields)


def finished(run: Job, result: str | None = None) -> Settlement:
    """Return the settlement of a run that has finished."""
    return Settlement(run, Outcome(JobStatus.FINISHED, NOW, Output("1 ms", result)), WORKER)


def worker(id: ObjectId = WORKER) -> WorkerInfo:
    """Return a registration."""
    return WorkerInfo(id=id, hostname="here", last_seen=NOW)
