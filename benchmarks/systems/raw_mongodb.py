"""A bare pymongo loop that does the batches of our worker; no library."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from pymongo import MongoClient, UpdateOne, WriteConcern

from benchmarks import probe
from benchmarks.systems import raws
from benchmarks.systems.base import MONGODB_SHARE, Producer, Task
from job_processor.store.mongo.indexes import CLAIM

WAITING = {"$in": ["paused", "pending"]}
ORDER = [("priority", -1), ("scheduled_for", 1)]
OUTPUT = {"duration": "0 seconds", "result": None, "error": None}


def jobs() -> Any:
    """Return the collection, acknowledged by the majority and journalled, as ours is."""
    client: MongoClient[dict[str, Any]] = MongoClient(os.environ["BENCH_MONGODB_URL"])
    collection = client.get_default_database()["job_processor.jobs"]
    return collection.with_options(write_concern=WriteConcern(w="majority", j=True))


def drain(size: int) -> None:
    """Find, claim, read back and complete so many at a time, until nothing is left."""
    collection, worker = jobs(), ObjectId()
    while True:
        now = datetime.now(UTC)
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        due = {"name": {"$in": ["noop"]}, "status": WAITING, "scheduled_for": {"$lte": now}}
        found = collection.find(
            due, {"_id": 1}, sort=ORDER, limit=size, batch_size=size, hint=list(CLAIM.keys)
        )
        ids = [each["_id"] for each in found]
        if not ids:
            return
        started = {"$ifNull": ["$started_at", now]}
        running = {"status": "running", "worker_id": worker, "updated_at": now}
        change = [{"$set": {**running, "started_at": started}}]
        collection.update_many({"_id": {"$in": ids}, "status": WAITING}, change)
        ours = {"_id": {"$in": ids}, **running}
        claimed = list(collection.find(ours, limit=size, batch_size=size))
        probe.counter().hit(len(claimed))
        done = {"status": "finished", "updated_at": now, "ended_at": now, "output": OUTPUT}
        fence = {"status": "running", "worker_id": worker}
        writes = [UpdateOne({"_id": each["_id"], **fence}, {"$set": done}) for each in claimed]
        collection.bulk_write(writes, ordered=False)


class RawProducer(Producer):
    """Inserts documents."""

    async def open(self) -> None:
        """Make the indexes; learn what a document of ours looks like."""
        await asyncio.to_thread(raws.prepare, os.environ["BENCH_MONGODB_URL"])
        self._jobs = jobs()
        self._document = self._jobs.find_one_and_delete({})

    async def one(self, task: Task, value: int) -> None:
        """Insert one."""
        self._jobs.insert_one(self._make(value))

    async def many(self, task: Task, values: Sequence[int]) -> None:
        """Insert many in one command."""
        self._jobs.insert_many([self._make(value) for value in values], ordered=False)

    def _make(self, value: int) -> dict[str, Any]:
        now = datetime.now(UTC)
        times = dict.fromkeys(("scheduled_for", "created_at", "updated_at"), now)
        return {**self._document, "_id": ObjectId(), "payload": {"n": value}, **times}


class InHundreds(raws.RawSystem):
    """Three commands to claim, one to complete, for a hundred jobs."""

    key = "raw-mongodb"
    title = "Bare pymongo, in hundreds"
    rival = "mongodb"
    server = "mongodb"
    share = MONGODB_SHARE
    packages = ("pymongo",)
    module = "raw_mongodb"
    bulk = "insert_many"


SYSTEMS = (InHundreds(),)
PRODUCERS = {"raw-mongodb": RawProducer}

if __name__ == "__main__":
    drain(raws.HUNDRED)
