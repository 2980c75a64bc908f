"""Statements name the index that they are to walk, and do without where somebody dropped it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job_processor.models import JobStatus
from job_processor.settings import CLAIM_NAMES
from job_processor.store.contention import Contention
from job_processor.store.mongo import MongoStore
from job_processor.store.mongo import queue as mongo_queue
from job_processor.store.mongo.indexes import CLAIM
from job_processor.store.mongo.selections import walks
from job_processor.store.requests import JobQuery
from tests.samples import NOW, SOON, claim, simple
from tests.store.mongo.conftest import Commands, Database

pytestmark = pytest.mark.mongo

JOBS = "job_processor.jobs"
BY_TIME = ["type", "name", "status", "scheduled_for"]
OVERDUE = replace(claim(1), overdue_since=NOW + timedelta(minutes=1))
MANY = tuple(f"name_{number:03}" for number in range(70))


def hints(commands: Commands) -> list[Sequence[str]]:
    """Return the keys of the indexes that were named, in order."""
    every = [
        part
        for _, sent in commands.sent
        for part in (sent, *sent.get("updates", ()))
        if part.get("hint")
    ]
    return [list(part["hint"]) for part in every]


async def test_each_statement_names_its_index(
    watched_store: MongoStore, commands: Commands
) -> None:
    """A claim its own, that of the overdue and the next due time the one by time, an update _id."""
    await watched_store.intake.insert([simple() for _ in range(3)])
    commands.sent.clear()
    assert len(await watched_store.queue.claim(claim(2))) == 2
    assert hints(commands) == [["name", "status", "priority", "scheduled_for"], ["_id"]]
    commands.sent.clear()
    assert len(await watched_store.queue.claim(OVERDUE)) == 1
    await watched_store.queue.next_due(["resize"])
    assert hints(commands) == [BY_TIME, BY_TIME]
    commands.sent.clear()
    await watched_store.history.find(JobQuery(name="resize"))
    await watched_store.history.find(JobQuery(status=JobStatus.RUNNING))
    assert hints(commands) == [["name", "status", "_id"], ["type", "status", "_id"]]


async def test_an_index_that_somebody_made_again_is_named_after_a_while(
    watched_store: MongoStore,
    database: Database,
    commands: Commands,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another process may have made it, or was making it when it was missed."""
    monkeypatch.setattr("job_processor.store.mongo.hinting._GONE_FOR", -1.0)
    await watched_store.intake.insert([simple() for _ in range(2)])
    await database[JOBS].drop_index("claim")
    assert len(await watched_store.queue.claim(claim(1))) == 1
    await database.command("createIndexes", JOBS, indexes=[CLAIM.document])
    commands.sent.clear()
    assert len(await watched_store.queue.claim(claim(1))) == 1
    assert hints(commands) == [[key for key, _ in CLAIM.keys]]


@pytest.mark.parametrize("index", ["claim", "_".join(f"{key}_1" for key in BY_TIME)])
async def test_an_index_that_is_gone_costs_time_and_no_job(
    store: MongoStore, database: Database, caplog: pytest.LogCaptureFixture, index: str
) -> None:
    """Claims, looks ahead and pages go on, with one warning, until `setup()` has made it again."""
    await store.intake.insert([simple() for _ in range(4)])
    await database[JOBS].drop_index(index)
    for _ in range(2):
        assert len(await store.queue.claim(claim(1))) == 1
        assert len(await store.queue.claim(OVERDUE)) == 1
        assert await store.queue.next_due(["resize"]) == (NOW if _ == 0 else None)
    assert caplog.text.count(f"the index {index!r} of {JOBS} is gone") == 1
    await store.setup()
    await database[JOBS].drop_index(index)
    await store.queue.claim(claim(1))
    await store.queue.next_due(["resize"])
    assert caplog.text.count("is gone") == 2


async def test_a_page_without_its_index_is_a_page(store: MongoStore, database: Database) -> None:
    """What is found is the same."""
    jobs = [simple() for _ in range(3)]
    await store.intake.insert(jobs)
    for index in ("newest_by_name", "newest_by_type"):
        await database[JOBS].drop_index(index)
    for query in (JobQuery(), JobQuery(name="resize")):
        assert await store.history.find(query) == jobs[::-1]


# --- pages of many names ------------------------------------------------------------------------


@pytest.mark.parametrize("oldest_first", [False, True])
@pytest.mark.parametrize("status", [None, JobStatus.PENDING])
async def test_a_page_of_many_names_is_merged(
    watched_store: MongoStore, commands: Commands, *, oldest_first: bool, status: JobStatus | None
) -> None:
    """No statement has more than 200 pairs of name and state, and the pages are those of all."""
    jobs = [simple(name=name) for _ in range(3) for name in MANY]
    await watched_store.intake.insert(jobs)
    commands.sent.clear()
    query = JobQuery(names=MANY, limit=50, oldest_first=oldest_first, status=status)
    pages, last = [], await watched_store.history.find(query)
    while last:
        pages.append(last)
        at = last[-1].id
        rest = replace(query, above=at) if oldest_first else replace(query, after=at)
        last = await watched_store.history.find(rest)
    assert [job for page in pages for job in page] == (jobs if oldest_first else jobs[::-1])
    assert [len(page) for page in pages] == [50, 50, 50, 50, 10]
    for name, sent in commands.sent:
        assert name == "find"
        states = 1 if status else len(sent["filter"]["status"]["$in"])
        assert len(sent["filter"]["name"]["$in"]) * states <= 200


@given(count=st.integers(0, 500), status=st.sampled_from([None, JobStatus.FINISHED]))
def test_the_groups_of_names_are_all_of_them(count: int, status: JobStatus | None) -> None:
    """Each name is in one group, in order, and no group is of more walks than MongoDB merges."""
    names = tuple(map(str, range(count)))
    groups = [group.names or () for group in walks(JobQuery(names=names, status=status))]
    assert tuple(name for group in groups for name in group) == names
    assert all(0 < len(group) * (1 if status else 7) <= 200 for group in groups)


# --- urgency ------------------------------------------------------------------------------------


async def test_lost_candidates_make_nobody_pass_over_what_is_urgent(store: MongoStore) -> None:
    """However far a claim spreads, it takes the urgent jobs first."""
    urgent = [simple(priority=9) for _ in range(CLAIM_NAMES // 5)]
    await store.intake.insert([*[simple() for _ in range(100)], *urgent])
    queue: Any = store.queue
    queue._spread = 8  # what some claims in a row that lost a candidate lead to
    taken = await store.queue.claim(claim(len(urgent), now=SOON))
    assert {job.id for job in taken} == {job.id for job in urgent}


async def losing_once(store: MongoStore, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return what a claim brings whose first candidates were all taken by another one."""
    await store.intake.insert([simple() for _ in range(2)])
    queue: Any = store.queue
    candidates, lost = queue._candidates, [[simple().id, simple().id]]

    async def read(*arguments: Any) -> Any:
        return lost.pop() if lost else await candidates(*arguments)

    monkeypatch.setattr(queue, "_candidates", read)
    return [job.id for job in await store.queue.claim(claim(2, now=SOON))]


async def test_a_claim_that_lost_all_its_candidates_is_made_again(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, so that an idle worker does not pause before work that is there."""
    assert len(await losing_once(store, monkeypatch)) == 2


async def test_the_switch_leaves_it_at_one_claim(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the second one the worker hears of nothing, and asks again later."""
    monkeypatch.setattr(mongo_queue, "ON", replace(Contention(), tries=False))
    assert await losing_once(store, monkeypatch) == []


async def test_a_claim_that_lost_some_reads_more_the_next_time(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice as many after each, so that those who claim together choose apart; then fewer again."""
    await store.intake.insert([simple() for _ in range(30)])
    queue: Any = store.queue
    candidates, spreads = queue._candidates, list[int]()
    loses = True

    async def read(*arguments: Any) -> Any:
        spreads.append(queue._spread)
        found = await candidates(*arguments)
        return [*found[:-1], simple().id] if loses else found

    monkeypatch.setattr(queue, "_candidates", read)
    for _ in range(3):
        await store.queue.claim(claim(3, now=SOON))
    loses = False
    for _ in range(3):
        await store.queue.claim(claim(3, now=SOON))
    assert spreads == [1, 2, 4, 8, 4, 2]
