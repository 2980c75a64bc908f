"""Fills a store with a million jobs, faster than through the package: a copy of one of its own."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from bson import ObjectId
from pymongo import MongoClient, WriteConcern

from benchmarks.systems.ours_app import make

Shape = Literal["waiting", "later", "tag", "finished"]
SHORT = 1000
"""Jobs that wait in either queue."""
CHUNK = 5_000
FILL_SECONDS = 30.0
"""After which a slow server has as many as it has."""
_SECOND = 1 << 64  # in an ObjectId
LATER = timedelta(days=30)


async def fill(db: str, shape: Shape, backlog: int) -> int:
    """Make a store with `SHORT` jobs due and up to `backlog` more of a shape; return how many."""
    async with make(db) as processor:
        processor.job("other", tag="lacking")(lambda: None)
        await processor.schedule_jobs([("noop", {"n": 0})] * SHORT)
        template = await processor.schedule_job(
            "other" if shape == "tag" else "noop",
            {"n": 0},
            scheduled_for=LATER if shape == "later" else None,
        )
    if not backlog:
        return 0
    copy = _copy_rows if db.startswith("sqlite") else _copy_documents
    return await asyncio.to_thread(copy, db, template.id, shape, backlog)


def _copy_rows(db: str, template: ObjectId, shape: Shape, count: int) -> int:
    connection = sqlite3.connect(db.removeprefix("sqlite:///"), isolation_level=None)
    table = "job_processor_jobs"
    if shape == "finished":
        connection.execute(
            f"UPDATE {table} SET status='finished', started_at=created_at, ended_at=created_at, "
            'output=\'{"duration":"0 seconds"}\' WHERE id=?',
            (template.binary,),
        )
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    others = [name for name in columns if name != "id"]
    # Times differ, as those of real jobs do, and rise with the row.
    values = [
        f"{name}+number/10" if name in ("scheduled_for", "ended_at") else name for name in others
    ]
    if shape == "waiting":  # behind those that are due, yet due themselves
        values[others.index("scheduled_for")] = f"scheduled_for-{count}/10+number/10"
    connection.create_function("id_of", 1, lambda n: _id_before(template, count - n).binary)
    connection.execute("BEGIN")
    connection.execute(
        f"""
        WITH RECURSIVE counted(number) AS (
            SELECT 1 UNION ALL SELECT number+1 FROM counted WHERE number<?2
        )
        INSERT INTO {table} (id, {",".join(others)})
        SELECT id_of(number), {",".join(values)} FROM counted, (SELECT * FROM {table} WHERE id=?1)
        """,
        (template.binary, count),
    )
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return count


def _id_before(job_id: ObjectId, distance: int) -> ObjectId:
    """Return an id so far before those of a second earlier: of jobs made one after the other."""
    earlier = int.from_bytes(job_id.binary, "big") - _SECOND - distance
    return ObjectId(earlier.to_bytes(12, "big"))


def _copy_documents(db: str, template: ObjectId, shape: Shape, count: int) -> int:
    with MongoClient[dict[str, Any]](db) as client:
        jobs = client.get_default_database()["job_processor.jobs"]
        if shape == "finished":
            now = datetime.now(UTC)
            output = {"duration": "0 seconds", "result": None, "error": None}
            ended = {"status": "finished", "started_at": now, "ended_at": now, "output": output}
            jobs.update_one({"_id": template}, {"$set": ended})
        document = jobs.find_one({"_id": template})
        assert document is not None
        planned = document["scheduled_for"]
        if shape == "waiting":
            planned -= timedelta(milliseconds=count / 10)
        fast = jobs.with_options(write_concern=WriteConcern(w=1, j=False))
        deadline = time.monotonic() + FILL_SECONDS
        for start in range(0, count, CHUNK):
            if time.monotonic() > deadline:
                return start
            fast.insert_many(
                [
                    {
                        **document,
                        "_id": _id_before(template, count - i),
                        "scheduled_for": planned + timedelta(milliseconds=i // 10),
                    }
                    for i in range(start, min(start + CHUNK, count))
                ],
                ordered=False,
            )
        return count
