"""What the server plans for the statements of a busy worker.

The server that comes with the tests names the index that it takes, but sorts in memory where
MongoDB merges the scans of an index; so the rest is judged on a real server only.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from job_processor.settings import CLAIM_NAMES
from job_processor.store.mongo import MongoStore
from job_processor.store.mongo.indexes import BY_TIME, NEWEST_BY_NAME, NEWEST_BY_TYPE
from job_processor.store.requests import JobQuery
from tests.mongo_server import EXTERNAL_URL_VARIABLE
from tests.samples import NOW, SOON, WORKER, claim, cron, end, occurrence, simple
from tests.store.mongo.conftest import Commands, Database

pytestmark = pytest.mark.mongo

NAMES = [f"work_{number}" for number in range(CLAIM_NAMES)]
IS_REAL = EXTERNAL_URL_VARIABLE in os.environ
PLANNED = {"find", "findAndModify", "update", "aggregate"}
NOT_EXPLAINED = ("lsid", "txnNumber", "$db", "$clusterTime", "$readPreference", "writeConcern")


class Plan:
    """What the server would do, or did, for a command."""

    def __init__(self, command: dict[str, Any], answer: dict[str, Any]) -> None:
        self.command = command
        if "stages" in answer:  # of a pipeline: what reads comes first
            answer = answer["stages"][0]["$cursor"]
        self.is_of_jobs = next(iter(command.values())) == "job_processor.jobs"
        self.stages = set(_values(answer["queryPlanner"]["winningPlan"], "stage"))
        self.indexes = set(_values(answer["queryPlanner"]["winningPlan"], "indexName"))
        self.keys = answer["executionStats"]["totalKeysExamined"]
        self.documents = answer["executionStats"]["totalDocsExamined"]


async def plans(database: Database, commands: Commands) -> list[Plan]:
    """Ask the server to explain each command that the store has sent."""
    answers = []
    for name, sent in list(commands.sent):
        if name in PLANNED:
            command = {key: value for key, value in sent.items() if key not in NOT_EXPLAINED}
            if name == "update":  # no more than one can be explained at a time
                command["updates"] = sent["updates"][:1]
            explain = {"explain": command, "verbosity": "executionStats"}
            answers.append(Plan(command, await database.command(explain)))
    return answers


@pytest.fixture
async def backlog(store: MongoStore) -> None:
    """Jobs that wait, that are due later, that are of other names, and that have ended.

    Many of them on a real server, which tells how many it looks at.
    """
    others, urgencies = (CLAIM_NAMES, 4) if IS_REAL else (5, 2)
    await store.intake.insert(
        [
            simple(name=name, scheduled_for=moment, priority=urgency % 3)
            for name in (*NAMES, *(f"other_{number}" for number in range(others)))
            for moment in (NOW, SOON)
            for urgency in range(urgencies)
        ]
    )
    ended = await store.queue.claim(claim(25 * urgencies, *NAMES, now=NOW))
    await store.runs.settle([end(job) for job in ended])


@pytest.mark.usefixtures("backlog")
@pytest.mark.parametrize("limit", [1, 10])
async def test_a_claim_walks_the_index_that_is_made_for_it(
    watched_store: MongoStore, database: Database, commands: Commands, limit: int
) -> None:
    """It reads the head of each name, sorts nothing, and looks at no document that it leaves."""
    taken = await watched_store.queue.claim(claim(limit, *NAMES, now=NOW))
    assert len(taken) == limit
    head, *_ = await plans(database, commands)
    assert head.indexes == {"claim"}
    if IS_REAL:
        assert not head.stages & {"SORT", "COLLSCAN"}
        assert head.documents <= limit
        # Two states of each name, the key that ends each walk included, and the one that the merge
        # of the walks has read ahead of each.
        walks = 2 * CLAIM_NAMES
        assert head.keys <= 2 * walks + limit + walks


@pytest.mark.skipif(not IS_REAL, reason=f"needs a real server: {EXTERNAL_URL_VARIABLE}")
@pytest.mark.usefixtures("backlog")
async def test_nothing_reads_the_whole_collection(
    watched_store: MongoStore, database: Database, commands: Commands
) -> None:
    """Not what a worker does all the time: claims, settlements, looks ahead and at its own runs."""
    runs = await watched_store.queue.claim(claim(10, *NAMES, now=NOW))
    await watched_store.runs.settle([end(run) for run in runs])
    await watched_store.queue.next_due(NAMES)
    await watched_store.runs.of_worker(WORKER, 10)
    await watched_store.history.find_active("simple", NAMES[0])
    await watched_store.kills.requested([run.id for run in runs])
    found = await plans(database, commands)
    assert len(found) >= 7
    for plan in found:
        assert "COLLSCAN" not in plan.stages, plan.command
        assert plan.indexes or plan.stages & {"IDHACK", "EOF"}, plan.command


@pytest.mark.usefixtures("backlog")
async def test_statements_take_the_index_that_they_name(
    watched_store: MongoStore, database: Database, commands: Commands
) -> None:
    """The overdue, the next due time, pages of names and of all, and one job by its id."""
    job = simple(name="rare")
    await watched_store.intake.insert([job])
    for call, index in (
        (watched_store.queue.claim(replace(claim(1, *NAMES), overdue_since=NOW)), BY_TIME.name),
        (watched_store.queue.next_due(NAMES), BY_TIME.name),
        (watched_store.history.find(JobQuery(name="rare")), NEWEST_BY_NAME.name),
        (watched_store.history.find(JobQuery(names=tuple(NAMES[:20]))), NEWEST_BY_NAME.name),
        (watched_store.history.find(JobQuery()), NEWEST_BY_TYPE.name),
        (watched_store.history.get(job.id), "_id_"),
    ):
        commands.sent.clear()
        await call
        (plan, *_) = await plans(database, commands)
        if IS_REAL:
            assert not plan.stages & {"SORT", "COLLSCAN"}, plan.command
            assert plan.indexes == {index} or (index == "_id_" and "IDHACK" in plan.stages)
        else:
            assert plan.indexes <= {index}, plan.command


@pytest.mark.usefixtures("backlog")
async def test_what_people_and_schedulers_ask_needs_no_index_of_node(
    watched_store: MongoStore, database: Database, commands: Commands
) -> None:
    """Counts, names, crons, the queue and its age walk indexes that are there without Node."""
    await watched_store.crons.create(cron())
    await watched_store.intake.insert([occurrence()])
    calls: list[Awaitable[object]] = [
        watched_store.history.count([("simple", name) for name in NAMES[:3]], 100),
        watched_store.history.count_matching(JobQuery(type="simple", name=NAMES[0]), 100),
        watched_store.history.names(1000),
        watched_store.crons.all(),
    ]
    if IS_REAL:
        calls += [
            watched_store.queue.due(NOW, 10),
            watched_store.workers.vitals(),
            watched_store.crons.remove_occurrences("nightly", NOW, ()),
            watched_store.crons.skip_waiting("nightly", NOW),
            watched_store.runs.workers(),
        ]
    for call in calls:
        commands.sent.clear()
        await call
        of_jobs = [plan for plan in await plans(database, commands) if plan.is_of_jobs]
        assert of_jobs
        for plan in of_jobs:
            assert "COLLSCAN" not in plan.stages, plan.command
            assert plan.indexes or "EOF" in plan.stages, plan.command


@pytest.mark.skipif(not IS_REAL, reason=f"needs a real server: {EXTERNAL_URL_VARIABLE}")
@pytest.mark.usefixtures("backlog")
async def test_names_are_told_by_jumps(
    watched_store: MongoStore, database: Database, commands: Commands
) -> None:
    """From one name to the next in an index, however many jobs a name has."""
    await watched_store.history.names(1000)
    for plan in await plans(database, commands):
        assert "DISTINCT_SCAN" in plan.stages, plan.command


@pytest.mark.usefixtures("backlog")
async def test_candidates_are_taken_by_their_ids(
    watched_store: MongoStore, database: Database, commands: Commands
) -> None:
    """The claim of many looks at its candidates and at no other job."""
    taken = await watched_store.queue.claim(claim(10, *NAMES, now=NOW))
    assert len(taken) == 10
    _, update, _ = await plans(database, commands)
    assert update.indexes <= {"_id_"}
    if IS_REAL:
        assert update.documents <= 10


def _values(node: object, key: str) -> Iterator[Any]:
    """Give each value of a key in a tree."""
    if isinstance(node, dict):
        if key in node:
            yield node[key]
        for each in node.values():
            yield from _values(each, key)
    elif isinstance(node, list):
        for each in node:
            yield from _values(each, key)
