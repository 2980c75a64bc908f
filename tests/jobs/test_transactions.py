"""A job that is scheduled in a caller's transaction is there exactly when that is committed."""

from __future__ import annotations

import asyncio
import inspect
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession

from job_processor import (
    BulkError,
    InvalidArgumentError,
    JobConflictError,
    JobDef,
    JobProcessor,
    JobRequest,
    SimpleJob,
)
from tests.processors import WAIT, Processors

Client = AsyncMongoClient[dict[str, Any]]


def echo(payload: Any) -> Any:
    """Return what it was given."""
    return payload


JOBS = {"echo": JobDef(echo), "alone": JobDef(echo, exclusive=True)}


async def stored(processor: JobProcessor) -> list[Any]:
    """Return the payloads of all jobs, the oldest first."""
    found = (await processor.find_jobs()).jobs
    return [job.payload for job in reversed(found) if isinstance(job, SimpleJob)]


# --- MongoDB ----------------------------------------------------------------------------------


@pytest.fixture
async def client(mongo_db_url: str) -> AsyncIterator[Client]:
    """An application's own client."""
    async with Client(mongo_db_url) as client:
        yield client


@pytest.fixture
async def on_mongo(client: Client, mongo_db_url: str) -> AsyncIterator[JobProcessor]:
    """A processor on the application's database."""
    db = client.get_default_database()
    async with JobProcessor(db, jobs=JOBS, poll_interval=0.2) as processor:
        await db.create_collection("orders")
        yield processor


@pytest.mark.mongo
async def test_committed_together(client: Client, on_mongo: JobProcessor) -> None:
    """Before the commit nobody sees the job; after it there are both."""
    orders = client.get_default_database()["orders"]
    async with client.start_session() as session:
        async with await session.start_transaction():
            await orders.insert_one({"n": 1}, session=session)
            job = await on_mongo.schedule_job("echo", {"n": 1}, session=session)
            more = await on_mongo.schedule_jobs([("echo", {"n": 2})] * 2, session=session)
            assert await on_mongo.get_job(job.id) is None
            await on_mongo.run_worker(burst=True)
        assert await on_mongo.get_job(job.id) == job
    assert [each.payload for each in more] == [{"n": 2}] * 2
    await on_mongo.run_worker(burst=True)
    assert (await on_mongo.wait_for_job(job.id)).result() == {"n": 1}


@pytest.mark.mongo
async def test_aborted_together(client: Client, on_mongo: JobProcessor) -> None:
    """No order, no job."""
    orders = client.get_default_database()["orders"]
    async with client.start_session() as session:
        await session.start_transaction()
        await orders.insert_one({"n": 1}, session=session)
        await on_mongo.schedule_job("echo", {"n": 1}, session=session)
        await session.abort_transaction()
    assert await stored(on_mongo) == []
    assert await orders.count_documents({}) == 0


@pytest.mark.mongo
async def test_a_worker_is_woken_by_the_commit(
    client: Client, on_mongo: JobProcessor, processors_on_mongo: Processors
) -> None:
    """Another process's worker runs it then, and not before."""
    seen = asyncio.Event()

    async def see() -> None:
        seen.set()

    await processors_on_mongo.start(jobs={"echo": JobDef(see)}, poll_interval=3600)
    async with client.start_session() as session:
        async with await session.start_transaction():
            job = await on_mongo.schedule_job("echo", session=session)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(seen.wait(), 0.3)
        await on_mongo.wait_for_job(job.id, timeout=WAIT)
        assert seen.is_set()


@pytest.fixture
async def processors_on_mongo(mongo_db_url: str) -> AsyncIterator[Processors]:
    """Makes processors with clients of their own."""
    async with Processors(mongo_db_url) as made:
        yield made


@pytest.mark.mongo
async def test_a_conflict_ends_the_transaction(client: Client, on_mongo: JobProcessor) -> None:
    """Of an exclusive name, and of a unique key, alone and among many."""
    await on_mongo.schedule_job("alone")
    await on_mongo.schedule_job("echo", unique_key="k")
    before = await stored(on_mongo)
    keyed = JobRequest("echo", unique_key="k", on_conflict="error")
    async with client.start_session() as session:
        cases: list[list[Any]] = [["alone"], [keyed], ["echo", keyed], ["echo", "alone"]]
        for requests in cases:
            with pytest.raises(JobConflictError, match="roll the transaction back"):
                async with await session.start_transaction():
                    await on_mongo.schedule_jobs(requests, session=session)
    assert await stored(on_mongo) == before


@pytest.mark.mongo
async def test_a_transaction_is_repeated_by_the_driver(
    client: Client, on_mongo: JobProcessor
) -> None:
    """Its errors pass with their labels, so `with_transaction` runs again after a conflict."""
    orders = client.get_default_database()["orders"]
    await orders.insert_one({"_id": 1, "n": 0})
    tries = []

    async def order(session: AsyncClientSession) -> None:
        tries.append(1)
        await orders.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
        await on_mongo.schedule_job("echo", {"try": len(tries)}, session=session)

    async def both() -> None:
        async with client.start_session() as session:
            await session.with_transaction(order)

    await asyncio.gather(both(), both())
    assert len(await stored(on_mongo)) == 2
    assert (await orders.find_one({}) or {})["n"] == 2


@pytest.mark.mongo
async def test_a_session_of_another_client(
    mongo_db_url: str, on_mongo: JobProcessor, processors_on_mongo: Processors
) -> None:
    """Is refused, as is what is none; nothing is stored."""
    async with Client(mongo_db_url) as other, other.start_session() as session:
        for each in (on_mongo, await processors_on_mongo.make(jobs=JOBS)):
            with pytest.raises(InvalidArgumentError, match=r"session.*of another client"):
                await each.schedule_job("echo", session=session)
    with pytest.raises(InvalidArgumentError, match=r"session: 'mine'.*JobProcessor"):
        await on_mongo.schedule_job("echo", session="mine")
    assert await stored(on_mongo) == []


@pytest.mark.mongo
@pytest.mark.parametrize("ended", [False, True])
async def test_a_session_in_no_transaction(
    client: Client, on_mongo: JobProcessor, *, ended: bool
) -> None:
    """Is refused, before its first one and after the end of one: nothing is stored at once."""
    async with client.start_session() as session:
        if ended:
            async with await session.start_transaction():
                await on_mongo.schedule_job("echo", {"n": 1}, session=session)
        with pytest.raises(InvalidArgumentError, match=r"session.*start_transaction\(\)"):
            await on_mongo.schedule_job("echo", {"n": 2}, session=session)
        with pytest.raises(InvalidArgumentError, match=r"session.*no transaction"):
            await on_mongo.schedule_jobs(["echo", "alone"], session=session)
    assert await stored(on_mongo) == ([{"n": 1}] if ended else [])


# --- SQLite -----------------------------------------------------------------------------------


@pytest.fixture
async def on_sqlite(sqlite_db_url: str) -> AsyncIterator[JobProcessor]:
    """A processor on the application's file."""
    async with JobProcessor(sqlite_db_url, jobs=JOBS, poll_interval=0.2) as processor:
        yield processor


@pytest.fixture
def connection(tmp_path: Path, on_sqlite: JobProcessor) -> Iterator[sqlite3.Connection]:
    """An application's own connection to the same file."""
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        connection.execute("CREATE TABLE orders (n INTEGER)")
        connection.commit()
        yield connection


async def test_committed_in_one_file(
    connection: sqlite3.Connection, on_sqlite: JobProcessor
) -> None:
    """Before the commit nobody sees the job; after it there are both."""
    connection.execute("INSERT INTO orders VALUES (1)")
    job = await on_sqlite.schedule_job("echo", {"n": 1}, session=connection)
    await on_sqlite.schedule_jobs([("echo", {"n": 2})], session=connection)
    assert await stored(on_sqlite) == []
    connection.commit()
    assert await stored(on_sqlite) == [{"n": 1}, {"n": 2}]
    await on_sqlite.run_worker(burst=True)
    assert (await on_sqlite.wait_for_job(job.id)).result() == {"n": 1}


async def test_rolled_back_in_one_file(
    connection: sqlite3.Connection, on_sqlite: JobProcessor
) -> None:
    """No order, no job; also where the application says BEGIN itself."""
    connection.execute("INSERT INTO orders VALUES (1)")
    await on_sqlite.schedule_job("echo", session=connection)
    connection.rollback()
    connection.isolation_level = None
    connection.execute("BEGIN IMMEDIATE")
    await on_sqlite.schedule_job("echo", session=connection)
    connection.execute("ROLLBACK")
    assert await stored(on_sqlite) == []
    assert connection.execute("SELECT count(*) FROM orders").fetchone() == (0,)


async def test_a_connection_of_aiosqlite(tmp_path: Path, on_sqlite: JobProcessor) -> None:
    """Does as one of sqlite3 does."""
    async with aiosqlite.connect(tmp_path / "jobs.db") as connection:
        job = await on_sqlite.schedule_job("echo", session=connection)
        assert await on_sqlite.get_job(job.id) is None
        await connection.commit()
        assert await on_sqlite.get_job(job.id) == job
        await on_sqlite.schedule_job("echo", session=connection)
        await connection.rollback()
    assert len(await stored(on_sqlite)) == 1


async def test_a_waiting_worker_is_woken(
    connection: sqlite3.Connection, on_sqlite: JobProcessor
) -> None:
    """By the commit of a connection that is not ours."""
    worker = asyncio.create_task(on_sqlite.run_worker())
    job = await on_sqlite.schedule_job("echo", session=connection)
    connection.commit()
    await on_sqlite.wait_for_job(job.id, timeout=WAIT)
    worker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await worker


async def test_a_conflict_in_one_file(
    connection: sqlite3.Connection, on_sqlite: JobProcessor
) -> None:
    """Is an error, after which the application rolls back."""
    await on_sqlite.schedule_job("alone")
    with pytest.raises(JobConflictError, match="roll the transaction back"):
        await on_sqlite.schedule_jobs(["echo", "alone"], session=connection)
    connection.rollback()
    assert len(await stored(on_sqlite)) == 1
    with pytest.raises(InvalidArgumentError, match=r"on_conflict: 'skip'.*'error'"):
        await on_sqlite.schedule_job("echo", unique_key="k", on_conflict="skip", session=connection)
    keyed = JobRequest("echo", unique_key="k", on_conflict="skip")
    jobs: list[Any] = [*["echo"] * 1200, keyed, *["echo"] * 900]
    with pytest.raises(BulkError) as caught:
        await on_sqlite.schedule_jobs(jobs, session=connection)
    assert (caught.value.written, caught.value.unknown) == (1000, ())
    assert caught.value.not_written == tuple(range(1000, 2101))


async def test_a_key_whose_time_is_over(
    connection: sqlite3.Connection, on_sqlite: JobProcessor
) -> None:
    """Is free in a transaction, too."""
    first = await on_sqlite.schedule_job("echo", unique_key="k", unique_for=0.001)
    await asyncio.sleep(0.01)  # the key's time, by the clock
    second = await on_sqlite.schedule_job("echo", unique_key="k", session=connection)
    connection.commit()
    assert await on_sqlite.get_job(second.id) == second
    assert second.id != first.id


async def test_what_is_no_connection_to_the_file(
    tmp_path: Path, connection: sqlite3.Connection, on_sqlite: JobProcessor
) -> None:
    """Another file, a memory database, something else."""
    for path in (tmp_path / "other.db", ":memory:"):
        other = sqlite3.connect(path)
        with closing(other), pytest.raises(InvalidArgumentError, match=r"session.*jobs\.db"):
            await on_sqlite.schedule_job("echo", session=other)
    with pytest.raises(InvalidArgumentError, match=r"session: 'mine'.*sqlite3 or aiosqlite"):
        await on_sqlite.schedule_job("echo", session="mine")
    async with JobProcessor("sqlite://", jobs=JOBS) as in_memory:
        with pytest.raises(InvalidArgumentError, match=r"session.*in memory"):
            await in_memory.schedule_job("echo", session=connection)
    assert await stored(on_sqlite) == []


BY_ITSELF: list[dict[str, Any]] = [{"isolation_level": None}]
IN_TRANSACTIONS: list[dict[str, Any]] = [{}, {"isolation_level": "IMMEDIATE"}]
if sys.version_info >= (3, 12):
    BY_ITSELF += [{"autocommit": True}, {"autocommit": True, "isolation_level": "DEFERRED"}]
    IN_TRANSACTIONS += [{"autocommit": False}, {"autocommit": False, "isolation_level": None}]


def in_file(path: Path) -> int:
    """Return how many jobs anybody sees in the file."""
    with closing(sqlite3.connect(path)) as other:
        found: int = other.execute("SELECT count(*) FROM job_processor_jobs").fetchone()[0]
        return found


@pytest.mark.parametrize("options", BY_ITSELF, ids=str)
@pytest.mark.parametrize("kind", [sqlite3, aiosqlite])
async def test_a_connection_that_commits_each_statement(
    tmp_path: Path, on_sqlite: JobProcessor, options: dict[str, Any], kind: Any
) -> None:
    """However that was asked for, it is refused, and serves once it has begun a transaction."""
    path = tmp_path / "jobs.db"
    connection = await _answer(kind.connect(path, **options))
    try:
        with pytest.raises(InvalidArgumentError, match=r"session.*BEGIN IMMEDIATE"):
            await on_sqlite.schedule_job("echo", session=connection)
        assert in_file(path) == 0
        await _answer(connection.execute("BEGIN IMMEDIATE"))
        await on_sqlite.schedule_job("echo", session=connection)
        assert in_file(path) == 0
        await _answer(connection.execute("ROLLBACK"))
        assert in_file(path) == 0
    finally:
        await _answer(connection.close())


@pytest.mark.parametrize("options", IN_TRANSACTIONS, ids=str)
@pytest.mark.parametrize("kind", [sqlite3, aiosqlite])
async def test_a_connection_that_begins_transactions(
    tmp_path: Path, on_sqlite: JobProcessor, options: dict[str, Any], kind: Any
) -> None:
    """However that was asked for, the job is there exactly when the caller commits."""
    path = tmp_path / "jobs.db"
    connection = await _answer(kind.connect(path, **options))
    try:
        await on_sqlite.schedule_job("echo", session=connection)
        assert in_file(path) == 0
        await _answer(connection.rollback())
        assert in_file(path) == 0
        await on_sqlite.schedule_job("echo", session=connection)
        await _answer(connection.commit())
        assert in_file(path) == 1
    finally:
        await _answer(connection.close())


async def _answer(call: Any) -> Any:
    return await call if inspect.isawaitable(call) else call
