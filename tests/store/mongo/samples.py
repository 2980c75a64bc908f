"""Jobs, claims and settlements for the tests of the MongoDB store."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
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
from job_processor.store.requests import Claim, Outcome, Settlement

NOW = Clock().now().replace(microsecond=123_000)  # the server removes what is older by itself
SECOND = timedelta(seconds=1)
LATER = NOW + SECOND
WORKER = ObjectId()
FIXTURES = Path(__file__).parent / "fixtures"


def fixture(name: str) -> Any:
    """Return what was read off a database of the Node package, version 2.3.0."""
    return json.loads((FIXTURES / name).read_text())


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


def occurrence(planned_for: datetime = NOW, **fields: Any) -> CronTask:
    """Return a pending occurrence of a cron, its id derived as ours are."""
    defaults: dict[str, Any] = {
        "id": occurrence_id("nightly", planned_for),
        "name": "nightly",
        "status": JobStatus.PENDING,
        "scheduled_for": planned_for,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return CronTask(**{**defaults, **fields})


def cron(**fields: Any) -> Cron:
    """Return a cron whose next occurrence is now."""
    defaults: dict[str, Any] = {
        "id": cron_id("nightly"),
        "name": "nightly",
        "cron_string": "* * * * *",
        "scheduled_for": NOW,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Cron(**{**defaults, **fields})


def worker(**fields: Any) -> WorkerInfo:
    """Return a registration of ours."""
    defaults: dict[str, Any] = {
        "id": ObjectId(),
        "hostname": "host",
        "last_seen": NOW,
        "timeout_s": 60.0,
    }
    return WorkerInfo(**{**defaults, **fields})


def claim(
    limit: int = 1, *names: str, now: datetime = LATER, exclude: frozenset[ObjectId] = frozenset()
) -> Claim:
    """Return a claim by `WORKER`."""
    return Claim(WORKER, names or ("resize", "nightly"), limit, now, exclude)


def end(job: Job, status: JobStatus = JobStatus.FINISHED, **fields: Any) -> Settlement:
    """Return the settlement of a run by its own worker."""
    defaults: dict[str, Any] = {"at": NOW + 2 * SECOND, "output": Output("1 second", {"ok": True})}
    outcome = Outcome(status=status, **{**defaults, **fields})
    return Settlement(job, outcome, job.worker_id or WORKER)
