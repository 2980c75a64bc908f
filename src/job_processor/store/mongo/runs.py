"""Jobs that run: how they end, what they keep, under whom they run.

The ends of many are one unordered bulk write, each part of it guarded on its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping, Sequence
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError, WriteError

from job_processor.errors import StoreRefusedError
from job_processor.models import Job, Notes, Step
from job_processor.redaction import Redaction
from job_processor.store.desks.runs import Runs
from job_processor.store.mongo.desks import MongoDesk, Plumbing, translated
from job_processor.store.mongo.documents import (
    Document,
    own_fields,
    to_job,
)
from job_processor.store.mongo.ends import (
    OF_CRASHES,
    TOGETHER,
    End,
    change_of,
    ends_of,
    fence,
    holds,
    news_of,
    still_runs,
)
from job_processor.store.mongo.errors import (
    DOCUMENT_VALIDATION_FAILURE,
    VALIDATOR_ADVICE,
    is_refused,
    is_refused_by_validator,
    reason,
    told,
    unsendable,
    write_errors,
)
from job_processor.store.mongo.hinting import IndexHint
from job_processor.store.mongo.indexes import RUNNING_BY_WORKER
from job_processor.store.mongo.summaries import shown_fields, to_summary
from job_processor.store.mongo.whole import find_one_whole, find_whole
from job_processor.store.plain import plain_notes, plain_step
from job_processor.store.requests import Settlement, Verdict
from job_processor.store.summaries import JobSummary

_RECOGNIZED_BY = {
    "status": 1,
    "updated_at": 1,
    "ended_at": 1,
    "scheduled_for": 1,
    "due": 1,
    "worker_id": 1,
    "attempt": 1,
    "followed": 1,
    "output.duration": 1,
    "output.error": 1,
}
"""What is read back: neither payloads nor results."""

_FIRST_ID = ObjectId(bytes(12))
"""No id comes before it: a range of all ids, which an index that begins with them answers."""


@translated()
class MongoRuns(MongoDesk, Runs):
    """Moves runs to their outcome, and writes what belongs to them, all by the same guard."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        self._counts_crashes = True
        self._keeps_ties = True

    async def _settle(self, settlements: Sequence[Settlement]) -> Verdict:
        """Running, under the fence's worker and at its attempt → the outcome's state.

        Won are those that hold exactly what was to be written. Where fewer matched than were
        written, those are read: the reply to an earlier try may have been lost. A refused one keeps
        no other from being written.
        """
        await self.features.use_for(news_of(settlements))
        refused: dict[ObjectId, str] = {}
        matched = await self._write(settlements, refused)
        sent = [each for each in settlements if each.job.id not in refused]
        if matched == len(sent):
            return Verdict({each.job.id for each in sent}, refused)
        return await self._recognize(sent, refused)

    async def _write(
        self,
        settlements: Sequence[Settlement],
        refused: dict[ObjectId, str],
        *,
        together: bool = True,
    ) -> int:
        """Write all but those that are found to be refused; return how many matched their guard.

        together: with those in one statement that differ in nothing but the job.
        """
        changes = [(each, self._change(each)) for each in settlements]
        ends = ends_of(changes, together=together)
        try:
            statements = [end.statement() for end in ends]
            return (await self._jobs.bulk_write(statements, ordered=False)).matched_count
        except BulkWriteError as error:
            if not is_refused(error):
                raise
            matched = int(error.details.get("nMatched", 0))
            again, apart = self._judge(ends, error, refused)
            if apart:
                matched += await self._write(apart, refused, together=False)
            return matched + (await self._write_without_ours(again, refused) if again else 0)
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
            why = unsendable(self._change(each))
            if why is None:
                left.append(each)
            else:
                refused[each.job.id] = why
        return left

    def _judge(
        self, ends: Sequence[End], error: BulkWriteError, refused: dict[ObjectId, str]
    ) -> tuple[list[Settlement], list[Settlement]]:
        """Note which were refused, and why; return those that may pass without their crashes.

        And those of a statement about several, of which nobody knows which one was refused.
        """
        again: list[Settlement] = []
        apart: list[Settlement] = []
        for each in write_errors(error):
            (settlement, *others) = ends[each["index"]].settlements
            if others:
                apart += ends[each["index"]].settlements
            elif each["code"] != DOCUMENT_VALIDATION_FAILURE:
                refused[settlement.job.id] = told(each)
            elif self._may_pass(settlement):
                again.append(settlement)
            else:
                refused[settlement.job.id] = VALIDATOR_ADVICE
        return again, apart

    def _change(self, settlement: Settlement) -> Document:
        return change_of(settlement, crashes=self._counts_crashes, ties=self._keeps_ties)

    def _may_pass(self, settlement: Settlement) -> bool:
        """True for one that Node's validator takes without what it has not heard of."""
        ours = own_fields(settlement.written()).keys()
        crashes, ties = ours & OF_CRASHES, ours & TOGETHER
        is_news = bool(crashes and self._counts_crashes) or bool(ties and self._keeps_ties)
        return is_news and ours == crashes | ties

    async def _write_without_ours(
        self, settlements: Sequence[Settlement], refused: dict[ObjectId, str]
    ) -> int:
        """Write what the Node package's validator takes: no crashes, lanes, groups."""
        ours = {name for each in settlements for name in own_fields(each.written())}
        if ours & OF_CRASHES:
            self._logger.warning(
                "the validator of %s refuses the fields 'crash' and 'crashes': jobs do not keep "
                "which worker died, and those that take theirs down again and again are not "
                "recognized",
                self._jobs.name,
            )
            self._counts_crashes = False
        if ours & TOGETHER:
            self._logger.warning(
                "the validator of %s refuses the fields of lanes, groups and 'after': running "
                "jobs leave their lanes and groups at their end, and release no other jobs",
                self._jobs.name,
            )
            self._keeps_ties = False
        return await self._write(settlements, refused)

    async def _recognize(
        self, settlements: Sequence[Settlement], refused: dict[ObjectId, str]
    ) -> Verdict:
        ids = [settlement.job.id for settlement in settlements]
        # Without the limit, a batch that is there in full costs one more request for the end.
        cursor = self._jobs.find({"_id": {"$in": ids}}, _RECOGNIZED_BY, limit=len(ids))
        found = await cursor.batch_size(len(ids)).to_list()
        there = {document["_id"]: document for document in found}
        known = [(each, there[each.job.id]) for each in settlements if each.job.id in there]
        won = {each.job.id for each, document in known if holds(document, each)}
        followed = {
            each.job.id
            for each, document in known
            if document.get("followed") and not each.job.followed
            if each.job.id in won or still_runs(document, each.job)
        }
        return Verdict(won, refused, followed)

    async def _save_notes(self, noted: Sequence[tuple[Job, Notes]]) -> dict[ObjectId, str]:
        """Running, under its worker and at its attempt → the same, with these notes."""
        operations = [
            UpdateOne(fence(job), {"$set": {"notes": plain_notes(notes)}}) for job, notes in noted
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
        checked = {job.id: unsendable(plain_notes(notes)) for job, notes in noted}
        refused = {job_id: why for job_id, why in checked.items() if why is not None}
        if not refused:
            raise error
        left = [(job, notes) for job, notes in noted if job.id not in refused]
        return refused | (await self._save_notes(left) if left else {})

    async def save_state(self, job: Job, state: Any) -> bool:
        """Running, under its worker and at its attempt → the same, with this state."""
        saved = {"state": state, "state_saved": job.updated_at}
        return await self._keep(job, {"$set": saved})

    async def save_step(self, job: Job, step: Step) -> bool:
        """Running, under its worker and at its attempt → the same, with one step more."""
        added = {"$push": {"steps": plain_step(step)}, "$set": {"state_saved": job.updated_at}}
        return await self._keep(job, added)

    async def _keep(self, job: Job, change: Document) -> bool:
        try:
            result = await self._jobs.update_one(fence(job), change)
        except WriteError as error:
            if is_refused_by_validator(error):
                raise StoreRefusedError(_why({"code": error.code})) from error
            raise
        return result.matched_count == 1

    async def state(self, job_id: ObjectId) -> Any:
        """Return the state that was saved last."""
        document = await find_one_whole(self._last, {"_id": job_id}, {"state": 1})
        return None if document is None else document.get("state")

    async def _of_worker(
        self, worker_id: ObjectId, limit: int, exclude: Collection[ObjectId], unconfirmed: bool
    ) -> list[Job]:
        """Return what is running under this worker's id, the excluded left out.

        What a claim has just moved is seen by a majority some time later only.
        """
        jobs = self._last if unconfirmed else self._jobs
        selection: Document = {"status": "running", "worker_id": worker_id}
        if exclude:
            selection["_id"] = {"$nin": list(exclude)}

        def read(hint: IndexHint) -> Awaitable[list[Document]]:
            return find_whole(jobs, selection, limit=limit, hint=hint)

        return [to_job(each) for each in await self._hinting.walk(RUNNING_BY_WORKER, read)]

    async def _summaries(
        self, worker_id: ObjectId, limit: int, redaction: Redaction | None
    ) -> list[JobSummary]:
        """Return what a list shows of what runs under a worker's id."""
        running = {"status": "running", "worker_id": worker_id}
        runs = await find_whole(self._jobs, running, shown_fields(redaction), limit=limit)
        return [to_summary(document, redaction) for document in runs]

    async def move(self, old: ObjectId, new: ObjectId) -> set[ObjectId]:
        """Running under `old` → running under `new`; return all ids running under `new`."""
        await self._jobs.update_many(
            {"status": "running", "worker_id": old}, {"$set": {"worker_id": new}}
        )
        running = self._jobs.find({"status": "running", "worker_id": new}, {"_id": 1})
        return {document["_id"] async for document in running}

    async def workers(self) -> set[ObjectId]:
        """Return the worker ids of all running jobs."""
        # No `distinct`: the Stable API lacks it, and its one reply holds 16 MB at most.
        grouped = await self._jobs.aggregate(
            [
                {"$match": {"status": "running", "worker_id": {"$gte": _FIRST_ID}}},
                {"$group": {"_id": "$worker_id"}},
            ]
        )
        return {each["_id"] async for each in grouped}


def _why(error: Mapping[str, Any]) -> str:
    """Return why it is refused, with what to do where a validator is in the way."""
    if error["code"] == DOCUMENT_VALIDATION_FAILURE:
        return f"progress and states of runs: {VALIDATOR_ADVICE}"
    return told(error)
