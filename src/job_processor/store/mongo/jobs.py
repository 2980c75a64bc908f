"""New jobs, in one bulk write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.errors import BulkWriteError, WriteError

from job_processor.errors import StoreError
from job_processor.models import Job
from job_processor.store.mongo.documents import job_document
from job_processor.store.mongo.errors import (
    DOCUMENT_VALIDATION_FAILURE,
    DUPLICATE_KEY,
    VALIDATOR_ADVICE,
    is_away,
    write_errors,
)
from job_processor.store.mongo.handles import Handles


class Jobs:
    """Inserts jobs."""

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
            return await self._refused(jobs, error)
        return []

    async def _refused(self, jobs: Sequence[Job], error: BulkWriteError | WriteError) -> list[Job]:
        if is_away(error):
            raise error
        duplicates = []
        for each in write_errors(error):
            job = jobs[each["index"]]
            if each["code"] == DOCUMENT_VALIDATION_FAILURE:
                raise StoreError(f"job {job.name!r} ({job.id}): {VALIDATOR_ADVICE}") from error
            if each["code"] != DUPLICATE_KEY:
                raise error
            if not _is_duplicate_id(each):
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


def _is_duplicate_id(error: Mapping[str, Any]) -> bool:
    keys = error.get("keyPattern")
    return list(keys) == ["_id"] if keys else " index: _id_ " in error.get("errmsg", "")
