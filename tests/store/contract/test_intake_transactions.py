"""`insert_in`: jobs that are there exactly when a transaction of the caller's is committed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from job_processor.errors import InvalidArgumentError, JobConflictError
from job_processor.models import JobStatus
from job_processor.settings import Settings
from job_processor.store import Store
from job_processor.store.hints import Hint
from job_processor.store.mongo import MongoStore
from job_processor.store.mongo.features import ALL
from job_processor.store.opening import open_store
from tests.processors import WAIT
from tests.samples import NOW, claim, read, run, simple
from tests.store.contract.conftest import Listener, Stores


class RollBack(Exception):  # noqa: N818  # a test's own way out of a transaction
    """Ends a transaction without a commit."""


class Caller:
    """An application with a store on its own database, and transactions in it."""

    def __init__(self, store: Store, client: AsyncMongoClient[dict[str, Any]] | str) -> None:
        self.store = store
        self._client = client

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """Give a session; commit at the end, roll back for whatever is raised."""
        if isinstance(self._client, str):
            with closing(sqlite3.connect(self._client)) as connection:
                try:
                    yield connection
                except BaseException:
                    connection.rollback()
                    raise
                connection.commit()
            return
        async with (
            self._client.start_session() as session,
            await session.start_transaction(),
        ):
            yield session


@pytest.fixture
async def caller(db_url: str) -> AsyncIterator[Caller]:
    """An application on a fresh database."""
    if db_url.startswith("dictionaries"):
        pytest.skip("dictionaries have no connection of a caller's, and no transactions")
    if not db_url.startswith("mongodb"):
        store = open_store(db_url, Settings())
        await store.setup()
        yield Caller(store, db_url.removeprefix("sqlite:///"))
        await store.close()
        return
    async with AsyncMongoClient[dict[str, Any]](db_url) as client:
        mongo = MongoStore.from_database(client.get_default_database())
        await mongo.setup()
        await mongo.features.use(*ALL)  # a transaction that is the first to use one is repeated
        yield Caller(mongo, client)
        await mongo.close()


@pytest.fixture
async def other(caller: Caller, stores: Stores) -> Store:
    """A store of somebody else on the same database."""
    del caller  # it sets the database up
    return await stores.open()


async def test_they_are_there_with_the_commit_and_not_before(caller: Caller, other: Store) -> None:
    """Nobody else sees, finds or claims them meanwhile; afterwards they are as they were given."""
    jobs = [simple(payload={"n": n}) for n in range(3)]
    async with caller.transaction() as session:
        await caller.store.intake.insert_in(session, jobs)
        assert await read(other, *jobs) == [None, None, None]
        assert await other.history.find_active("simple", "resize") is None
        assert await other.queue.next_due(["resize"]) is None
    assert await read(other, *jobs) == jobs
    assert {job.id for job in await other.queue.claim(claim(10))} == {job.id for job in jobs}


async def test_they_are_gone_with_a_rollback(caller: Caller, other: Store) -> None:
    """Also those that were written before the one that failed."""
    jobs = [simple(), simple()]

    async def insert() -> None:
        async with caller.transaction() as session:
            await caller.store.intake.insert_in(session, jobs[:1])
            await caller.store.intake.insert_in(session, jobs[1:])
            raise RollBack

    with pytest.raises(RollBack):
        await insert()
    assert await read(other, *jobs) == [None, None]
    assert await other.intake.insert(jobs) == []


async def test_none_are_none(caller: Caller) -> None:
    """An empty list is no reason to fail."""
    async with caller.transaction() as session:
        await caller.store.intake.insert_in(session, [])


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("kind", ["exclusive", "unique key"])
async def test_a_conflict_is_an_error(caller: Caller, other: Store, kind: str, count: int) -> None:
    """Where `insert` would refuse one, the transaction is to be rolled back: nothing stays."""
    fields: dict[str, Any] = (
        {"exclusive": True} if kind == "exclusive" else {"unique_key": "k", "unique_until": None}
    )
    (holder,) = await run(other, simple(**fields))
    jobs = [*(simple(name="another") for _ in range(count - 1)), simple(**fields)]
    with pytest.raises(JobConflictError, match="roll the transaction back"):
        async with caller.transaction() as session:
            await caller.store.intake.insert_in(session, jobs)
    assert await read(other, holder, *jobs) == [holder, *[None] * count]


async def test_what_is_no_session_is_refused(caller: Caller, other: Store) -> None:
    """With an error that names the argument; nothing is stored."""
    job = simple()
    for wrong in ("mine", object(), None):
        with pytest.raises(InvalidArgumentError, match="session"):
            await caller.store.intake.insert_in(wrong, [job])
    assert await read(other, job) == [None]


async def test_all_that_a_job_can_have_is_kept(caller: Caller, other: Store) -> None:
    """As an insert of ours keeps it."""
    job = simple(
        payload={"a": [1, None, NOW, b"x"]},
        priority=7,
        exclusive=True,
        unique_key="k",
        expires_at=NOW,
        status=JobStatus.PENDING,
    )
    async with caller.transaction() as session:
        await caller.store.intake.insert_in(session, [job])
    assert await read(other, job) == [job]


async def test_whoever_waits_hears_of_the_commit(caller: Caller, other: Store) -> None:
    """The hint comes after it, so that a claim finds what it is about."""
    heard = Listener()
    forget = other.subscribe(heard)
    await other.ping()
    async with asyncio.timeout(WAIT):
        while True:  # a change stream takes a moment to begin
            async with caller.transaction() as session:
                await caller.store.intake.insert_in(session, [simple()])
            try:
                async with asyncio.timeout(1):
                    await heard.hears(Hint.WORK)
            except TimeoutError:
                continue
            break
    assert await other.queue.claim(claim())
    forget()
