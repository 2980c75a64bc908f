"""New jobs, in one bulk write or in a caller's transaction; and who holds a unique key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import BulkWriteError, WriteError
from pymongo.synchronous.client_session import ClientSession

from job_processor.errors import (
    InvalidArgumentError,
    JobConflictError,
    StoreRefusedError,
    Unshown,
)
from job_processor.models import Job, SimpleJob
from job_processor.store.desks.intake import Intake
from job_processor.store.mongo.desks import MongoDesk, Plumbing, translated
from job_processor.store.mongo.documents import (
    ACTIVE_STATUSES,
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
from job_processor.store.mongo.features import UNIQUE_KEYS
from job_processor.store.mongo.handles import Handles
from job_processor.store.mongo.indexes import is_conflict, not_ours
from job_processor.store.mongo.synchronous import NO_TRANSACTION, insert_by
from job_processor.store.mongo.whole import find_one_whole
from job_processor.store.refusals import kept_beside_node
from job_processor.store.requests import replaced_by

_ALLOWED = (
    "allowed is a session of the client whose database the processor was given: "
    "JobProcessor(db=client['name']) and client.start_session()"
)


@translated(but="insert_in")
class MongoIntake(MongoDesk, Intake):
    """Inserts jobs; finds, releases and changes the holder of a key."""

    _writes_at_once = 4  # a connection that hangs keeps the others waiting no longer than its own

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        self._shares_with_node = plumbing.shares_with_node

    def keep(self, job: SimpleJob) -> SimpleJob:
        """Return a new job without what the Node package's validator refuses, where it is there."""
        return kept_beside_node(job) if self._shares_with_node() else job

    async def _insert(self, jobs: Sequence[Job]) -> list[Job]:
        """Absent → as given; return those that an exclusive index refused.

        A job whose id is there already counts as inserted, so a repetition is harmless.
        """
        documents = list(map(job_document, jobs))
        await self.features.use_for(documents)
        try:
            if len(documents) == 1:
                await self._jobs.insert_one(documents[0])
            else:
                await self._jobs.insert_many(documents, ordered=False)
        except (BulkWriteError, WriteError) as error:
            if is_refused_by_validator(error) and any(map(_trace, jobs)):
                # Node has come since this process looked: a trace is no reason to lose a job.
                return await self._insert([_untraced(job) for job in jobs])
            return await self._refused(jobs, error)
        return []

    async def insert_in(self, session: Any, jobs: Sequence[Job]) -> None:
        """Absent → as given, once the caller commits.

        A conflict ends the transaction on the server, so it is an error. The driver's own errors
        pass: their labels tell the caller's `with_transaction` to try again.
        """
        by_other_client = isinstance(session, ClientSession)
        if not by_other_client:
            check_session(session, self._handles, self.address)
        if not jobs:
            return
        documents = list(map(job_document, jobs))
        try:
            await self.features.use_for(documents, in_transaction=True)
            if by_other_client:
                await insert_by(session, self._jobs, documents)
            else:
                await self._jobs.insert_many(documents, session=session)
        except BulkWriteError as error:
            if any(map(is_conflict, write_errors(error))):
                raise JobConflictError.in_transaction(jobs) from error
            raise

    async def find_holder(self, name: str, unique_key: str) -> SimpleJob | None:
        """Return the job that holds a key, as the primary has it last."""
        if not await self.features.is_used(UNIQUE_KEYS):
            return None
        of_key: Document = {"type": "simple", "name": name, "unique_key": unique_key}
        for holding in ({"status": {"$in": ACTIVE_STATUSES}}, {"unique_until": {"$exists": True}}):
            document = await find_one_whole(self._last, {**of_key, **holding})
            if document is not None:
                return _simple(document)
        return None

    async def release_key(self, holder: SimpleJob) -> None:
        """Holding its key in the very state that was read → without it."""
        as_read: Document = {
            "_id": holder.id,
            "status": holder.status.value,
            "unique_key": holder.unique_key,
            "unique_until": holder.unique_until,
        }
        await self._jobs.update_one(as_read, {"$unset": {"unique_key": "", "unique_until": ""}})

    async def _replace(self, holder: SimpleJob, job: SimpleJob) -> SimpleJob | None:
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
            "followed": True if holder.followed else None,
        }
        document = job_document(replaced)
        await self.features.use_for([document])
        result = await self._jobs.replace_one(waiting, document)
        return replaced if result.matched_count else None

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
                told = f"job {job.name!r} ({job.id}): {not_ours(each)}"
                raise StoreRefusedError(told) from error
            duplicates.append(job)
        if not duplicates:
            return []
        # Where a document breaks both indexes, the server may name either one.
        there = {
            document["_id"]
            async for document in self._last.find(
                {"_id": {"$in": [job.id for job in duplicates]}}, {"_id": 1}
            )
        }
        return [job for job in duplicates if job.id not in there]


def _simple(document: Any) -> SimpleJob:
    job = to_job(document)
    assert isinstance(job, SimpleJob)  # noqa: S101  # no other has a unique key
    return job


def _trace(job: Job) -> str | None:
    return job.traceparent if isinstance(job, SimpleJob) else None


def _untraced(job: Job) -> Job:
    return replace(job, traceparent=None) if isinstance(job, SimpleJob) else job


def _is_duplicate_id(error: Mapping[str, Any]) -> bool:
    keys = error.get("keyPattern")
    return list(keys) == ["_id"] if keys else " index: _id_ " in error.get("errmsg", "")


def check_session(session: Any, handles: Handles, address: str) -> None:
    """Raise InvalidArgumentError for a session that is in no transaction of this client."""
    if not isinstance(session, AsyncClientSession):
        raise InvalidArgumentError("session", session, _ALLOWED)
    if session.client is not handles.database.client:
        refused = f"it is of another client; {_ALLOWED} ({address})"
        raise InvalidArgumentError("session", session, refused)
    if not session.in_transaction:
        raise InvalidArgumentError("session", Unshown(session), NO_TRANSACTION)
