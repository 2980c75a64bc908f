"""What runs keep while they run: their notes and their saved state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError, WriteError

from job_processor.errors import StoreRefusedError
from job_processor.models import Job, Notes
from job_processor.store.mongo.documents import notes_document
from job_processor.store.mongo.errors import (
    DOCUMENT_VALIDATION_FAILURE,
    VALIDATOR_ADVICE,
    is_refused,
    is_refused_by_validator,
    told,
    unsendable,
    write_errors,
)
from job_processor.store.mongo.handles import Handles
from job_processor.store.mongo.runs import fence
from job_processor.store.mongo.whole import find_one_whole


class Records:
    """Writes what belongs to a run, guarded as its end is."""

    def __init__(self, handles: Handles) -> None:
        self._jobs = handles.jobs
        self._latest = handles.latest_jobs

    async def save_notes(self, noted: Sequence[tuple[Job, Notes]]) -> dict[ObjectId, str]:
        """Running, under its worker and at its attempt → the same, with these notes."""
        operations = [
            UpdateOne(fence(job), {"$set": {"notes": notes_document(notes)}})
            for job, notes in noted
        ]
        try:
            await self._jobs.bulk_write(operations, ordered=False)
        except BulkWriteError as error:
            if not is_refused(error):
                raise
            return {noted[each["index"]][0].id: _why(each) for each in write_errors(error)}
        except Exception as error:
            if isinstance(error, PyMongoError) and not is_refused(error):
                raise
            return await self._save_the_sendable(noted, error)
        return {}

    async def _save_the_sendable(
        self, noted: Sequence[tuple[Job, Notes]], error: Exception
    ) -> dict[ObjectId, str]:
        """Save what a server can be given; raise `error` where that is all of it."""
        checked = {job.id: unsendable(notes_document(notes)) for job, notes in noted}
        refused = {job_id: why for job_id, why in checked.items() if why is not None}
        if not refused:
            raise error
        left = [(job, notes) for job, notes in noted if job.id not in refused]
        return refused | (await self.save_notes(left) if left else {})

    async def save_state(self, job: Job, state: Any) -> bool:
        """Running, under its worker and at its attempt → the same, with this state."""
        try:
            saved = {"state": state, "state_saved": job.updated_at}
            result = await self._jobs.update_one(fence(job), {"$set": saved})
        except WriteError as error:
            if is_refused_by_validator(error):
                raise StoreRefusedError(_why({"code": error.code})) from error
            raise
        return result.matched_count == 1

    async def state(self, job_id: ObjectId) -> Any:
        """Return the state that was saved last."""
        document = await find_one_whole(self._latest, {"_id": job_id}, {"state": 1})
        return None if document is None else document.get("state")


def _why(error: Mapping[str, Any]) -> str:
    """Return why it is refused, with what to do where a validator is in the way."""
    if error["code"] == DOCUMENT_VALIDATION_FAILURE:
        return f"what runs tell and save: {VALIDATOR_ADVICE}"
    return told(error)
