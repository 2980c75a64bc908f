"""Jobs in the transaction of a session of pymongo's synchronous client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.synchronous.client_session import ClientSession

from job_processor import InvalidArgumentError, JobConflictError, JobDef, JobProcessor

pytestmark = pytest.mark.mongo

Client = MongoClient[dict[str, Any]]


@pytest.fixture
def client(mongo_db_url: str) -> Iterator[Client]:
    """A client of an application's own."""
    with Client(mongo_db_url) as made:
        yield made


@pytest.fixture
async def processor(client: Client, mongo_db_url: str) -> AsyncIterator[JobProcessor]:
    """A processor on the same database, by a client of its own."""
    jobs = {"echo": JobDef(None), "alone": JobDef(None, exclusive=True)}
    async with JobProcessor(mongo_db_url, jobs=jobs) as made:
        await asyncio.to_thread(client.get_default_database().create_collection, "orders")
        yield made


async def within(client: Client, call: Callable[[ClientSession], Any], commit: bool) -> Any:
    """Return what is awaited in a transaction, in which an order is written, too."""
    session = await asyncio.to_thread(client.start_session)
    try:
        session.start_transaction()
        orders = client.get_default_database()["orders"]
        await asyncio.to_thread(orders.insert_one, {"n": 1}, session=session)
        result = await call(session)
        await asyncio.to_thread(session.commit_transaction if commit else session.abort_transaction)
        return result
    finally:
        await asyncio.to_thread(session.end_session)


async def test_committed_and_rolled_back(client: Client, processor: JobProcessor) -> None:
    """The job is there exactly when the transaction is committed, and nobody sees it before."""

    async def schedule(session: ClientSession) -> Any:
        job = await processor.schedule_job("echo", {"n": 1}, session=session)
        assert await processor.get_job(job.id) is None
        return job

    kept = await within(client, schedule, commit=True)
    lost = await within(client, schedule, commit=False)
    assert await processor.get_job(kept.id) == kept
    assert await processor.get_job(lost.id) is None
    assert client.get_default_database()["orders"].count_documents({}) == 1


async def test_a_conflict(client: Client, processor: JobProcessor) -> None:
    """It is an error, as in a transaction of the processor's own client."""
    await processor.schedule_job("alone")
    with pytest.raises(JobConflictError):
        await within(client, lambda s: processor.schedule_job("alone", session=s), commit=True)


async def test_sessions_that_are_refused(client: Client, processor: JobProcessor) -> None:
    """One in no transaction, and one of a client that asks other servers."""
    with client.start_session() as session, pytest.raises(InvalidArgumentError, match="no trans"):
        await processor.schedule_job("echo", session=session)

    class Elsewhere(Client):
        @property
        def nodes(self) -> frozenset[tuple[str, int]]:
            return frozenset({("elsewhere.example", 27017)})

    client.__class__ = Elsewhere
    with pytest.raises(InvalidArgumentError, match="another deployment"):
        await within(client, lambda s: processor.schedule_job("echo", session=s), commit=True)
    assert not (await processor.find_jobs()).jobs
