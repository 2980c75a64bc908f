"""Runs that another writer claimed, such as the Node package, are settled all the same."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from job_processor.store.mongo import MongoStore
from tests.samples import NOW, end, simple
from tests.store.mongo.conftest import Database

pytestmark = pytest.mark.mongo

OTHER_WORKER = ObjectId()


@pytest.mark.parametrize("moment", [NOW, None, "absent"])
async def test_whatever_moment_they_have(
    store: MongoStore, database: Database, moment: Any
) -> None:
    """The fence has the `updated_at` that was read; of a run that has none it asks for none."""
    job = simple()
    await store.intake.insert([job])
    claimed: dict[str, Any] = {"status": "running", "worker_id": OTHER_WORKER, "started_at": NOW}
    change: dict[str, Any] = {"$set": {**claimed, "updated_at": moment}}
    if moment == "absent":
        change = {"$set": claimed, "$unset": {"updated_at": ""}}
    jobs = database["job_processor.jobs"]
    await jobs.update_one({"_id": job.id}, change, bypass_document_validation=True)
    (run,) = await store.runs.of_worker(OTHER_WORKER, 10)
    verdict = await store.runs.settle([end(run)])
    assert verdict.won == {job.id}
