"""Unique keys: who holds one, and how it is given up or its holder changed."""

from __future__ import annotations

from typing import Any

from job_processor.models import SimpleJob, replaced_by
from job_processor.store.mongo.documents import ACTIVE_STATUSES, Document, job_document, to_job
from job_processor.store.mongo.handles import Handles
from job_processor.store.mongo.whole import find_one_whole


class UniqueKeys:
    """Finds, releases and changes the holder of a key; the unique index decides who it is."""

    def __init__(self, handles: Handles) -> None:
        self._jobs = handles.jobs
        self._latest = handles.latest_jobs

    async def find_holder(self, name: str, unique_key: str) -> SimpleJob | None:
        """Return the job that holds a key, as the primary has it last."""
        of_key: Document = {"type": "simple", "name": name, "unique_key": unique_key}
        for holding in ({"status": {"$in": ACTIVE_STATUSES}}, {"unique_until": {"$exists": True}}):
            document = await find_one_whole(self._latest, {**of_key, **holding})
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
        """Pending and holding its key → with what `job` asks for; None when it waits no more.

        The whole document is written anew: the change stream tells that, and not the change of a
        time alone. What is there of earlier runs goes with the old one.
        """
        replaced = replaced_by(holder, job)
        waiting: Document = {
            "_id": holder.id,
            "status": "pending",
            "unique_key": holder.unique_key,
            "unique_until": holder.unique_until,
            "updated_at": {"$lte": replaced.updated_at},  # which never goes back
        }
        result = await self._jobs.replace_one(waiting, job_document(replaced))
        return replaced if result.matched_count else None


def _simple(document: Any) -> SimpleJob:
    job = to_job(document)
    assert isinstance(job, SimpleJob)  # noqa: S101  # no other has a unique key
    return job
