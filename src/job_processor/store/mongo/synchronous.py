"""A caller's transaction by pymongo's synchronous client, such as that of Django's own database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from pymongo import MongoClient
from pymongo.synchronous.client_session import ClientSession

from job_processor.errors import InvalidArgumentError, Unshown
from job_processor.store.mongo.documents import Document
from job_processor.store.mongo.handles import Collection

NO_TRANSACTION = (
    "it is in no transaction, so the jobs would be stored at once, whatever follows; start one "
    "with session.start_transaction() or session.with_transaction(), or leave session out"
)


async def insert_by(
    session: ClientSession, jobs: Collection, documents: Sequence[Document]
) -> None:
    """Insert documents in the transaction of a session; its thread waits meanwhile.

    Raises InvalidArgumentError for one in no transaction, and for one of another deployment.
    """
    if not session.in_transaction:
        raise InvalidArgumentError("session", Unshown(session), NO_TRANSACTION)
    await asyncio.to_thread(_insert, session, jobs, documents)


def _insert(session: ClientSession, jobs: Collection, documents: Sequence[Document]) -> None:
    client: MongoClient[Document] = session.client
    if not client.nodes:
        client.admin.command("ping")  # it has asked nobody yet who there is
    if not client.nodes & jobs.database.client.nodes:
        allowed = "it is of another deployment; allowed is one of the servers that have the jobs"
        raise InvalidArgumentError("session", Unshown(session), allowed)
    found: Any = client[jobs.database.name][jobs.name]
    found.insert_many(list(documents), session=session)
