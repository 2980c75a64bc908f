"""A caller's own transaction: our jobs are written in it, unseen by others until its commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import BulkWriteError

from job_processor.errors import InvalidArgumentError, JobConflictError, Unshown
from job_processor.models import Job
from job_processor.store.mongo.documents import job_document
from job_processor.store.mongo.errors import write_errors
from job_processor.store.mongo.handles import Handles
from job_processor.store.mongo.indexes import is_conflict

_ALLOWED = (
    "allowed is a session of the client whose database the processor was given: "
    "JobProcessor(db=client['name']) and client.start_session()"
)
_NO_TRANSACTION = (
    "it is in no transaction, so the jobs would be stored at once, whatever follows; begin one "
    "with session.start_transaction() or session.with_transaction(), or leave session out"
)


class Transactions:
    """Inserts jobs with a session of the caller."""

    def __init__(self, handles: Handles, address: str) -> None:
        self._jobs = handles.jobs
        self._client = handles.database.client
        self._address = address

    async def insert(self, session: Any, jobs: Sequence[Job]) -> None:
        """Absent → as given, once the caller commits.

        A conflict ends the transaction on the server, so it is an error. The driver's own errors
        pass: their labels tell the caller's `with_transaction` to try again.
        """
        if not isinstance(session, AsyncClientSession):
            raise InvalidArgumentError("session", session, _ALLOWED)
        if session.client is not self._client:
            refused = f"it is of another client; {_ALLOWED} ({self._address})"
            raise InvalidArgumentError("session", session, refused)
        if not session.in_transaction:
            raise InvalidArgumentError("session", Unshown(session), _NO_TRANSACTION)
        if not jobs:
            return
        try:
            await self._jobs.insert_many(map(job_document, jobs), session=session)
        except BulkWriteError as error:
            if any(map(is_conflict, write_errors(error))):
                raise JobConflictError.in_transaction(jobs) from error
            raise
