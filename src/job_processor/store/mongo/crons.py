"""Crons and their standing occurrences. What the Node package made is never removed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from job_processor.clock import EPOCH
from job_processor.models import Cron, Output, SkipMetadata, cron_id, occurrence_id
from job_processor.store.desks.crons import Crons
from job_processor.store.mongo.desks import MongoDesk, Plumbing, translated
from job_processor.store.mongo.documents import (
    OUT_OF_LANE,
    TRUE_TIME,
    WAITING_STATUSES,
    Document,
    cron_document,
    to_cron,
)
from job_processor.store.plain import plain_output


@translated()
class MongoCrons(MongoDesk, Crons):
    """Creates, moves and removes crons, and removes occurrences that no longer stand."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        self._shares_with_node = plumbing.shares_with_node

    async def all(self) -> list[Cron]:
        """Return all crons of the database, by name."""
        crons = self._jobs.find({"type": "cron"}, sort=[("name", 1)])
        return [to_cron(document) async for document in crons]

    async def create(self, cron: Cron) -> bool:
        """Absent → as given; False when a cron of this name is there, whoever made it.

        Two that create at once use one id, derived from the name: the second is refused.
        """
        document = cron_document(cron) | {"_id": cron_id(cron.name)}
        try:
            result = await self._jobs.update_one(
                {"type": "cron", "name": cron.name}, {"$setOnInsert": document}, upsert=True
            )
        except DuplicateKeyError:
            return False
        return result.upserted_id is not None

    async def update(
        self, cron: Cron, cron_string: str, scheduled_for: datetime, now: datetime
    ) -> bool:
        """Move a cron's pointer, only if expression and pointer are still those of `cron`."""
        result = await self._jobs.update_one(
            {
                "_id": cron.id,
                "type": "cron",
                "cron_string": cron.cron_string,
                "scheduled_for": cron.scheduled_for,
            },
            {
                "$set": {
                    "cron_string": cron_string,
                    "scheduled_for": scheduled_for,
                    "updated_at": now,
                }
            },
        )
        return result.matched_count == 1

    async def standing_at(self, job_ids: Collection[ObjectId]) -> list[Cron]:
        """Return the crons whose pointer stands at one of these; Node's have ids of their own."""
        standing = await super().standing_at(job_ids)
        if not self._shares_with_node():
            return standing
        tasks = {"_id": {"$in": list(job_ids)}, "type": "cron_task"}
        found = self._jobs.find(tasks, {"name": 1, "scheduled_for": 1})
        moments = {(each["name"], each["scheduled_for"]) async for each in found}
        known = {each.name for each in standing}
        return standing + [
            each
            for each in await self.all()
            if each.name not in known and (each.name, each.scheduled_for) in moments
        ]

    async def remove(self, name: str) -> None:
        """Present → absent, with its pending occurrences; the cron last, so that it is repeated."""
        await self._take_away(name, await self._standing(name, EPOCH))
        await self._jobs.delete_one({"_id": cron_id(name), "type": "cron"})

    async def remove_occurrences(
        self, name: str, after: datetime, keep: Collection[ObjectId]
    ) -> int:
        """Pending cron tasks later than `after`, of derived ids and not in `keep` → absent."""
        standing = await self._standing(name, after)
        superfluous = {id: moment for id, moment in standing.items() if id not in keep}
        if not superfluous:
            return 0
        # Read after them: what stood there then and is not the pointer's, the pointer never meets,
        # unless as an occurrence of a definition that came in between.
        pointer = await self._jobs.find_one(
            {"type": "cron", "name": name}, {"_id": 0, "scheduled_for": 1}
        )
        if pointer is not None and occurrence_id(name, pointer["scheduled_for"]) not in keep:
            first = pointer["scheduled_for"]
            superfluous = {id: each for id, each in superfluous.items() if each >= first}
        return await self._take_away(name, superfluous)

    async def _skip_waiting(self, name: str, now: datetime) -> int:
        """Pending or paused cron tasks of this name → skipped."""
        output = Output("--", None, None, SkipMetadata("other", None, now))
        result = await self._jobs.update_many(
            {"type": "cron_task", "name": name, "status": {"$in": WAITING_STATUSES}},
            [
                {
                    "$set": {
                        "status": "skipped",
                        "output": {"$literal": plain_output(output)},
                        "updated_at": now,
                        "ended_at": now,
                        **TRUE_TIME,
                    }
                },
                OUT_OF_LANE,
            ],
        )
        return result.modified_count

    async def _standing(self, name: str, after: datetime) -> dict[ObjectId, datetime]:
        """Return the planned times of the occurrences that wait untouched, by id."""
        waiting = self._jobs.find(_untouched(name, after), {"scheduled_for": 1})
        return {
            document["_id"]: document["scheduled_for"]
            async for document in waiting
            if document["_id"] == occurrence_id(name, document["scheduled_for"])
        }

    async def _take_away(self, name: str, occurrences: Collection[ObjectId]) -> int:
        if not occurrences:
            return 0
        untouched = _untouched(name, EPOCH)
        result = await self._jobs.delete_many({**untouched, "_id": {"$in": list(occurrences)}})
        return result.deleted_count


def _untouched(name: str, after: datetime) -> Document:
    """Match occurrences that no retry has put back."""
    return {
        "type": "cron_task",
        "name": name,
        "status": "pending",
        "scheduled_for": {"$gt": after},
        "attempt": {"$in": [None, 1]},
        "planned_for": None,
        "due": None,  # one that waits in a lane came due
    }
