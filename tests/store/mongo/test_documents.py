"""The documents are the Node package's, field by field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import bson
import pytest
from bson import ObjectId
from bson.datetime_ms import DatetimeMS

from job_processor.models import (
    JobStatus,
    Output,
    SimpleJob,
    SkipMetadata,
)
from job_processor.store.mongo import MongoStore
from job_processor.store.mongo.documents import job_document, to_cron, to_job
from job_processor.store.mongo.handles import CODEC
from tests.samples import NOW, SECOND, SOON, WORKER, claim, cron, end, occurrence, simple, worker
from tests.store.mongo.conftest import Database

pytestmark = pytest.mark.mongo


async def stored(database: Database, collection: str = "jobs") -> dict[str, Any]:
    """Return the only document of a collection."""
    (document,) = await database[f"job_processor.{collection}"].find().to_list()
    return document


async def test_a_new_job_has_the_fields_of_the_node_package(
    store: MongoStore, database: Database
) -> None:
    """A plain job is written with every field of the shared schema and with no other."""
    job = simple(payload={"id": 1})
    await store.intake.insert([job])
    assert await stored(database) == {
        "_id": job.id,
        "name": "resize",
        "type": "simple",
        "status": "pending",
        "sync": False,
        "payload": {"id": 1},
        "output": None,
        "scheduled_for": NOW,
        "started_at": None,
        "ended_at": None,
        "updated_at": NOW,
        "created_at": NOW,
        "worker_id": None,
        "concurrency": {"mode": "concurrent"},
    }


async def test_a_new_cron_task_has_the_fields_of_the_node_package(
    store: MongoStore, database: Database
) -> None:
    """A cron task has neither `sync` nor `payload`, and it has a `sentry_id`."""
    await store.intake.insert([occurrence(exclusive=True)])
    assert await stored(database) == {
        "_id": occurrence().id,
        "name": "nightly",
        "type": "cron_task",
        "status": "pending",
        "output": None,
        "scheduled_for": NOW,
        "started_at": None,
        "ended_at": None,
        "updated_at": NOW,
        "created_at": NOW,
        "worker_id": None,
        "sentry_id": None,
        "concurrency": {"mode": "exclusive"},
    }


async def test_a_cron_has_the_fields_of_the_node_package(
    store: MongoStore, database: Database
) -> None:
    """A cron's document is exactly the Node package's."""
    await store.crons.create(cron())
    assert await stored(database) == {
        "_id": cron().id,
        "name": "nightly",
        "type": "cron",
        "status": "active",
        "cron_string": "* * * * *",
        "scheduled_for": NOW,
        "created_at": NOW,
        "updated_at": NOW,
    }


async def test_a_finished_job_has_the_fields_of_the_node_package(
    store: MongoStore, database: Database
) -> None:
    """A whole life adds no field; its output holds duration, result and error."""
    await store.intake.insert([simple()])
    (run,) = await store.queue.claim(claim())
    await store.runs.settle([end(run)])
    document = await stored(database)
    assert document.keys() == {
        "_id",
        "name",
        "type",
        "status",
        "sync",
        "payload",
        "output",
        "scheduled_for",
        "started_at",
        "ended_at",
        "updated_at",
        "created_at",
        "worker_id",
        "concurrency",
    }
    assert document["output"] == {"duration": "1 second", "result": {"ok": True}, "error": None}
    assert document["started_at"] == SOON
    assert document["ended_at"] == document["updated_at"] == NOW + 2 * SECOND
    assert document["worker_id"] == WORKER


async def test_skip_metadata_stands_only_in_a_skipped_job(
    store: MongoStore, database: Database
) -> None:
    """A job that is stored as skipped carries the reason in its output."""
    conflicting = ObjectId()
    metadata = SkipMetadata("noConcurrent_conflict", conflicting, NOW)
    job = simple(
        status=JobStatus.SKIPPED,
        ended_at=NOW,
        exclusive=True,
        output=Output("--", None, None, metadata),
    )
    await store.intake.insert([job])
    assert (await stored(database))["output"] == {
        "duration": "--",
        "result": None,
        "error": None,
        "skip_metadata": {
            "reason": "noConcurrent_conflict",
            "conflicting_job_id": conflicting,
            "skipped_at": NOW,
        },
    }
    assert await store.history.get(job.id) == job


async def test_fields_of_ours_stand_only_where_they_are_used(
    store: MongoStore, database: Database
) -> None:
    """`attempt`, `crashes` and `planned_for` come with a retry and a crash, and go with the end."""
    await store.intake.insert([occurrence()])
    (run,) = await store.queue.claim(claim())
    retry = end(
        run,
        JobStatus.PENDING,
        scheduled_for=NOW + 5 * SECOND,
        attempt=2,
        crashes=1,
    )
    await store.runs.settle([retry])
    document = await stored(database)
    assert (document["attempt"], document["crashes"], document["planned_for"]) == (2, 1, NOW)
    (again,) = await store.queue.claim(claim(now=NOW + 6 * SECOND))
    assert again == replace(
        retry.written(),
        status=JobStatus.RUNNING,
        worker_id=WORKER,
        updated_at=NOW + 6 * SECOND,
    )
    await store.runs.settle([end(again)])
    document = await stored(database)
    assert "crashes" not in document
    assert (document["attempt"], document["planned_for"]) == (2, NOW)


async def test_a_kill_request_has_the_fields_of_the_node_package(
    store: MongoStore, database: Database
) -> None:
    """A signal's document is exactly the Node package's."""
    job_id = ObjectId()
    await store.kills.request(job_id, WORKER, NOW)
    document = await stored(database, "signals")
    assert isinstance(document.pop("_id"), ObjectId)
    assert document == {
        "type": "kill",
        "job_id": job_id,
        "worker_id": WORKER,
        "created_at": NOW,
        "ack": False,
    }


async def test_a_registration_holds_any_name(store: MongoStore, database: Database) -> None:
    """Names, hosts and tags with dots and dollars are values, neither fields nor expressions."""
    info = worker(
        hostname="$host",
        tags=("$main", "a.b"),
        service="$service",
        names=("$a", "b.c"),
        crons={"$x": "1", "y.z": "2"},
        pid=7,
        version="1.0",
        concurrency=10,
        started_at=NOW,
    )
    await store.workers.register(info)
    (registered,) = (await store.workers.registrations()).workers
    assert replace(registered, last_seen=NOW) == info
    document = await stored(database, "workers")
    assert document["hostname"] == "$host"
    assert document["tags"] == ["$main", "a.b"]


async def test_a_refreshed_registration_forgets_what_it_no_longer_has(
    store: MongoStore, database: Database
) -> None:
    """Registering again under the same id replaces the whole document."""
    info = worker(crons={"nightly": "1"})
    await store.workers.register(info)
    await store.workers.register(replace(info, crons={}))
    assert "crons" not in await stored(database, "workers")


async def test_a_node_worker_is_read_without_a_timeout(
    store: MongoStore, database: Database
) -> None:
    """A registration with the Node package's four fields has no `timeout_s` and no names."""
    await database["job_processor.workers"].insert_one(
        {"_id": WORKER, "hostname": "node", "lastSeen": NOW, "tags": None}
    )
    (registered,) = (await store.workers.registrations()).workers
    assert registered == worker(id=WORKER, hostname="node", timeout_s=None)


async def test_a_job_that_lacks_optional_fields_is_read(
    store: MongoStore, database: Database
) -> None:
    """What the Node package may leave out, or a later version adds, does not keep a job unread."""
    job_id = ObjectId()
    await database["job_processor.jobs"].insert_one(
        {
            "_id": job_id,
            "name": "resize",
            "type": "simple",
            "status": "pending",
            "sync": True,
            "scheduled_for": NOW,
            "updated_at": NOW,
            "created_at": NOW,
            "worker_id": None,
            "of_the_future": {"x": 1},
        }
    )
    assert await store.history.get(job_id) == simple(id=job_id, sync=True)
    assert [job.id for job in await store.queue.claim(claim())] == [job_id]


def test_a_date_that_python_cannot_hold_costs_no_page() -> None:
    """A document with the year 20000, or with broken text, is read with the others."""
    document = job_document(simple(name="caf\u00e9")) | {"started_at": DatetimeMS(568971820800000)}
    data = bson.encode(document).replace("\u00e9".encode(), b"\xff\xff")
    job = to_job(bson.decode(data, codec_options=cast("Any", CODEC)))
    assert (job.name, job.started_at) == ("caf\ufffd\ufffd", None)


def test_a_document_without_creation_time_takes_that_of_its_id() -> None:
    """`created_at` and `updated_at` fall back to the time in the ObjectId."""
    job_id = ObjectId()
    job = to_job({"_id": job_id, "name": "a", "type": "cron_task", "status": "killed"})
    assert job.created_at == job.updated_at == job.scheduled_for == job_id.generation_time
    found = to_cron({"_id": job_id, "name": "a", "cron_string": "* * * * *"})
    assert found.created_at == job_id.generation_time


@pytest.mark.parametrize("output", [None, "text", {}, {"skip_metadata": {}}])
def test_a_strange_output_is_read(output: Any) -> None:
    """An output of another shape is read as far as it goes."""
    job = to_job(
        {"_id": ObjectId(), "name": "a", "type": "simple", "status": "skipped", "output": output}
    )
    assert isinstance(job, SimpleJob)
    assert job.output is None or job.output.duration == "--"
