"""Unique keys: who holds one, and how it is given up or its holder changed."""

from __future__ import annotations

from typing import Any

from pymongo import ReturnDocument

from job_processor.models import SimpleJob
from job_processor.store.mongo.documents import ACTIVE_STATUSES, Document, to_job
from job_processor.store.mongo.handles import Handles


class UniqueKeys:
    """Finds, releases and changes the holder of a key; the unique index decides who it is."""

    def __init__(self, handles: Handles) -> None:
        self._jobs = handles.jobs
        self._latest = handles.latest_jobs

    async def find_holder(self, name: str, unique_key: str) -> SimpleJob | None:
        """Return the job that holds a key, as the primary has it last."""
        of_key: Document = {"type": "simple", "name": name, "unique_key": unique_key}
        for holding in ({"status": {"$in": ACTIVE_STATUSES}}, {"unique_until": {"$exists": True}}):
            document = await self._latest.find_one({**of_key, **holding})
            if document is not None:
                return _simple(document)
        return None

    async def release(self, holder: SimpleJob) -> None:
        """Holding its key in the very state that was read → without it."""
        as_read: Document = {
            "_id": holder.id,
            "status": holder.status.value,
            "unique_key": holder.unique_key,
            "unique_until": holder.unique_until,
        }
        await self._jobs.update_one(as_read, {"$unset": {"unique_key": "", "unique_until": ""}})

    async def replace(self, holder: SimpleJob, job: SimpleJob) -> SimpleJob | None:
        """Pending and holding its key → with what `job` asks for; None when it waits no more."""
        waiting: Document = {
            "_id": holder.id,
            "status": "pending",
            "unique_key": holder.unique_key,
        }
        fields: Document = {
            "payload": job.payload,
            "scheduled_for": job.scheduled_for,
        }
        rare = {"priority": job.priority or None, "expires_at": job.expires_at}
        change: Document = {
            "$set": fields | {name: value for name, value in rare.items() if value is not None},
            "$max": {"updated_at": job.updated_at},
        }
        gone = {name: "" for name, value in rare.items() if value is None}
        if gone:
            change["$unset"] = gone
        document = await self._jobs.find_one_and_update(
            waiting, change, return_document=ReturnDocument.AFTER
        )
        return None if document is None else _simple(document)


def _simple(document: Any) -> SimpleJob:
    job = to_job(document)
    assert isinstance(job, SimpleJob)  # noqa: S101  # no other has a unique key
    return job
