"""Searches that no index answers: one budget for all of them, and an end with who asked."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from bson import ObjectId
from pymongo.asynchronous.collection import AsyncCollection

from job_processor.models import JobStatus, Output, SimpleJob
from job_processor.settings import LOOK_SECONDS, Settings
from job_processor.store import Store
from job_processor.store.mongo import selections as mongo
from job_processor.store.opening import open_store
from job_processor.store.requests import JobQuery
from job_processor.store.sqlite import walks as sqlite
from job_processor.store.sqlite.store import SqliteStore
from tests.processors import WAIT
from tests.samples import NOW, SECOND, simple
from tests.store.dictionaries import history as dictionaries

BUDGET = 30
NAMES = [f"name{n:03}" for n in range(100)]


def failed(name: str, error: str = "ValueError: no") -> SimpleJob:
    """Return a job that has failed."""
    return simple(
        name=name,
        status=JobStatus.ERRORED,
        ended_at=NOW + SECOND,
        output=Output("1 second", error=error),
    )


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch) -> int:
    """How many jobs a search may look at, for the time of the test."""
    monkeypatch.setattr(sqlite, "LOOK_THROUGH", BUDGET)
    monkeypatch.setattr(mongo, "LOOK_THROUGH", BUDGET)
    monkeypatch.setattr(dictionaries, "LOOK_THROUGH", BUDGET)
    return BUDGET


@pytest.mark.parametrize(
    "selection",
    [{}, {"status": JobStatus.ERRORED}, {"names": tuple(NAMES)}, {"type": "simple"}],
    ids=["all", "state", "names", "type"],
)
async def test_all_statements_of_a_search_have_one_budget(
    store: Store, budget: int, selection: dict[str, Any]
) -> None:
    """However many names there are, the first jobs of the whole selection are looked at, no more.

    The last one within the budget is found, the first one beyond it is not; from both ends.
    """
    jobs = [failed(NAMES[n % 100]) for n in range(200)]
    marked = {budget - 1: "inside", budget: "outside"}
    for place, text in marked.items():
        jobs[-1 - place] = failed(NAMES[place], text)
        jobs[place] = failed(NAMES[place], text)
    jobs = [SimpleJob(**{**vars(job), "id": ObjectId()}) for job in jobs]
    await store.intake.insert(jobs)
    for oldest_first in (False, True):
        for text, expected in (("inside", 1), ("outside", 0), ("ValueError", budget - 1)):
            query = JobQuery(error=text, limit=500, oldest_first=oldest_first, **selection)
            found = await store.history.find(query)
            assert len(found) == expected, (text, oldest_first)
            assert [each.id for each in await store.history.summaries(query)] == [
                job.id for job in found
            ]
            assert await store.history.count_matching(query, 500) == expected
            ids = [job.id for job in found]
            assert ids == sorted(ids, reverse=not oldest_first)
            last = jobs[budget - 1] if oldest_first else jobs[-budget]
            assert await store.history.reach(query) == last.id


async def test_a_search_that_has_seen_all_says_so(store: Store, budget: int) -> None:
    """It reaches no job where nothing is left behind the last one that it looks at."""
    jobs = [failed("resize") for _ in range(budget + 1)]
    await store.intake.insert(jobs)
    query = JobQuery(error="x", status=JobStatus.ERRORED)
    assert await store.history.reach(query) == jobs[1].id
    assert await store.history.reach(replace(query, after=jobs[-1].id)) is None
    assert await store.history.reach(replace(query, name="other")) is None


async def test_a_search_stops_at_its_limit(store: Store, budget: int) -> None:
    """What was asked for is returned, in order, and the count stops at its cap."""
    jobs = [failed("resize") for _ in range(20)]
    await store.intake.insert(jobs)
    found = await store.history.find(JobQuery(error="no", limit=3))
    assert [job.id for job in found] == [job.id for job in jobs[:-4:-1]]
    assert await store.history.count_matching(JobQuery(error="no"), 7) == 7


async def test_who_leaves_takes_a_search_with_them(sqlite_db_url: str, tmp_path: Any) -> None:
    """A statement that is given up is interrupted, and one that has not begun never begins."""
    store = SqliteStore(tmp_path / "jobs.db")
    await store.setup()
    begun: list[str] = []
    has_begun, loop = asyncio.Event(), asyncio.get_running_loop()
    endless = "WITH RECURSIVE n(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM n) SELECT max(n) FROM n"

    def search(connection: Any, name: str) -> None:
        begun.append(name)
        loop.call_soon_threadsafe(has_begun.set)
        connection.execute(endless if name == "endless" else "SELECT 1").fetchall()

    try:
        running = asyncio.ensure_future(store._connections.pages.read(search, "endless"))
        async with asyncio.timeout(WAIT):
            await has_begun.wait()
            waiting = asyncio.ensure_future(store._connections.pages.read(search, "given up"))
            next_one = asyncio.ensure_future(store._connections.pages.read(search, "wanted"))
            waiting.cancel()
            running.cancel()
            await next_one
        assert begun == ["endless", "wanted"]
    finally:
        await store.close()


async def test_a_search_delays_nobody_who_waits_for_a_job(tmp_path: Any) -> None:
    """Single jobs, lists and searches are read by connections of their own."""
    store = SqliteStore(tmp_path / "jobs.db")
    await store.setup()
    stand_still = asyncio.Event()
    loop = asyncio.get_running_loop()
    job = simple()
    await store.intake.insert([job])

    def hold(connection: Any) -> None:
        loop.call_soon_threadsafe(stand_still.set)
        connection.execute(
            "WITH RECURSIVE n(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM n) SELECT max(n) FROM n"
        ).fetchall()

    held = []
    try:
        for database in (store._connections.pages, *store._connections.searchers):
            stand_still.clear()
            held.append(asyncio.ensure_future(database.read(hold)))
            async with asyncio.timeout(WAIT):
                await stand_still.wait()
        async with asyncio.timeout(WAIT):
            assert await store.history.get(job.id) == job
            assert (await store.workers.vitals()).due_since == NOW
            assert await store.intake.insert([simple()]) == []
    finally:
        for each in held:
            each.cancel()
        await store.close()


async def test_a_search_of_mongodb_has_an_end(
    mongo_db_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its statements says after which time the server is to give it up."""
    store = open_store(mongo_db_url, Settings())
    await store.setup()
    given: list[Any] = []
    aggregate = AsyncCollection.aggregate_raw_batches

    async def noted(self: Any, pipeline: Any, *rest: Any, **options: Any) -> Any:
        given.append(options.get("maxTimeMS"))
        return await aggregate(self, pipeline, *rest, **options)

    monkeypatch.setattr(AsyncCollection, "aggregate_raw_batches", noted)
    try:
        query = JobQuery(error="x")
        await store.history.find(query)
        await store.history.summaries(query)
        await store.history.count_matching(query, 10)
    finally:
        await store.close()
    assert given == [LOOK_SECONDS * 1000] * 3
