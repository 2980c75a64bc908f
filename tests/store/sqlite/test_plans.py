"""What SQLite plans for the statements that run all the time, or over all of the history."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from job_processor.models import JobStatus, Notes
from job_processor.store.requests import JobQuery
from job_processor.store.sqlite import SqliteStore
from tests.samples import NOW, WORKER, claim, end, occurrence, settled, simple
from tests.store.sqlite.recording import Recorder, plan_of

BY_ID = "sqlite_autoindex_job_processor_jobs_1"
BY_ROW = "the row itself"
DUE, HISTORY, RUNNING, ENDED, EXCLUSIVE = (
    f"job_processor_jobs_{name}" for name in ("due", "history", "running", "ended", "exclusive")
)
OPEN_KILLS = "job_processor_signals_open"
UNIQUE_KEY = "job_processor_jobs_unique_key"

Verb = Callable[[SqliteStore], Awaitable[Any]]


async def claim_and_settle(store: SqliteStore) -> None:
    runs = await store.claim(claim(1))
    Recorder.statements.clear()
    await store.settle([end(run) for run in runs])


async def settle_again(store: SqliteStore) -> None:
    runs = await store.claim(claim(1))
    await store.settle([end(run) for run in runs])
    Recorder.statements.clear()
    await store.settle([end(run) for run in runs])


async def claim_by_priority(store: SqliteStore) -> None:
    await store.insert(
        [simple(name, priority=i % 10) for i in range(30) for name in ("resize", "mail")]
    )
    Recorder.statements.clear()
    taken = await store.claim(claim(20, "resize", "mail"))
    assert {run.priority for run in taken} == {6, 7, 8, 9}


async def insert_into_conflict(store: SqliteStore) -> None:
    await store.insert([simple("alone", exclusive=True)])
    Recorder.statements.clear()
    assert len(await store.insert([simple("alone", exclusive=True)])) == 1


VERBS: dict[str, tuple[Verb, set[str]]] = {
    "claim": (lambda s: s.claim(claim(2, "resize")), {DUE, BY_ROW}),
    "claim of several names": (
        lambda s: s.claim(claim(2, "resize", "mail", "none")),
        {DUE, BY_ROW},
    ),
    "claim of several priorities": (claim_by_priority, {DUE, BY_ROW}),
    "claim of the overdue": (
        lambda s: s.claim(claim(10, "resize", "mail", overdue_since=NOW)),
        {DUE, BY_ROW},
    ),
    "claim without some": (
        lambda s: s.claim(claim(10, "resize", "mail", exclude=frozenset({ObjectId()}))),
        {DUE, BY_ROW},
    ),
    "next_due": (lambda s: s.next_due(("resize", "mail")), {DUE}),
    "queue": (lambda s: s.queue(NOW, 10), {DUE, BY_ROW}),
    "find_summaries": (
        lambda s: s.find_summaries(JobQuery(name="resize")),
        {HISTORY, RUNNING, BY_ID},
    ),
    "summaries_of_runs": (lambda s: s.summaries_of_runs(WORKER, 10), {RUNNING, BY_ROW}),
    "find the latest": (
        lambda s: s.latest([("simple", "resize")], 10),
        {HISTORY, RUNNING, BY_ID},
    ),
    "settle": (claim_and_settle, {BY_ID}),
    "settle again": (settle_again, {BY_ID}),
    "insert into conflict": (insert_into_conflict, {BY_ID}),
    "runs_of": (lambda s: s.runs_of(WORKER, 10), {RUNNING}),
    "move_runs": (lambda s: s.move_runs(WORKER, WORKER), {RUNNING}),
    "running_worker_ids": (lambda s: s.running_worker_ids(), {RUNNING}),
    "get": (lambda s: s.get(ObjectId()), {BY_ID}),
    "get_many": (lambda s: s.get_many([ObjectId(), ObjectId()]), {BY_ID}),
    "find": (lambda s: s.find(JobQuery()), {BY_ID}),
    "find by name": (lambda s: s.find(JobQuery(name="resize")), {HISTORY, RUNNING, BY_ID}),
    "find by state": (
        lambda s: s.find(JobQuery(status=JobStatus.FINISHED)),
        {HISTORY, BY_ID},
    ),
    "find running": (
        lambda s: s.find(JobQuery(status=JobStatus.RUNNING)),
        {RUNNING, BY_ID},
    ),
    "find by all": (
        lambda s: s.find(JobQuery(name="resize", type="simple", status=JobStatus.FINISHED)),
        {HISTORY, BY_ID},
    ),
    "find_active": (
        lambda s: s.find_active("simple", "resize"),
        {EXCLUSIVE, HISTORY, RUNNING, BY_ID},
    ),
    "names": (lambda s: s.names(100), {HISTORY, RUNNING}),
    "count": (lambda s: s.count([("simple", "resize")], 100), {HISTORY, RUNNING}),
    "find between, the oldest first": (
        lambda s: s.find(JobQuery(name="resize", oldest_first=True, above=ObjectId(bytes(12)))),
        {HISTORY, RUNNING, BY_ID},
    ),
    "find by error": (
        lambda s: s.find(JobQuery(name="resize", error="x")),
        {HISTORY, RUNNING, BY_ROW},
    ),
    "count_matching": (lambda s: s.count_matching(JobQuery(name="resize"), 9), {HISTORY, RUNNING}),
    "find_holder": (lambda s: s.find_holder("resize", "key"), {UNIQUE_KEY}),
    "release_key": (lambda s: s.release_key(simple("resize", unique_key="key")), {BY_ID}),
    "replace": (lambda s: s.replace(simple("resize", unique_key="key"), simple("resize")), {BY_ID}),
    "save_notes": (
        lambda s: s.save_notes([(simple("resize", worker_id=WORKER), Notes())]),
        {BY_ID},
    ),
    "save_state": (lambda s: s.save_state(simple("resize", worker_id=WORKER), 1), {BY_ID}),
    "state": (lambda s: s.state(ObjectId()), {BY_ID}),
    "delete": (lambda s: s.delete([ObjectId()]), {BY_ID}),
    "requeue": (lambda s: s.requeue(ObjectId(), NOW), {BY_ID}),
    "kill_waiting": (lambda s: s.kill_waiting(ObjectId(), NOW), {BY_ID}),
    "kill_requests": (lambda s: s.kill_requests([ObjectId()]), {OPEN_KILLS}),
    "acknowledge_kills": (lambda s: s.acknowledge_kills([ObjectId()]), {OPEN_KILLS, BY_ID}),
    "remove_occurrences": (lambda s: s.remove_occurrences("tick", NOW, ()), {HISTORY}),
    "skip_waiting": (lambda s: s.skip_waiting("tick", NOW), {HISTORY}),
    "states_of": (lambda s: s.states_of([ObjectId()]), {BY_ID}),
    "prune": (lambda s: s.prune(NOW, 10), {ENDED, BY_ROW, BY_ID}),
}


@pytest.fixture
async def recorded(
    monkeypatch: pytest.MonkeyPatch, open_store: Callable[..., Any]
) -> AsyncIterator[SqliteStore]:
    """A store with some of everything, whose connections remember their statements."""
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Recorder))
    store: SqliteStore = await open_store()
    await store.insert([simple(name) for name in ("resize", "mail", "old") for _ in range(20)])
    await store.insert(
        [simple("resize", due_in=60), occurrence(due_in=60), *(settled() for _ in range(50))]
    )
    runs = await store.claim(claim(10, "old"))
    await store.request_kill(runs[0].id, WORKER, NOW)
    Recorder.statements.clear()
    yield store
    Recorder.statements.clear()


@pytest.mark.parametrize("verb", VERBS)
async def test_a_verb_uses_the_index_that_was_made_for_it(
    recorded: SqliteStore, path: Path, verb: str
) -> None:
    """No statement walks through the jobs, even where an application ran ANALYZE on its file."""
    call, wanted = VERBS[verb]
    await call(recorded)
    statements = list(Recorder.statements)
    with closing(sqlite3.connect(path)) as connection:
        assert_good(verb, statements, connection, wanted)
        connection.execute("ANALYZE")
        assert_good(verb, statements, connection, wanted)


def assert_good(
    verb: str,
    statements: Sequence[tuple[str, Any]],
    connection: sqlite3.Connection,
    wanted: set[str],
) -> None:
    steps = [step for sql, values in statements for step in plan_of(connection, sql, values)]
    assert {used for step in steps for used in used_by(step)} == wanted
    walks = [step for step in steps if re.match(r"SCAN (job\b|job_processor_jobs\b)", step)]
    assert [walk for walk in walks if RUNNING not in walk] == []  # running jobs are few
    sorts = [step for step in steps if "TEMP B-TREE" in step]
    assert not sorts or verb.startswith(("find", "names", "count")), sorts  # the running ones


def used_by(step: str) -> list[str]:
    """Return the indexes of ours that a step uses."""
    if "INTEGER PRIMARY KEY" in step:
        return [BY_ROW]
    return re.findall(r"INDEX ((?:sqlite_autoindex_)?job_processor_(?:jobs|signals)\w*)", step)


async def test_a_claim_of_nothing_is_one_statement_that_writes_nothing(
    recorded: SqliteStore, path: Path
) -> None:
    """An idle worker's look at the queue takes no write lock."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        Recorder.statements.clear()
        assert await recorded.claim(claim(10, "none")) == []
        assert len(Recorder.statements) == 1
        connection.execute("ROLLBACK")
