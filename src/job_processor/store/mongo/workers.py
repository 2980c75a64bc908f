"""Registrations of workers, by the database's clock."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bson import ObjectId

from job_processor.clock import EPOCH
from job_processor.models import Registrations, Vitals, WorkerInfo
from job_processor.store.desks.lazily import Lazily
from job_processor.store.desks.workers import Workers
from job_processor.store.lenient import (
    fields_of,
    list_of,
    moment,
    number,
    text_of,
    text_or_none,
    whole,
)
from job_processor.store.mongo.desks import MongoDesk, Plumbing, translated
from job_processor.store.mongo.documents import Document
from job_processor.store.mongo.handles import hello

if TYPE_CHECKING:
    from job_processor.store.mongo.queue import MongoQueue


def beat_update(memory: int | None, clock_ahead: float | None) -> list[Document]:
    """Return what a heartbeat sets; `lastSeen` is by the clock of the database."""
    fields: Document = {
        "lastSeen": "$$NOW",
        "clock_ahead": "$$REMOVE" if clock_ahead is None else clock_ahead,
    }
    if memory is not None:
        fields["memory"] = memory
    return [{"$set": fields}]


@translated()
class MongoWorkers(MongoDesk, Workers):
    """Registers, lists and removes workers."""

    _queue: Lazily[MongoQueue] = Lazily("queue")
    """Where it is found when the first job is due."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        self._workers = plumbing.handles.workers
        self._turns = plumbing.turns

    async def now(self) -> datetime:
        """Return the database's present time."""
        now: datetime = (await hello(self._handles))["localTime"]
        return now

    async def register(self, worker: WorkerInfo) -> None:
        """Absent → registered, seen now; or refresh it."""
        document = {"$literal": _worker_document(worker)}
        await self._workers.update_one(
            {"_id": worker.id},
            [{"$replaceWith": {"$mergeObjects": [document, {"lastSeen": "$$NOW"}]}}],
            upsert=True,
        )
        self._turns.join(worker)

    async def beat(
        self, worker_id: ObjectId, memory: int | None = None, clock_ahead: float | None = None
    ) -> bool:
        """Set `lastSeen` to the database's present time; False when it is not registered."""
        update = beat_update(memory, clock_ahead)
        result = await self._workers.update_one({"_id": worker_id}, update)
        return result.matched_count == 1

    async def unregister(self, worker_id: ObjectId) -> None:
        """Registered → absent."""
        self._turns.leave(worker_id)
        await self._workers.delete_one({"_id": worker_id})

    async def registrations(self) -> Registrations:
        """Return all registered workers with the database's present time."""
        cursor = await self._workers.aggregate([{"$project": {"worker": "$$ROOT", "now": "$$NOW"}}])
        documents = await cursor.to_list()
        now = documents[0]["now"] if documents else await self.now()
        workers = tuple(_to_worker(each["worker"]) for each in documents)
        self._turns.see([worker for worker in workers if not worker.is_dead(now)])
        return Registrations(now, workers)

    async def count_alive(self) -> int:
        """Count the registered workers that are alive."""
        _, _, alive = await self._counts()
        return alive

    async def vitals(self, leaving_out: Collection[str] = ()) -> Vitals:
        """Count the workers and find the first due job's time."""
        now, workers, alive = await self._counts()
        due_since = await self._queue.due_since(now, leaving_out)
        return Vitals(now, workers, alive, due_since)

    async def _counts(self) -> tuple[datetime, int, int]:
        """Return the database's time, how many are registered, and how many of those live."""
        shown = {"_id": 0, "lastSeen": 1, "timeout_s": 1, "now": "$$NOW"}
        cursor = await self._workers.aggregate([{"$project": shown}])
        found = await cursor.to_list()
        now = found[0]["now"] if found else await self.now()
        workers = [_to_worker({"_id": None, **each}) for each in found]
        return now, len(workers), sum(not worker.is_dead(now) for worker in workers)

    async def remove_dead(self, worker: WorkerInfo) -> bool:
        """Registered, with the very `lastSeen` that was read → absent; False when it moved on."""
        result = await self._workers.delete_one({"_id": worker.id, "lastSeen": worker.last_seen})
        return result.deleted_count == 1


def _worker_document(worker: WorkerInfo) -> Document:
    """Return a registration without `lastSeen`; the first fields are the Node package's.

    The name of a cron may hold dots and dollars, so it is no field name but a value.
    """
    document: Document = {
        "_id": worker.id,
        "hostname": worker.hostname,
        "tags": None if worker.tags is None else list(worker.tags),
    }
    ours: Document = {
        "timeout_s": worker.timeout_s,
        "service": worker.service,
        "names": list(worker.names) or None,
        "crons": [{"name": name, "hash": hash} for name, hash in worker.crons.items()] or None,
        "pid": worker.pid,
        "version": worker.version,
        "concurrency": worker.concurrency,
        "started_at": worker.started_at,
        "memory": worker.memory,
        "clock_ahead": worker.clock_ahead,
        "limits": list(worker.limits) or None,
        "rates": list(worker.rates) or None,
    }
    return document | {name: value for name, value in ours.items() if value is not None}


def _to_worker(document: Mapping[str, Any]) -> WorkerInfo:
    tags = document.get("tags")
    crons = map(fields_of, list_of(document.get("crons")))
    return WorkerInfo(
        id=document["_id"],
        hostname=text_of(document.get("hostname") or ""),
        # One without it was never seen: its age is beyond every timeout.
        last_seen=moment(document.get("lastSeen")) or EPOCH,
        tags=tuple(map(text_of, tags)) if isinstance(tags, list) else None,
        timeout_s=number(document.get("timeout_s")),
        service=text_or_none(document.get("service")),
        names=tuple(map(text_of, list_of(document.get("names")))),
        crons={text_of(each.get("name")): text_of(each.get("hash")) for each in crons},
        pid=whole(document.get("pid")),
        version=text_or_none(document.get("version")),
        concurrency=whole(document.get("concurrency")),
        started_at=moment(document.get("started_at")),
        memory=whole(document.get("memory")),
        clock_ahead=number(document.get("clock_ahead")),
        limits=tuple(map(text_of, list_of(document.get("limits")))),
        rates=tuple(map(text_of, list_of(document.get("rates")))),
    )
