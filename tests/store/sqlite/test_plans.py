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

from job_processor.models import JobStatus, Notes, OnFailure, Step
from job_processor.store.lanes import EVERYWHERE, Bounds, LaneClaim, LimitBook
from job_processor.store.rates import Pace
from job_processor.store.requests import JobQuery
from job_processor.store.sqlite import SqliteStore
from job_processor.store.tokens import KeyedRate, RateBook
from job_processor.store.waits import End, job_tag
from tests.samples import NOW, SOON, WORKER, claim, end, occurrence, settled, simple
from tests.store.contract.test_waits import after
from tests.store.sqlite.plans_of_free import OF_FREE
from tests.store.sqlite.plans_of_groups import OF_GROUPS
from tests.store.sqlite.recording import Recorder, plan_of

BY_ID = "sqlite_autoindex_job_processor_jobs_1"
BY_ROW = "the row itself"
DUE, HISTORY, RUNNING, ENDED, EXCLUSIVE = (
    f"job_processor_jobs_{name}" for name in ("due", "history", "running", "ended", "exclusive")
)
LINE, LANE, SLOTS, PARKED, EXPIRING, OF_LANE, RATE_LANE = (
    f"job_processor_jobs_{name}"
    for name in ("line", "lane", "slots", "parked", "expiring", "lane_history", "rate_lane")
)
OPEN_WAITS, WAITS_OF = "job_processor_waits_open", "job_processor_waits_job"
BY_TAG = "sqlite_autoindex_job_processor_waits_1"
BY_LABEL = "sqlite_autoindex_job_processor_labels_1"
LABELS_OF = "job_processor_labels_job"
OPEN_KILLS = "job_processor_signals_open"
UNIQUE_KEY = "job_processor_jobs_unique_key"

Verb = Callable[[SqliteStore], Awaitable[Any]]


async def claim_and_settle(store: SqliteStore) -> None:
    runs = await store.queue.claim(claim(1))
    Recorder.statements.clear()
    await store.runs.settle([end(run) for run in runs])


async def settle_again(store: SqliteStore) -> None:
    runs = await store.queue.claim(claim(1))
    await store.runs.settle([end(run) for run in runs])
    Recorder.statements.clear()
    await store.runs.settle([end(run) for run in runs])


async def claim_by_priority(store: SqliteStore) -> None:
    await store.intake.insert(
        [simple(name, priority=i % 10) for i in range(30) for name in ("resize", "mail")]
    )
    Recorder.statements.clear()
    taken = await store.queue.claim(claim(20, "resize", "mail"))
    assert {run.priority for run in taken} == {6, 7, 8, 9}


async def insert_into_conflict(store: SqliteStore) -> None:
    await store.intake.insert([simple("alone", exclusive=True)])
    Recorder.statements.clear()
    assert len(await store.intake.insert([simple("alone", exclusive=True)])) == 1


def of_lanes(*names: str, limit: int = 10) -> LaneClaim:
    return LaneClaim(WORKER, names, limit, SOON)


async def with_lanes(store: SqliteStore, ordered: OnFailure | None = None) -> None:
    """Put jobs into lanes, and forget what that took."""
    store.lanes.book = LimitBook(lambda: {"sync": 1}, lambda: ["sync"], lambda: SOON)
    await store.intake.insert(
        [simple("sync", lane=f"sync:{n % 4}", ordered=ordered) for n in range(20)]
    )
    Recorder.statements.clear()


async def claim_of_lanes(store: SqliteStore, ordered: OnFailure | None = None) -> None:
    await with_lanes(store, ordered)
    assert len((await store.lanes.claim(of_lanes("sync", "none"))).jobs) == 4


async def hand_over(store: SqliteStore) -> None:
    await with_lanes(store)
    runs = (await store.lanes.claim(of_lanes("sync"))).jobs
    await store.lanes.claim(of_lanes("sync"))
    Recorder.statements.clear()
    assert len((await store.runs.settle([end(run) for run in runs])).won) == 4


async def with_rates(store: SqliteStore) -> None:
    """Put jobs into lanes of a rate, some of which have a date, and forget what that took."""
    rates = {"call": KeyedRate(Pace.of(1, 3600.0, 2, dates=True))}
    store.tokens.book = RateBook(lambda: rates, lambda: ["call"])
    await store.intake.insert([simple("call", rate_lane=f"call:{n % 4}") for n in range(20)])
    await store.lanes.claim(of_lanes("call", limit=3))
    Recorder.statements.clear()


async def claim_by_rate(store: SqliteStore) -> None:
    await with_rates(store)
    assert (await store.lanes.claim(of_lanes("call", "none"))).jobs


async def look_after_rates(store: SqliteStore) -> None:
    await with_rates(store)
    lanes = await store.tokens.waiting("", 3)
    await store.tokens.admit(lanes)
    await store.tokens.hasten(lanes[0], NOW)
    await store.tokens.recall("call", NOW, NOW)
    await store.tokens.withdraw(lanes, SOON, ["mail"])
    await store.tokens.dissolve(lanes, ["call"], 2)
    await store.tokens.lanes_of([ObjectId()])


async def look_at_lanes(store: SqliteStore, ordered: OnFailure | None = None) -> None:
    await with_lanes(store, ordered)
    lanes = await store.lanes.in_use([Bounds.of_keys("sync"), EVERYWHERE], 5)
    assert len(await store.lanes.look_at(lanes, 10)) == len(lanes) > 0
    await store.lanes.members(lanes[0], 3)
    await store.lanes.retract(lanes)


async def look_after_lanes(store: SqliteStore) -> None:
    await with_lanes(store)
    lanes = await store.lanes.waiting("", 3)
    await store.lanes.next_ready(["sync", "mail"], NOW)
    await store.lanes.withdraw(lanes, NOW, ["sync"])
    await store.lanes.dissolve(lanes, ["sync"], 2)


async def with_children(store: SqliteStore, count: int = 20) -> ObjectId:
    """Insert jobs that come after one of them; return its id."""
    parent = simple("parent", followed=True)
    await store.intake.insert([parent, *(after(parent) for _ in range(count))])
    Recorder.statements.clear()
    return parent.id


async def release(store: SqliteStore, *, well: bool) -> None:
    parent = await with_children(store)
    assert await store.waits.release([End(job_tag(parent), well, "failed")]) == 20


async def bring_back(store: SqliteStore) -> None:
    tag = job_tag(await with_children(store))
    await store.waits.release([End(tag, well=False, told="failed")])
    Recorder.statements.clear()
    assert len(await store.waits.bring_back(tag, NOW, 100)) == 20


async def delete_children(store: SqliteStore) -> None:
    parent = await with_children(store)
    children = await store.waits.followers(job_tag(parent), 100)
    Recorder.statements.clear()
    await store.history.delete(children)


async def find_by_labels(store: SqliteStore) -> None:
    """One, several, and together with another selection."""
    await store.intake.insert([simple("sync", labels=("a", "b")) for _ in range(20)])
    Recorder.statements.clear()
    assert len(await store.history.find(JobQuery(labels=("a",)))) == 20
    assert len(await store.history.find(JobQuery(labels=("a", "b"), name="sync"))) == 20
    assert await store.history.count_matching(JobQuery(labels=("b",)), 100) == 20


async def forget_labels(store: SqliteStore) -> None:
    """When a job gets others, and when it is gone."""
    holder = simple("resize", unique_key="key", labels=("a", "b"))
    await store.intake.insert([holder])
    Recorder.statements.clear()
    other = simple("resize", unique_key="key", labels=("b",))
    assert await store.intake.replace(holder, other) is not None
    assert await store.history.delete([holder.id])


VERBS: dict[str, tuple[Verb, set[str]]] = {
    **OF_GROUPS,
    **OF_FREE,
    "waits.follow": (lambda s: s.waits.follow([ObjectId()]), {BY_ID}),
    "waits.release": (partial(release, well=True), {OPEN_WAITS, BY_ID, BY_TAG}),
    "waits.release, failed": (partial(release, well=False), {OPEN_WAITS, BY_ID, BY_TAG}),
    "waits.waited_for": (lambda s: s.waits.waited_for("", 10), {OPEN_WAITS}),
    "waits.parents": (lambda s: s.waits.parents([ObjectId()]), {BY_ID}),
    "waits.followers": (lambda s: s.waits.followers("j:", 10), {BY_TAG}),
    "waits.bring_back": (bring_back, {BY_TAG, BY_ID, WAITS_OF}),
    "delete what comes after others": (delete_children, {BY_ID, WAITS_OF}),
    "queue.claim": (lambda s: s.queue.claim(claim(2, "resize")), {DUE, BY_ROW}),
    "claim of several names": (
        lambda s: s.queue.claim(claim(2, "resize", "mail", "none")),
        {DUE, BY_ROW},
    ),
    "claim of several priorities": (claim_by_priority, {DUE, BY_ROW}),
    "claim of the overdue": (
        lambda s: s.queue.claim(claim(10, "resize", "mail", overdue_since=NOW)),
        {DUE, BY_ROW},
    ),
    "claim without some": (
        lambda s: s.queue.claim(claim(10, "resize", "mail", exclude=frozenset({ObjectId()}))),
        {DUE, BY_ROW},
    ),
    "lanes.claim": (claim_of_lanes, {DUE, LINE, LANE, SLOTS, BY_ROW}),
    "claim of ordered lanes": (
        partial(claim_of_lanes, ordered="continue"),
        {DUE, LINE, LANE, SLOTS, BY_ROW},
    ),
    "lanes.hand_over": (hand_over, {LANE, SLOTS, BY_ROW, BY_ID}),
    "lanes.expire": (lambda s: s.lanes.expire(NOW, 10), {EXPIRING, BY_ROW}),
    "lanes, looked at": (look_at_lanes, {DUE, LANE, SLOTS, BY_ROW}),
    "lanes, looked after": (look_after_lanes, {DUE, LINE, LANE, SLOTS, BY_ROW}),
    "lanes.claim by a rate": (claim_by_rate, {DUE, LINE, RATE_LANE, BY_ROW}),
    "tokens": (look_after_rates, {RATE_LANE, BY_ROW, BY_ID}),
    "lanes.parked": (lambda s: s.lanes.parked(["resize"], 10), {PARKED}),
    "lanes.holding": (lambda s: s.lanes.holding([ObjectId()]), {BY_ID}),
    "lanes.park": (lambda s: s.lanes.park([ObjectId()], "token", NOW), {BY_ID}),
    "lanes.release": (lambda s: s.lanes.release([ObjectId()], NOW), {BY_ID}),
    "find by lane": (lambda s: s.history.find(JobQuery(lane="sync:1")), {OF_LANE}),
    "find by labels": (find_by_labels, {BY_LABEL, BY_ID}),
    "forget labels": (forget_labels, {BY_ID, LABELS_OF}),
    "queue.next_due": (lambda s: s.queue.next_due(("resize", "mail")), {DUE}),
    "queue.count_due": (
        lambda s: s.queue.count_due(["resize"], NOW, 10),
        {DUE, LINE},
    ),
    "queue.due": (lambda s: s.queue.due(NOW, 10), {DUE, LINE, BY_ROW}),
    "history.summaries": (
        lambda s: s.history.summaries(JobQuery(name="resize")),
        {HISTORY, RUNNING, BY_ROW},
    ),
    "runs.summaries": (lambda s: s.runs.summaries(WORKER, 10), {RUNNING, BY_ROW}),
    "find the latest": (
        lambda s: s.history.latest([("simple", "resize")], 10),
        {HISTORY, RUNNING, BY_ID},
    ),
    "runs.settle": (claim_and_settle, {BY_ID}),
    "settle again": (settle_again, {BY_ID}),
    "insert into conflict": (insert_into_conflict, {BY_ID}),
    "runs.of_worker": (lambda s: s.runs.of_worker(WORKER, 10), {RUNNING}),
    "runs.move": (lambda s: s.runs.move(WORKER, WORKER), {RUNNING}),
    "runs.workers": (lambda s: s.runs.workers(), {RUNNING}),
    "history.get": (lambda s: s.history.get(ObjectId()), {BY_ID}),
    "history.get_many": (lambda s: s.history.get_many([ObjectId(), ObjectId()]), {BY_ID}),
    "history.summaries_of": (lambda s: s.history.summaries_of([ObjectId()]), {BY_ID}),
    "history.find": (lambda s: s.history.find(JobQuery()), {BY_ID}),
    "find by name": (lambda s: s.history.find(JobQuery(name="resize")), {HISTORY, RUNNING, BY_ID}),
    "find by state": (
        lambda s: s.history.find(JobQuery(status=JobStatus.FINISHED)),
        {HISTORY, BY_ID},
    ),
    "find running": (
        lambda s: s.history.find(JobQuery(status=JobStatus.RUNNING)),
        {RUNNING, BY_ID},
    ),
    "find by all": (
        lambda s: s.history.find(JobQuery(name="resize", type="simple", status=JobStatus.FINISHED)),
        {HISTORY, BY_ID},
    ),
    "history.find_active": (
        lambda s: s.history.find_active("simple", "resize"),
        {EXCLUSIVE, HISTORY, RUNNING, BY_ID},
    ),
    "history.names": (lambda s: s.history.names(100), {HISTORY, RUNNING}),
    "history.count": (lambda s: s.history.count([("simple", "resize")], 100), {HISTORY, RUNNING}),
    "find between, the oldest first": (
        lambda s: s.history.find(
            JobQuery(name="resize", oldest_first=True, above=ObjectId(bytes(12)))
        ),
        {HISTORY, RUNNING, BY_ID},
    ),
    "find by error": (
        lambda s: s.history.find(JobQuery(name="resize", error="x")),
        {HISTORY, RUNNING, BY_ROW},
    ),
    "history.reach": (
        lambda s: s.history.reach(JobQuery(name="resize", error="x")),
        {HISTORY, RUNNING},
    ),
    "history.count_matching": (
        lambda s: s.history.count_matching(JobQuery(name="resize"), 9),
        {HISTORY, RUNNING},
    ),
    "intake.find_holder": (lambda s: s.intake.find_holder("resize", "key"), {UNIQUE_KEY}),
    "intake.release_key": (
        lambda s: s.intake.release_key(simple("resize", unique_key="key")),
        {BY_ID},
    ),
    "intake.replace": (
        lambda s: s.intake.replace(simple("resize", unique_key="key"), simple("resize")),
        {BY_ID},
    ),
    "runs.save_notes": (
        lambda s: s.runs.save_notes([(simple("resize", worker_id=WORKER), Notes())]),
        {BY_ID},
    ),
    "runs.save_state": (
        lambda s: s.runs.save_state(simple("resize", worker_id=WORKER), 1),
        {BY_ID},
    ),
    "runs.save_step": (
        lambda s: s.runs.save_step(simple("resize", worker_id=WORKER), Step("a", NOW, NOW)),
        {BY_ID},
    ),
    "runs.state": (lambda s: s.runs.state(ObjectId()), {BY_ID}),
    "history.delete": (lambda s: s.history.delete([ObjectId()]), {BY_ID}),
    "history.requeue": (lambda s: s.history.requeue(ObjectId(), NOW), {BY_ID}),
    "kills.kill_waiting": (lambda s: s.kills.kill_waiting(ObjectId(), NOW), {BY_ID}),
    "kills.requested": (lambda s: s.kills.requested([ObjectId()]), {OPEN_KILLS}),
    "kills.acknowledge": (lambda s: s.kills.acknowledge([ObjectId()]), {OPEN_KILLS, BY_ID}),
    "crons.remove_occurrences": (lambda s: s.crons.remove_occurrences("tick", NOW, ()), {HISTORY}),
    "crons.skip_waiting": (lambda s: s.crons.skip_waiting("tick", NOW), {HISTORY}),
    "history.states_of": (lambda s: s.history.states_of([ObjectId()]), {BY_ID}),
    "history.prune": (lambda s: s.history.prune(NOW, 10), {ENDED, BY_ROW, BY_ID}),
}


@pytest.fixture
async def recorded(
    monkeypatch: pytest.MonkeyPatch, open_store: Callable[..., Any]
) -> AsyncIterator[SqliteStore]:
    """A store with some of everything, whose connections remember their statements."""
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Recorder))
    store: SqliteStore = await open_store()
    await store.intake.insert(
        [simple(name) for name in ("resize", "mail", "old") for _ in range(20)]
    )
    await store.intake.insert(
        [simple("resize", due_in=60), occurrence(due_in=60), *(settled() for _ in range(50))]
    )
    runs = await store.queue.claim(claim(10, "old"))
    await store.kills.request(runs[0].id, WORKER, NOW)
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
    walks = [
        step
        for step in steps
        if re.match(r"SCAN (job\b|wait\b|mark\b|job_processor_(jobs|waits|labels)\b)", step)
    ]
    assert [walk for walk in walks if RUNNING not in walk] == []  # running jobs are few
    sorts = [step for step in steps if "TEMP B-TREE" in step]
    # The running ones, what a claim takes of several lanes, and the first of each reason to wait.
    assert not sorts or verb.startswith(("find", "history.", "free", "lanes, looked")), sorts


def used_by(step: str) -> list[str]:
    """Return the indexes of ours that a step uses."""
    if "INTEGER PRIMARY KEY" in step:
        return [BY_ROW]
    return re.findall(
        r"INDEX ((?:sqlite_autoindex_)?job_processor_(?:jobs|signals|waits|labels)\w*)", step
    )


async def test_a_claim_of_nothing_is_one_statement_that_writes_nothing(
    recorded: SqliteStore, path: Path
) -> None:
    """An idle worker's look at the queue takes no write lock."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        Recorder.statements.clear()
        assert await recorded.queue.claim(claim(10, "none")) == []
        assert len(Recorder.statements) == 1
        connection.execute("ROLLBACK")
