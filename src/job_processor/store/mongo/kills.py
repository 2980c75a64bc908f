"""Kill requests: at once for a job that waits, a signal document for one that runs.

The Node package's signals expire an hour after a time that the asking process gives, by the clock
of the server. So each request of ours is kept in the settings as well, where nothing expires: the
signal is what wakes a worker, of whichever package, and the setting is what stands until the job is
settled or gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime

from bson import ObjectId

from job_processor.models import Job, JobStatus
from job_processor.store.desks.kills import Kills
from job_processor.store.mongo.desks import MongoDesk, Plumbing, translated
from job_processor.store.mongo.documents import (
    ACTIVE_STATUSES,
    JOB_TYPES,
    LEAVES_GROUP,
    OUT_OF_LANE,
    TRUE_TIME,
    WAITING_STATUSES,
    Document,
    to_job,
)
from job_processor.store.mongo.modifying import update_then_find

_KIND = "kill"


@translated()
class MongoKills(MongoDesk, Kills):
    """Kills what waits, and leaves, finds and acknowledges requests for what runs."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        self._signals = plumbing.handles.signals
        self._settings = plumbing.handles.settings

    async def _kill_waiting(self, job_id: ObjectId, now: datetime) -> Job | None:
        """Pending, paused or running under no worker → killed; None in other states."""
        document = await update_then_find(
            self._jobs,
            {
                "_id": job_id,
                "type": {"$in": JOB_TYPES},
                "$or": [
                    {"status": {"$in": WAITING_STATUSES}},
                    {"status": JobStatus.RUNNING.value, "worker_id": None},
                ],
            },
            [
                {
                    "$set": {
                        "status": JobStatus.KILLED.value,
                        "ended_at": now,
                        "updated_at": {"$max": ["$updated_at", now]},
                        **TRUE_TIME,
                        **LEAVES_GROUP,
                    }
                },
                OUT_OF_LANE,
                {"$unset": "open_in"},
            ],
        )
        return None if document is None else to_job(document)

    async def _request(self, job_id: ObjectId, worker_id: ObjectId, now: datetime) -> None:
        """Leave a request. A second one is harmless, and takes the place of the first."""
        request = ObjectId()
        kept = {"kind": _KIND, "name": str(job_id), "value": {"job": job_id, "request": request}}
        await self._settings.update_one({"_id": _key(job_id)}, {"$set": kept}, upsert=True)
        await self._signals.insert_one(
            {
                "_id": request,
                "type": "kill",
                "job_id": job_id,
                "worker_id": worker_id,
                "created_at": now,
                "ack": False,
            }
        )

    async def _requested(self, job_ids: Collection[ObjectId]) -> set[ObjectId]:
        """Return those of the jobs that have an unacknowledged request."""
        return {job for job, _ in await self._open(job_ids)}

    async def _acknowledge(self, job_ids: Collection[ObjectId]) -> None:
        """Mark the requests of those of these jobs that are settled or gone as done.

        The requests are read before the jobs: whatever was asked by then was asked of a run that
        has ended. What is asked from then on has another id.
        """
        asked = await self._open(job_ids)
        if not asked:
            return
        going_on = await self._going_on([job for job, _ in asked])
        done = [request for job, request in asked if job not in going_on]
        if not done:
            return
        keys = [_key(job) for job, _ in asked if job not in going_on]
        await self._signals.update_many({"_id": {"$in": done}}, {"$set": {"ack": True}})
        await self._settings.delete_many({"_id": {"$in": keys}, "value.request": {"$in": done}})

    async def prune(self) -> None:
        """Take away what is kept of jobs that are settled or gone, such as those Node killed."""
        query = {"_id": {"$gte": f"{_KIND}:", "$lt": f"{_KIND};"}, "kind": _KIND}
        kept = await self._settings.find(query, {"value.job": 1}).to_list()
        await self.acknowledge([each["value"]["job"] for each in kept])

    async def _open(self, job_ids: Collection[ObjectId]) -> list[tuple[ObjectId, ObjectId]]:
        """Return the requests that stand, each with its job in front."""
        told, kept = await asyncio.gather(self._told(list(job_ids)), self._kept(list(job_ids)))
        return list({*told, *kept})

    async def _told(self, job_ids: list[ObjectId]) -> list[tuple[ObjectId, ObjectId]]:
        query = {"job_id": {"$in": job_ids}, "ack": False, "type": "kill"}
        found = await self._signals.find(query, {"job_id": 1}).to_list()
        return [(each["job_id"], each["_id"]) for each in found]

    async def _kept(self, job_ids: list[ObjectId]) -> list[tuple[ObjectId, ObjectId]]:
        query = {"_id": {"$in": [_key(job_id) for job_id in job_ids]}}
        found: list[Document] = await self._settings.find(query, {"value": 1}).to_list()
        return [(each["value"]["job"], each["value"]["request"]) for each in found]

    async def _going_on(self, job_ids: list[ObjectId]) -> set[ObjectId]:
        query = {"_id": {"$in": job_ids}, "status": {"$in": ACTIVE_STATUSES}}
        return {each["_id"] for each in await self._jobs.find(query, {"_id": 1}).to_list()}


def _key(job_id: ObjectId) -> str:
    return f"{_KIND}:{job_id}"
