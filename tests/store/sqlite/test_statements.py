"""What each verb costs on SQLite: the statements that it makes, as SQLite itself counts them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from bson import ObjectId

from job_processor.models import Notes
from job_processor.store import Store
from job_processor.store.rollups import Rollup
from tests.samples import LATER, NOW, WORKER, claim, cron, end, retry, run, simple, worker
from tests.store.contract.statements import watched

Call = Callable[[Store, Any], Awaitable[object]]
MANY = 100

COSTS: dict[str, tuple[Call, str]] = {
    "insert": (lambda s, j: s.insert([simple()]), "INSERT"),
    "insert of many": (
        lambda s, j: s.insert([simple() for _ in range(MANY)]),
        "BEGIN INSERT COMMIT",
    ),
    "claim": (lambda s, j: s.claim(claim()), "WITH UPDATE"),
    "claim of nothing": (lambda s, j: s.claim(claim(1, "other")), "WITH"),
    "settle": (lambda s, j: s.settle([end(j)]), "BEGIN UPDATE UPDATE COMMIT"),
    "settle a retry": (lambda s, j: s.settle([retry(j)]), "BEGIN UPDATE UPDATE COMMIT"),
    "settle what was lost": (
        lambda s, j: s.settle([end(simple(worker_id=WORKER))]),
        "BEGIN UPDATE SELECT COMMIT",
    ),
    "save_notes": (lambda s, j: s.save_notes([(j, Notes())]), "BEGIN UPDATE COMMIT"),
    "save_state": (lambda s, j: s.save_state(j, {"row": 1}), "UPDATE"),
    "state": (lambda s, j: s.state(j.id), "SELECT"),
    "requeue": (lambda s, j: s.requeue(j.id, LATER), "BEGIN UPDATE COMMIT"),
    "kill_waiting": (lambda s, j: s.kill_waiting(j.id, LATER), "BEGIN UPDATE COMMIT"),
    "runs_of": (lambda s, j: s.runs_of(WORKER, 10), "SELECT"),
    "kill_requests": (lambda s, j: s.kill_requests([j.id]), "SELECT"),
    "registrations": (lambda s, j: s.registrations(), "SELECT SELECT"),
    "running_worker_ids": (lambda s, j: s.running_worker_ids(), "SELECT"),
    "register": (lambda s, j: s.register(worker()), "INSERT"),
    "unregister": (lambda s, j: s.unregister(ObjectId()), "DELETE"),
    "next_due": (lambda s, j: s.next_due(["resize"]), "WITH"),
    "crons": (lambda s, j: s.crons(), "SELECT"),
    "create_cron": (lambda s, j: s.create_cron(cron()), "INSERT"),
    "settings": (lambda s, j: s.settings("kind"), "SELECT"),
    "get": (lambda s, j: s.get(j.id), "BEGIN SELECT COMMIT"),
    "find_holder": (lambda s, j: s.find_holder("resize", "k"), "SELECT"),
    "delete": (lambda s, j: s.delete([j.id]), "BEGIN DELETE COMMIT"),
    "add_rollups": (
        lambda s, j: s.add_rollups([Rollup(60, NOW, {"killed": 1})]),
        "BEGIN SELECT INSERT COMMIT",
    ),
}
"""Each verb, called with a running job, and its statements in their order."""


@pytest.mark.parametrize("verb", COSTS)
async def test_a_verb_makes_these_statements_and_no_more(sqlite_db_url: str, verb: str) -> None:
    """A statement that is added to a verb is added to this table, on purpose."""
    call, cost = COSTS[verb]
    async with watched(sqlite_db_url) as (store, statements):
        (job,) = await run(store, simple())
        await store.insert([simple()])
        statements.made.clear()
        await call(store, job)
        assert statements.made == cost.split()


async def test_ends_of_many_are_a_few_statements(sqlite_db_url: str) -> None:
    """Parts of powers of two, the largest of 128: 500 ends are eight of them."""
    async with watched(sqlite_db_url) as (store, statements):
        jobs = await run(store, *(simple() for _ in range(500)))
        statements.made.clear()
        await store.settle([end(job) for job in jobs])
        # Three of 128, then 64, 32, 16 and 4; and the revision, that others look at.
        assert statements.made == ["BEGIN", *["UPDATE"] * 7, "UPDATE", "COMMIT"]
