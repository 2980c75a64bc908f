"""Unique indexes that a user made on the jobs: what they refuse is told, and nothing loops."""

from __future__ import annotations

from typing import Any

import pytest

from job_processor.errors import StoreRefusedError
from job_processor.store.mongo import MongoStore
from job_processor.store.mongo.indexes import is_conflict
from tests.samples import SOON, claim, end, simple
from tests.store.mongo.conftest import Database

pytestmark = pytest.mark.mongo

JOBS = "job_processor.jobs"
DUPLICATE = {"code": 11000}


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        ({**DUPLICATE, "keyPattern": {"type": 1, "name": 1}}, True),
        ({**DUPLICATE, "keyPattern": {"name": 1, "unique_key": 1}}, True),
        ({**DUPLICATE, "keyPattern": {"name": 1, "type": 1}}, False),
        ({**DUPLICATE, "keyPattern": {"payload.n": 1}}, False),
        ({**DUPLICATE, "errmsg": "E11000 … index: unique_key dup key: { name: 1 }"}, True),
        ({**DUPLICATE, "errmsg": "E11000 … index: mine dup key: { unique_key: 1 }"}, False),
        ({**DUPLICATE}, False),
        ({"code": 121, "keyPattern": {"type": 1, "name": 1}}, False),
    ],
)
def test_a_conflict_is_of_our_own_indexes(error: dict[str, Any], ours: bool) -> None:
    """By their keys, or by their names where a server tells no keys."""
    assert is_conflict(error) is ours


async def test_what_it_keeps_from_beginning_blocks_no_other(
    store: MongoStore, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """The job is left alone for a while, with a warning that names it; what follows it runs."""
    jobs = [simple(payload={"n": n}) for n in (1, 1, 2, 3)]
    await store.intake.insert(jobs)
    await database[JOBS].create_index(
        "payload.n", unique=True, name="mine", partialFilterExpression={"status": "running"}
    )
    assert [job.id for job in await store.queue.claim(claim())] == [jobs[0].id]
    assert [job.id for job in await store.queue.claim(claim())] == [jobs[2].id]
    assert f"job {jobs[1].id} is left alone" in caplog.text
    assert [job.id for job in await store.queue.claim(claim(10))] == [jobs[3].id]
    assert await store.queue.claim(claim(10)) == []


async def test_what_it_keeps_from_being_sent_round_again_is_told(
    store: MongoStore, database: Database
) -> None:
    """Not as a conflict with an active job of its name, which there is not."""
    await store.intake.insert([simple(payload={"n": 1})])
    (job,) = await store.queue.claim(claim())
    await store.runs.settle([end(job)])
    await store.intake.insert([simple(payload={"n": 1})])
    await database[JOBS].create_index(
        "payload.n", unique=True, name="mine", partialFilterExpression={"status": "pending"}
    )
    with pytest.raises(StoreRefusedError, match="the unique index 'mine'"):
        await store.history.requeue(job.id, SOON)
