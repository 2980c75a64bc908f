"""Kill requests: at once for a job that waits, a signal document for one that runs."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from bson import ObjectId

from job_processor.models import Job, JobStatus
from job_processor.store.mongo.documents import (
    JOB_TYPES,
    WAITING_STATUSES,
    to_job,
)
from job_processor.store.mongo.handles import Handles
from job_processor.store.mongo.modifying import update_then_find


class Signals:
    """Kills what waits, and leaves, finds and acknowledges requests for what runs."""

    def __init__(self, handles: Handles) -> None:
        self._jobs = handles.jobs
        self._signals = handles.signals

    async def kill_waiting(self, job_id: ObjectId, now: datetime) -> Job | None:
        """Pending or paused → killed, with `ended_at`; None when it did not wait."""
        document = await update_then_find(
            self._jobs,
            {"_id": job_id, "type": {"$in": JOB_TYPES}, "status": {"$in": WAITING_STATUSES}},
            {
                "$set": {"status": JobStatus.KILLED.value, "ended_at": now},
                "$max": {"updated_at": now},
            },
        )
        return None if document is None else to_job(document)

    async def request_kill(self, job_id: ObjectId, worker_id: ObjectId, now: datetime) -> None:
        """Leave a request. A second one is harmless, and gives the first another hour."""
        await self._signals.insert_one(
            {
                "_id": ObjectId(),
                "type": "kill",
                "job_id": job_id,
                "worker_id": worker_id,
                "created_at": now,
                "ack": False,
            }
        )

    async def kill_requests(self, job_ids: Collection[ObjectId]) -> set[ObjectId]:
        """Return those of the jobs that have an unacknowledged request."""
        if not job_ids:
            return set()
        requests = self._signals.find(
            {"job_id": {"$in": list(job_ids)}, "ack": False, "type": "kill"},
            {"job_id": 1, "_id": 0},
        )
        return {request["job_id"] async for request in requests}

    async def acknowledge_kills(self, job_ids: Collection[ObjectId]) -> None:
        """Mark the requests of these jobs as done."""
        if job_ids:
            await self._signals.update_many(
                {"job_id": {"$in": list(job_ids)}, "ack": False, "type": "kill"},
                {"$set": {"ack": True}},
            )
