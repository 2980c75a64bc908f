"""New jobs, in one bulk write, and settled ones that are to wait again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure, WriteError

from job_processor.errors import JobConflictError, StoreRefusedError
from job_processor.models import Job, SimpleJob
from job_processor.store.mongo.documents import (
    JOB_TYPES,
    SETTLED_STATUSES,
    Document,
    job_document,
    to_job,
)
from job_processor.store.mongo.errors import (
    DOCUMENT_VALIDATION_FAILURE,
    DUPLICATE_KEY,
    VALIDATOR_ADVICE,
    is_away,
    is_refused_by_validator,
    write_errors,
)
from job_processor.store.mongo.handles import Handles
from job_processor.store.mongo.indexes import index_of, is_conflict
from job_processor.store.mongo.modifying import update_then_find


class Jobs:
    """Inserts jobs, and lets settled ones wait again."""

    def __init__(self, handles: Handles) -> None:
        self._jobs = handles.jobs
        self._latest = handles.latest_jobs

    async def insert(self, jobs: Sequence[Job]) -> list[Job]:
        """Absent → as given; return those that an exclusive index refused.

        A job whose id is there already counts as inserted, so a repetition is harmless.
        """
        if not jobs:
            return []
        try:
            if len(jobs) == 1:
                await self._jobs.insert_one(job_document(jobs[0]))
            else:
                await self._jobs.insert_many(map(job_document, jobs), ordered=False)
        except (BulkWriteError, WriteError) as error:
            if is_refused_by_validator(error) and any(map(_trace, jobs)):
                # Node has come since this process looked: a trace is no reason to lose a job.
                return await self.insert([_untraced(job) for job in jobs])
            return await self._refused(jobs, error)
        return []

    async def requeue(self, job_id: ObjectId, now: datetime) -> Job | None:
        """Settled → pending, due now; None when it is not settled."""
        settled = {
            "_id": job_id,
            "type": {"$in": JOB_TYPES},
            "status": {"$in": SETTLED_STATUSES},
        }
        try:
            document = await update_then_find(self._jobs, settled, _to_waiting(now))
        except DuplicateKeyError as error:
            if not is_conflict(_details(error)):
                told = f"job {job_id} cannot be retried: {_not_ours(error.details or {})}"
                raise StoreRefusedError(told) from error
            raise JobConflictError.of(job_id) from error
        except OperationFailure as error:
            if is_refused_by_validator(error):
                told = f"job {job_id} cannot be retried: {VALIDATOR_ADVICE}"
                raise StoreRefusedError(told) from error
            raise
        return None if document is None else to_job(document)

    async def delete(self, job_ids: Collection[ObjectId]) -> set[ObjectId]:
        """Present and not running → absent; return which are gone now and were there."""
        if not job_ids:
            return set()
        at_rest = {
            "_id": {"$in": list(job_ids)},
            "type": {"$in": JOB_TYPES},
            "status": {"$ne": "running"},
        }
        there = {document["_id"] async for document in self._latest.find(at_rest, {"_id": 1})}
        if not there:
            return set()
        await self._jobs.delete_many({**at_rest, "_id": {"$in": list(there)}})
        left = self._latest.find({"_id": {"$in": list(there)}}, {"_id": 1})
        return there - {document["_id"] async for document in left}

    async def _refused(self, jobs: Sequence[Job], error: BulkWriteError | WriteError) -> list[Job]:
        if is_away(error):
            raise error
        duplicates = []
        for each in write_errors(error):
            job = jobs[each["index"]]
            if each["code"] == DOCUMENT_VALIDATION_FAILURE:
                told = f"job {job.name!r} ({job.id}): {VALIDATOR_ADVICE}"
                raise StoreRefusedError(told) from error
            if each["code"] != DUPLICATE_KEY:
                raise error
            if _is_duplicate_id(each):
                continue
            if not is_conflict(each):
                told = f"job {job.name!r} ({job.id}): {_not_ours(each)}"
                raise StoreRefusedError(told) from error
            duplicates.append(job)
        if not duplicates:
            return []
        # Where a document breaks both indexes, the server may name either one.
        there = {
            document["_id"]
            async for document in self._latest.find(
                {"_id": {"$in": [job.id for job in duplicates]}}, {"_id": 1}
            )
        }
        return [job for job in duplicates if job.id not in there]


def _trace(job: Job) -> str | None:
    return job.traceparent if isinstance(job, SimpleJob) else None


def _untraced(job: Job) -> Job:
    return replace(job, traceparent=None) if isinstance(job, SimpleJob) else job


def _to_waiting(now: datetime) -> list[Document]:
    """Return what makes a settled job as new; the planned time of an occurrence is kept."""
    is_occurrence = {"$eq": ["$type", "cron_task"]}
    planned = {"$ifNull": ["$planned_for", "$scheduled_for"]}
    return [
        {
            "$set": {
                "status": "pending",
                "updated_at": {"$max": ["$updated_at", now]},
                "scheduled_for": now,
                "started_at": None,
                "ended_at": None,
                "worker_id": None,
                "output": None,
                "planned_for": {"$cond": [is_occurrence, planned, "$$REMOVE"]},
                "sync": {"$cond": [is_occurrence, "$$REMOVE", False]},
            }
        },
        {"$unset": ["attempt", "crashes", "expires_at", "notes", "state", "state_saved"]},
    ]


def _details(error: OperationFailure) -> Mapping[str, Any]:
    return {**(error.details or {}), "code": error.code}


def _not_ours(error: Mapping[str, Any]) -> str:
    """Return what there is to say of a unique index that somebody else has made."""
    return (
        f"the unique index {index_of(error)!r} of this collection refuses it, which is none of "
        "this package's; drop it, or use a unique_key instead"
    )


def _is_duplicate_id(error: Mapping[str, Any]) -> bool:
    keys = error.get("keyPattern")
    return list(keys) == ["_id"] if keys else " index: _id_ " in error.get("errmsg", "")
