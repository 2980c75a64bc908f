"""What each verb costs on SQLite: the statements that it makes, as SQLite itself counts them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from bson import ObjectId

from job_processor.models import Notes, Step
from job_processor.store import Store
from job_processor.store.rollups import Rollup
from tests.samples import LATER, NOW, WORKER, Made, claim, cron, end, retry, run, simple, worker
from tests.store.contract.statements import watched

Call = Callable[[Store, Any], Awaitable[object]]
MANY = 100

COSTS: dict[str, tuple[Call, str]] = {
    "intake.insert": (lambda s, j: s.intake.insert([simple()]), "INSERT"),
    # The first one here, in the thread of the event loop, tells the connection not to wait.
    "intake.put": (lambda s, j: s.intake.put(simple()), "PRAGMA PRAGMA INSERT"),
    "insert of many": (
        lambda s, j: s.intake.insert([simple() for _ in range(MANY)]),
        "BEGIN INSERT COMMIT",
    ),
    "queue.claim": (lambda s, j: s.queue.claim(claim()), "WITH UPDATE"),
    "claim of nothing": (lambda s, j: s.queue.claim(claim(1, "other")), "WITH"),
    "runs.settle": (lambda s, j: s.runs.settle([end(j)]), "BEGIN UPDATE UPDATE COMMIT"),
    "settle a retry": (lambda s, j: s.runs.settle([retry(j)]), "BEGIN UPDATE UPDATE COMMIT"),
    "settle what was lost": (
        lambda s, j: s.runs.settle([end(simple(worker_id=WORKER))]),
        "BEGIN UPDATE SELECT COMMIT",
    ),
    "runs.settle_together": (
        lambda s, j: s.runs.settle_together(Made([j]), end(j).outcome),
        "BEGIN UPDATE UPDATE COMMIT",
    ),
    "runs.save_notes": (lambda s, j: s.runs.save_notes([(j, Notes())]), "BEGIN UPDATE COMMIT"),
    "runs.save_state": (lambda s, j: s.runs.save_state(j, {"row": 1}), "UPDATE"),
    "runs.save_step": (lambda s, j: s.runs.save_step(j, Step("a", LATER, LATER)), "UPDATE"),
    "runs.state": (lambda s, j: s.runs.state(j.id), "SELECT"),
    "history.requeue": (lambda s, j: s.history.requeue(j.id, LATER), "BEGIN UPDATE COMMIT"),
    "kills.kill_waiting": (lambda s, j: s.kills.kill_waiting(j.id, LATER), "BEGIN UPDATE COMMIT"),
    "runs.of_worker": (lambda s, j: s.runs.of_worker(WORKER, 10), "SELECT"),
    "kills.requested": (lambda s, j: s.kills.requested([j.id]), "SELECT"),
    "workers.registrations": (lambda s, j: s.workers.registrations(), "SELECT"),
    "runs.workers": (lambda s, j: s.runs.workers(), "SELECT"),
    "workers.register": (lambda s, j: s.workers.register(worker()), "INSERT"),
    "workers.unregister": (lambda s, j: s.workers.unregister(ObjectId()), "DELETE"),
    "queue.next_due": (lambda s, j: s.queue.next_due(["resize"]), "WITH"),
    "crons.all": (lambda s, j: s.crons.all(), "SELECT"),
    "crons.create": (lambda s, j: s.crons.create(cron()), "INSERT"),
    "settings.all": (lambda s, j: s.settings.all("kind"), "SELECT"),
    "history.get": (lambda s, j: s.history.get(j.id), "BEGIN SELECT COMMIT"),
    "intake.find_holder": (lambda s, j: s.intake.find_holder("resize", "k"), "SELECT"),
    "history.delete": (lambda s, j: s.history.delete([j.id]), "BEGIN DELETE COMMIT"),
    "rollups.add": (
        lambda s, j: s.rollups.add([Rollup(60, NOW, {"killed": 1})]),
        "BEGIN SELECT INSERT COMMIT",
    ),
    "history.count_states": (lambda s, j: s.history.count_states(9), "BEGIN WITH COMMIT"),
    "settings.several": (lambda s, j: s.settings.several(["a", "b"]), "SELECT"),
    "rollups.of": (lambda s, j: s.rollups.of("name", "a", {60: [NOW]}), "BEGIN SELECT COMMIT"),
    "rollups.sums": (lambda s, j: s.rollups.sums("name", 60, NOW), "BEGIN SELECT COMMIT"),
    "rollups.errors": (lambda s, j: s.rollups.errors([NOW], None, 9), "BEGIN SELECT COMMIT"),
}
"""Each verb, called with a running job, and its statements in their order."""


@pytest.mark.parametrize("verb", COSTS)
async def test_a_verb_makes_these_statements_and_no_more(sqlite_db_url: str, verb: str) -> None:
    """A statement that is added to a verb is added to this table, on purpose."""
    call, cost = COSTS[verb]
    async with watched(sqlite_db_url) as (store, statements):
        (job,) = await run(store, simple())
        await store.intake.insert([simple()])
        statements.made.clear()
        await call(store, job)
        assert statements.made == cost.split()


async def test_ends_of_many_are_a_few_statements(sqlite_db_url: str) -> None:
    """Parts of 128, and a power of two for the rest: 500 ends are four of them."""
    async with watched(sqlite_db_url) as (store, statements):
        jobs = await run(store, *(simple() for _ in range(500)))
        statements.made.clear()
        await store.runs.settle([end(job) for job in jobs])
        # And the revision, that others look at.
        assert statements.made == ["BEGIN", *["UPDATE"] * 4, "UPDATE", "COMMIT"]
