"""What runs keep while they run: their notes and their saved state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, WriteError

from job_processor.errors import StoreError
from job_processor.models import Job
from job_processor.notes import Notes
from job_processor.store.mongo.documents import notes_document
from job_processor.store.mongo.errors import VALIDATOR_ADVICE, is_refused_by_validator
from job_processor.store.mongo.handles import Handles
from job_processor.store.mongo.settlements import fence


class Records:
    """Writes what belongs to a run, guarded as its end is."""

    def __init__(self, handles: Handles) -> None:
        self._jobs = handles.jobs
        self._latest = handles.latest_jobs

    async def save_notes(self, noted: Sequence[tuple[Job, Notes]]) -> None:
        """Running, under its worker and at its attempt → the same, with these notes."""
        operations = [
            UpdateOne(fence(job), {"$set": {"notes": notes_document(notes)}})
            for job, notes in noted
        ]
        try:
            await self._jobs.bulk_write(operations, ordered=False)
        except BulkWriteError as error:
            raise _explained(error) from error

    async def save_state(self, job: Job, state: Any) -> bool:
        """Running, under its worker and at its attempt → the same, with this state."""
        try:
            result = await self._jobs.update_one(fence(job), {"$set": {"state": state}})
        except WriteError as error:
            raise _explained(error) from error
        return result.matched_count == 1

    async def state(self, job_id: ObjectId) -> Any:
        """Return the state that was saved last."""
        document = await self._latest.find_one({"_id": job_id}, {"state": 1})
        return None if document is None else document.get("state")


def _explained(error: BulkWriteError | WriteError) -> Exception:
    """Return the error with what to do where the Node package's validator is in the way."""
    if is_refused_by_validator(error):
        return StoreError(f"what runs tell and save: {VALIDATOR_ADVICE}")
    return error
