"""Whatever stands in the database, by whomever: it is shown as text and takes no page down."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest
from bson import (
    Binary,
    Code,
    DBRef,
    Decimal128,
    Int64,
    MaxKey,
    MinKey,
    ObjectId,
    Regex,
    Timestamp,
)
from bson.datetime_ms import DatetimeMS
from pymongo import AsyncMongoClient

from job_processor import JobDef, JobProcessor, JobStatus
from job_processor.cli.app.when import read_time
from job_processor.cli.views import frame, tables
from job_processor.web import create_app
from tests.mongo_server import EXTERNAL_URL_VARIABLE
from tests.processors import WAIT, Processors, working
from tests.web.conftest import client_of

NOW = datetime.now(UTC).replace(microsecond=0)
PAGES = ("/", "/jobs", "/names", "/crons", "/workers", "/limits", "/audit")
API = ("/api/jobs", "/api/status", "/api/figures", "/api/crons", "/api/workers", "/healthz")

REAL = EXTERNAL_URL_VARIABLE in os.environ
BEYOND: Any = DatetimeMS(2**53) if REAL else NOW.replace(year=9999)
BEFORE: Any = DatetimeMS(-(2**53)) if REAL else NOW.replace(year=1)
"""Dates that only a real server keeps where Python has none."""

ODD: dict[str, Any] = {
    "dbref": DBRef("users", ObjectId()),
    "half a dbref": {"$ref": 7, "$id": 1},
    "decimal": Decimal128("1.50"),
    "nan": float("nan"),
    "infinity": float("inf"),
    "regex": Regex("a.*b", "i"),
    "pattern": re.compile("x"),
    "timestamp": Timestamp(1, 2),
    "min": MinKey(),
    "max": MaxKey(),
    "long": Int64(2**62),
    "code": Code("function () {}", {"x": 1}),
    "binary": Binary(b"\x00\xff", 5),
    "uuid": Binary(b"\x01" * 16, 4),
    "beyond": BEYOND,
    "before": BEFORE,
    "list": [Decimal128("1"), MinKey(), {"deep": Timestamp(3, 4)}],
}
"""Values that JSON does not know, and more than one that Python does not."""

FIELDS: dict[str, list[Any]] = {
    "status": ["archived", "running"],
    "scheduled_for": [BEYOND, "tomorrow", None, 7],
    "created_at": [BEFORE, "yesterday", 7],
    "updated_at": ["now", None, MinKey()],
    "started_at": ["soon", BEYOND, 1.5],
    "ended_at": [True, BEYOND],
    "worker_id": ["worker-1", 7, {"a": 1}],
    "concurrency": ["exclusive", None, ["x"], {"mode": 7}],
    "attempt": ["two", 2.0, float("nan"), None, -1],
    "crashes": ["many", 1.5],
    "priority": ["high", None, 3.0, float("inf")],
    "attempts": ["x", 7, {"a": 1}, [7, None, {"error": {"a": 1}, "started_at": "x"}]],
    "notes": [
        "x",
        {"progress": {"fraction": float("inf"), "message": 7, "at": "x", "later": 1}},
        {"progress": {"fraction": "half"}, "log": "x", "later": {}},
        {"progress": [1], "log": [7, {"text": {"a": 1}, "at": 7, "level": "info"}]},
        {"progress": {"fraction": 7.5, "message": None, "at": NOW}, "log": []},
    ],
    "output": [
        "done",
        [],
        {},
        {"duration": 7, "result": MinKey(), "error": {"code": 7}},
        {"error": ["a", Decimal128("1")], "skip_metadata": "x"},
        {"skip_metadata": {"reason": 7, "conflicting_job_id": "x", "skipped_at": "y"}},
        {"duration": "1 s", "error": None, "result": DBRef("a", 1), "later": 1},
    ],
    "payload": ["text", 7, [1, 2], MinKey(), DBRef("a", 1), {"": 1, "a.b": {"$c": 1}}],
    "sync": ["yes", 7],
    "unique_key": [7, {"a": 1}],
    "expires_at": ["never", BEYOND],
    "of a later version": [{"a": [MinKey()]}],
}
"""Values of fields that this version knows, of another kind than it writes."""

PARTS = {"status", "attempts", "notes", "output", "payload"}
"""Those that decide what is shown, or have parts of their own."""


def document(**fields: Any) -> dict[str, Any]:
    """Return a job as the Node package writes one, with some fields changed."""
    plain = {
        "_id": ObjectId(),
        "name": "odd",
        "type": "simple",
        "status": "errored",
        "payload": {"a": 1},
        "sync": False,
        "updated_at": NOW,
        "created_at": NOW,
        "scheduled_for": NOW,
        "worker_id": None,
        "started_at": NOW,
        "ended_at": NOW,
        "concurrency": {"mode": "concurrent"},
        "output": {"duration": "1 second", "result": None, "error": "E: no"},
    }
    return {**plain, **fields}


async def looked_at(client: httpx.AsyncClient, processor: JobProcessor, ids: list[str]) -> None:
    """Look at everything there is, by the dashboard, the API and the command line."""
    for path in PAGES:
        answer = await client.get(path)
        assert answer.status_code == 200, (path, answer.text[-1500:])
    for path in API:
        answer = await client.get(path)
        assert answer.status_code in (200, 503), (path, answer.text[:500])
        json.loads(answer.text, parse_constant=pytest.fail)
    for id in ids:
        for path in (f"/jobs/{id}", f"/api/jobs/{id}"):
            answer = await client.get(path)
            assert answer.status_code == 200, (path, answer.text[:500])
    status = await processor.get_status()
    json.dumps(status, allow_nan=False)
    now = read_time(status["now"])
    tables.workers_table(status["workers"], now)
    tables.jobs_table(status["queue"], now)
    tables.crons_table(status["crons"], now)
    for group in status["jobs"]:
        tables.jobs_table(group["tasks"], now)
    taken = await frame.take_frame(processor)
    json.dumps(taken.as_json(), allow_nan=False)
    taken.rendered(rows=None)
    await processor.count_waiting()


class Mongo:
    """The collections of a test's database, to write anything into."""

    def __init__(self, url: str) -> None:
        self.client: AsyncMongoClient[Any] = AsyncMongoClient(url)
        database = self.client[urlsplit(url).path.lstrip("/")]
        self.jobs = database["job_processor.jobs"]
        self.workers = database["job_processor.workers"]
        self.database = database


@pytest.fixture
async def mongo(mongo_db_url: str) -> AsyncIterator[Mongo]:
    """The database itself, past all that checks what is written."""
    mongo = Mongo(mongo_db_url)
    yield mongo
    await mongo.client.close()


@pytest.fixture
async def odd(mongo_db_url: str, mongo: Mongo) -> AsyncIterator[JobProcessor]:
    """A processor on that database, whose validator has gone."""
    async with Processors(mongo_db_url) as made:
        processor = await made.make(jobs={"odd": JobDef(lambda payload: repr(payload)[:100])})
        await mongo.database.command("collMod", "job_processor.jobs", validator={})
        yield processor


@pytest.mark.mongo
@pytest.mark.parametrize("place", ["payload", "result", "progress"])
async def test_values_of_any_type(odd: JobProcessor, mongo: Mongo, place: str) -> None:
    """In a payload, a result or a progress: each job is listed, and has its page."""
    documents = []
    for name, value in ODD.items():
        if place == "payload":
            documents.append(document(payload={name: value, "fill": "x" * 500}))
            documents.append(document(payload={name: value}))
        elif place == "result":
            output = {"duration": "1 s", "result": {name: value}, "error": None}
            documents.append(document(status="finished", output=output))
            documents.append(document(status="finished", output={**output, "result": value}))
        else:
            progress = {"fraction": 0.5, "message": value, "at": value}
            documents.append(document(status="running", notes={"progress": progress, "log": []}))
    await mongo.jobs.insert_many(documents)
    async with client_of(create_app(odd)) as client:
        await looked_at(client, odd, [str(each["_id"]) for each in documents])
        shown = (await client.get("/api/jobs?limit=100")).text
    if place != "progress":
        assert "1.50" in shown
        assert '"nan"' in shown


@pytest.mark.mongo
@pytest.mark.parametrize(
    "field",
    [each if each in PARTS else pytest.param(each, marks=pytest.mark.slow) for each in FIELDS],
)
async def test_fields_of_another_kind(odd: JobProcessor, mongo: Mongo, field: str) -> None:
    """Each counts as missing, or is shown as the text that it is."""
    documents = [document(**{field: value}) for value in FIELDS[field]]
    documents += [document(**{field: value, "type": "cron_task"}) for value in FIELDS[field]]
    await mongo.jobs.insert_many(documents)
    async with client_of(create_app(odd)) as client:
        await looked_at(client, odd, [str(each["_id"]) for each in documents])
        found = (await client.get(f"/api/jobs/{documents[0]['_id']}")).json()
    if field == "status":
        assert found["status"] == "archived"


@pytest.mark.mongo
async def test_workers_and_crons_of_another_kind(odd: JobProcessor, mongo: Mongo) -> None:
    """A registration whose every field is odd; a cron without most of its fields."""
    for value in ("text", 7.5, [1], {"a": 1}, MinKey(), BEYOND, None):
        await mongo.workers.insert_one(
            {
                "_id": ObjectId(),
                **dict.fromkeys(
                    ("hostname", "lastSeen", "tags", "timeout_s", "service", "names", "crons"),
                    value,
                ),
                **dict.fromkeys(
                    ("pid", "version", "concurrency", "started_at", "memory", "clock_ahead"), value
                ),
            }
        )
    cron = {"_id": ObjectId(), "name": "bare", "type": "cron", "status": "active"}
    await mongo.jobs.insert_one(cron)
    await mongo.jobs.insert_one(
        {**cron, "_id": ObjectId(), "name": "odd cron", "cron_string": 7, "scheduled_for": "x"}
    )
    async with client_of(create_app(odd)) as client:
        await looked_at(client, odd, [])


@pytest.mark.mongo
async def test_odd_jobs_are_run(odd: JobProcessor, mongo: Mongo) -> None:
    """What waits and is due is claimed, run and settled, whatever its other fields are."""
    fields = set(FIELDS) - {"status", "scheduled_for", "expires_at", "concurrency", "unique_key"}
    documents = [
        document(status="pending", output=None, started_at=None, ended_at=None) | {field: value}
        for field in sorted(fields)
        for value in FIELDS[field]
    ]
    documents.append(document(status="pending", scheduled_for=BEFORE))
    await mongo.jobs.insert_many(documents)
    async with working(odd):
        for each in documents:
            job = await odd.wait_for_job(each["_id"], timeout=WAIT)
            assert job.status in (JobStatus.FINISHED, JobStatus.ERRORED)
    assert (
        await mongo.jobs.count_documents(
            {"type": "simple", "status": {"$in": ["pending", "running"]}}
        )
        == 0
    )


ROWS: dict[str, list[Any]] = {
    "payload": ["no JSON", "[1]", "7", '{"a": NaN}', '{"a": {"$date": "x"}}', "[" * 3000],
    "output": ["no JSON", "[1]", "{}", '{"error": {"a": 1}, "duration": 7}', "x" * 500],
    "notes": ["no JSON", "[1]", '{"progress": {"fraction": "x", "later": 1}, "log": 7}'],
    "extra": ["no JSON", "[1]", '{"attempts": 7, "later": 1}', '{"expires_at": "x"}'],
    "status": ["archived"],
    "scheduled_for": [2**62, -(2**62)],
    "created_at": [2**62],
    "started_at": [2**62],
    "ended_at": [-(2**62)],
    "updated_at": [2**62],
}


@pytest.mark.parametrize("field", ROWS)
async def test_rows_of_another_kind(sqlite_db_url: str, field: str) -> None:
    """The same of a file that something else has written to; and such a job is run."""
    path = sqlite_db_url.removeprefix("sqlite:///")
    async with Processors(sqlite_db_url) as made:
        processor = await made.make(jobs={"odd": JobDef(lambda payload: repr(payload)[:100])})
        count = len(ROWS[field])
        jobs = await processor.schedule_jobs([("odd", {"a": n}) for n in range(count)])
        with closing(sqlite3.connect(path)) as connection, connection:
            for job, value in zip(jobs, ROWS[field], strict=True):
                changed = f"UPDATE job_processor_jobs SET {field}=? WHERE id=?"  # noqa: S608  # ours
                connection.execute(changed, (value, job.id.binary))
        async with client_of(create_app(processor)) as client:
            await looked_at(client, processor, [str(job.id) for job in jobs])
            if field not in ("status", "scheduled_for"):
                await processor.run_worker(burst=True)
                for job in jobs:
                    assert (await processor.wait_for_job(job.id, timeout=WAIT)).settled
            await looked_at(client, processor, [str(job.id) for job in jobs])
