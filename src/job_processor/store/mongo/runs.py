"""Ends of runs: one unordered bulk write, each part of it guarded on its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError

from job_processor.models import Job
from job_processor.store.mongo.documents import Document, output_document, own_fields
from job_processor.store.mongo.errors import (
    DOCUMENT_VALIDATION_FAILURE,
    VALIDATOR_ADVICE,
    is_refused,
    reason,
    told,
    unsendable,
    write_errors,
)
from job_processor.store.mongo.handles import Handles
from job_processor.store.requests import Settlement, Verdict

_RECOGNIZED_BY = {
    "status": 1,
    "updated_at": 1,
    "ended_at": 1,
    "scheduled_for": 1,
    "worker_id": 1,
    "attempt": 1,
    "output.duration": 1,
    "output.error": 1,
}
"""What is read back: neither payloads nor results."""


class Settlements:
    """Moves running runs to their outcome."""

    def __init__(self, handles: Handles, logger: logging.Logger) -> None:
        self._jobs = handles.jobs
        self._logger = logger
        self._counts_crashes = True

    async def settle(self, settlements: Sequence[Settlement]) -> Verdict:
        """Running, under the fence's worker and at its attempt → the outcome's state.

        Won are those that hold exactly what was to be written. Where fewer matched than were
        written, those are read: the reply to an earlier try may have been lost. A refused one keeps
        no other from being written.
        """
        refused: dict[ObjectId, str] = {}
        matched = await self._write(settlements, refused) if settlements else 0
        sent = [each for each in settlements if each.job.id not in refused]
        if matched == len(sent):
            return Verdict({each.job.id for each in sent}, refused)
        return Verdict(await self._recognize(sent), refused)

    async def _write(self, settlements: Sequence[Settlement], refused: dict[ObjectId, str]) -> int:
        """Write all but those that are found to be refused; return how many matched their guard."""
        operations = [
            UpdateOne(fence(each.job), _change(each, crashes=self._counts_crashes))
            for each in settlements
        ]
        try:
            return (await self._jobs.bulk_write(operations, ordered=False)).matched_count
        except BulkWriteError as error:
            if not is_refused(error):
                raise
            again = self._judge(settlements, error, refused)
            matched = int(error.details.get("nMatched", 0))
            return matched + (await self._write_without_crashes(again, refused) if again else 0)
        except Exception as error:
            if isinstance(error, PyMongoError) and not is_refused(error):
                raise
            left = self._without_unsendable(settlements, refused)
            if len(left) < len(settlements):
                return await self._write(left, refused) if left else 0
            if len(left) > 1 or not is_refused(error):
                raise  # nobody knows which of them it is, or whether it is any
            refused[left[0].job.id] = reason(error)
            return 0

    def _without_unsendable(
        self, settlements: Sequence[Settlement], refused: dict[ObjectId, str]
    ) -> list[Settlement]:
        """Return those that a server can be given: one that cannot keeps a whole batch back."""
        left = []
        for each in settlements:
            why = unsendable(_change(each, crashes=self._counts_crashes))
            if why is None:
                left.append(each)
            else:
                refused[each.job.id] = why
        return left

    def _judge(
        self,
        settlements: Sequence[Settlement],
        error: BulkWriteError,
        refused: dict[ObjectId, str],
    ) -> list[Settlement]:
        """Note which were refused, and why; return those that may pass without their crashes."""
        again = []
        for each in write_errors(error):
            settlement = settlements[each["index"]]
            if each["code"] != DOCUMENT_VALIDATION_FAILURE:
                refused[settlement.job.id] = told(each)
            elif self._counts_crashes and _has_crashes_alone(settlement):
                again.append(settlement)
            else:
                refused[settlement.job.id] = VALIDATOR_ADVICE
        return again

    async def _write_without_crashes(
        self, settlements: Sequence[Settlement], refused: dict[ObjectId, str]
    ) -> int:
        """Write what the Node package's validator takes: it knows no count of crashes."""
        self._logger.warning(
            "the validator of %s refuses the field 'crashes': jobs that take down their worker "
            "again and again will not be recognized",
            self._jobs.name,
        )
        self._counts_crashes = False
        return await self._write(settlements, refused)

    async def _recognize(self, settlements: Sequence[Settlement]) -> set[ObjectId]:
        ids = [settlement.job.id for settlement in settlements]
        # Without the limit, a batch that is there in full costs one more request for the end.
        cursor = self._jobs.find({"_id": {"$in": ids}}, _RECOGNIZED_BY, limit=len(ids))
        found = await cursor.batch_size(len(ids)).to_list()
        there = {document["_id"]: document for document in found}
        return {
            each.job.id
            for each in settlements
            if each.job.id in there and _holds(there[each.job.id], each)
        }


def fence(job: Job) -> Document:
    """Return what a run's document has for as long as the run is ours."""
    return {
        "_id": job.id,
        "status": "running",
        "worker_id": job.worker_id,
        "attempt": job.attempt if job.attempt > 1 else {"$not": {"$gt": 1}},  # absent, or none
        "updated_at": _moment_of_claim(job),
    }


def _moment_of_claim(job: Job) -> Any:
    """Return what `updated_at` is, by the claim, until the settlement.

    A claim of ours writes one later than all before. Another writer may leave none, which is read
    as the time the job was made.
    """
    return job.updated_at if job.updated_at > job.created_at else {"$in": [job.updated_at, None]}


def _change(settlement: Settlement, *, crashes: bool) -> Document:
    outcome, written = settlement.outcome, settlement.written()
    fields: Document = {
        "status": written.status.value,
        "updated_at": written.updated_at,
        "ended_at": written.ended_at,
        "worker_id": written.worker_id,
    }
    if outcome.output is not None:
        fields["output"] = output_document(outcome.output)
    if outcome.scheduled_for is not None:
        fields["scheduled_for"] = outcome.scheduled_for
    if not outcome.started:
        fields["started_at"] = None
    before, after = own_fields(settlement.job), own_fields(written)
    if not crashes:
        after.pop("crashes", None)
    fields |= {name: value for name, value in after.items() if before.get(name) != value}
    gone = dict.fromkeys(before.keys() - after.keys(), "")
    if outcome.bare:
        gone |= {"notes": "", "state": "", "state_saved": ""}
    return {"$set": fields, "$unset": gone} if gone else {"$set": fields}


def _holds(document: Mapping[str, Any], settlement: Settlement) -> bool:
    """True when the document is what this settlement leaves, the count of crashes aside."""
    written, outcome = settlement.written(), settlement.outcome
    same = (
        document["status"] == written.status.value
        and document.get("updated_at") == written.updated_at
        and document.get("ended_at") == written.ended_at
        and document.get("worker_id") == written.worker_id
        and (document.get("attempt") or 1) == written.attempt
        and document.get("scheduled_for") == written.scheduled_for
    )
    if not same or outcome.output is None:
        return same
    output = document.get("output") or {}
    return (
        output.get("duration") == outcome.output.duration
        and output.get("error") == outcome.output.error
    )


def _has_crashes_alone(settlement: Settlement) -> bool:
    """True where the count of crashes is all that a validator of Node's has not heard of."""
    return own_fields(settlement.written()).keys() == {"crashes"}
