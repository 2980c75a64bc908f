"""Kill requests beside the Node package's, whose signals expire: ours stand."""

from __future__ import annotations

import pytest
from bson import ObjectId

from job_processor.models import Job, JobStatus
from job_processor.store.mongo import MongoStore
from tests.samples import NOW, SECOND, WORKER, claim, end, simple
from tests.store.mongo.conftest import Database

pytestmark = pytest.mark.mongo


async def running(store: MongoStore) -> Job:
    """Return a job that runs."""
    await store.intake.insert([simple()])
    (job,) = await store.queue.claim(claim())
    return job


async def expire(database: Database) -> None:
    """Remove the signals, as the server does: by the asking process's clock and its own."""
    await database["job_processor.signals"].delete_many({})


async def kept(database: Database) -> list[str]:
    """Return the jobs whose requests are kept in the settings."""
    found = database["job_processor.settings"].find({"kind": "kill"})
    return [each["name"] async for each in found]


async def test_a_request_outlives_its_signal(store: MongoStore, database: Database) -> None:
    """After an hour, or at once where the asking clock is wrong, the signal is gone; it stands."""
    job = await running(store)
    await store.kills.request(job.id, WORKER, NOW)
    await expire(database)
    assert await store.kills.requested([job.id]) == {job.id}
    await store.runs.settle([end(job, JobStatus.KILLED)])
    await store.kills.acknowledge([job.id])
    assert await store.kills.requested([job.id]) == set()
    assert await kept(database) == []


async def test_a_signal_of_node_is_a_request(store: MongoStore, database: Database) -> None:
    """Who kills with the Node package writes a signal and nothing else."""
    job = await running(store)
    signal = {
        "_id": ObjectId(),
        "type": "kill",
        "job_id": job.id,
        "worker_id": WORKER,
        "created_at": NOW,
        "ack": False,
    }
    await database["job_processor.signals"].insert_one(signal)
    assert await store.kills.requested([job.id]) == {job.id}
    await store.runs.settle([end(job, JobStatus.KILLED)])
    await store.kills.acknowledge([job.id])
    (found,) = await database["job_processor.signals"].find().to_list()
    assert found == {**signal, "created_at": found["created_at"], "ack": True}


async def test_what_is_kept_of_an_ended_job_goes(store: MongoStore, database: Database) -> None:
    """A Node worker acknowledges its signal alone; a prune takes the rest, never of active ones."""
    ended, active = await running(store), await running(store)
    for job in (ended, active):
        await store.kills.request(job.id, WORKER, NOW)
    await database["job_processor.signals"].update_many({}, {"$set": {"ack": True}})
    await store.runs.settle([end(ended, JobStatus.KILLED)])
    await store.history.prune(NOW - SECOND, 10)
    assert await kept(database) == [str(active.id)]
    assert await store.kills.requested([ended.id, active.id]) == {active.id}


async def test_a_signal_of_an_active_job_stays_open(store: MongoStore, database: Database) -> None:
    """A Node worker may have yet to see it."""
    job = await running(store)
    await store.kills.request(job.id, WORKER, NOW)
    await store.kills.acknowledge([job.id])
    (signal,) = await database["job_processor.signals"].find().to_list()
    assert signal["ack"] is False


async def test_a_second_request_takes_the_place_of_the_first(
    store: MongoStore, database: Database
) -> None:
    """However often somebody kills, one is kept of a job."""
    job = await running(store)
    for _ in range(3):
        await store.kills.request(job.id, WORKER, NOW)
    assert await kept(database) == [str(job.id)]
