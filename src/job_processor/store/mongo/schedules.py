"""Schedules that were made at run time: one document each, found by when they are due."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import ReplaceOne
from pymongo.errors import DuplicateKeyError

from job_processor.clock import EPOCH
from job_processor.settings import CLAIM_NAMES
from job_processor.store.desks.schedules import Schedules
from job_processor.store.mongo.desks import MongoDesk, Plumbing, translated
from job_processor.store.mongo.documents import Document
from job_processor.store.mongo.whole import find_one_whole, find_whole
from job_processor.store.schedules import Schedule


@translated()
class MongoSchedules(MongoDesk, Schedules):
    """Replaces a document where its token is still the one that was read."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        self._schedules = plumbing.handles.schedules

    async def get(self, name: str) -> Schedule | None:
        """Return a schedule."""
        found = await find_one_whole(self._schedules, {"_id": name})
        return None if found is None else _schedule(found)

    async def _put(self, schedule: Schedule, expected: ObjectId | None) -> bool:
        """Insert it, or replace the one with this token; `put` tells it from a move."""
        document = {**_document(schedule), "put": True}
        if expected is not None:
            as_read = {"_id": schedule.name, "token": expected}
            return (await self._schedules.replace_one(as_read, document)).matched_count == 1
        try:
            await self._schedules.insert_one(document)
        except DuplicateKeyError:
            return False
        return True

    async def remove(self, name: str) -> bool:
        """Remove a schedule; False where there is none."""
        return (await self._schedules.delete_one({"_id": name})).deleted_count == 1

    async def _page(self, after: str, limit: int, job: str | None) -> list[Schedule]:
        """Return schedules by name."""
        selection: Document = {"_id": {"$gt": after}}
        if job is not None:
            selection["job"] = job
        return await self._find(selection, sort=[("_id", 1)], limit=limit)

    async def _due(self, jobs: Collection[str], now: datetime, limit: int) -> list[Schedule]:
        """Return what is due, the earliest first: of each group of jobs, so that none is sorted."""
        found: list[Schedule] = []
        for group in _groups(jobs):
            selection = {"job": {"$in": group}, "due": {"$lte": now}}
            found += await self._find(selection, sort=[("due", 1)], limit=limit)
        return sorted(found, key=lambda each: (each.due or EPOCH, each.name))[:limit]

    async def _next_due(self, jobs: Collection[str]) -> datetime | None:
        """Return when the first is due."""
        earliest: datetime | None = None
        for group in _groups(jobs):
            document = await self._schedules.find_one(
                {"job": {"$in": group}, "due": {"$gte": EPOCH}}, {"due": 1}, sort=[("due", 1)]
            )
            if document is not None:
                found: datetime = document["due"]
                earliest = found if earliest is None else min(earliest, found)
        return earliest

    async def moved_after(self, moment: datetime, limit: int) -> list[Schedule]:
        """Return those that were moved later."""
        return await self._find({"moved_at": {"$gt": moment}}, limit=limit)

    async def _advance(self, moves: Sequence[tuple[Schedule, Schedule]]) -> set[str]:
        """Replace those whose token is still the one that was read; where some lost, see which."""
        operations = [
            ReplaceOne({"_id": before.name, "token": before.token}, _document(after))
            for before, after in moves
        ]
        result = await self._schedules.bulk_write(operations, ordered=False)
        if result.matched_count == len(moves):
            return {after.name for _, after in moves}
        written = {after.token for _, after in moves}
        names = [after.name for _, after in moves]
        found = self._schedules.find({"_id": {"$in": names}}, {"token": 1})
        return {each["_id"] async for each in found if each["token"] in written}

    async def prune(self, before: datetime, limit: int) -> int:
        """Remove those that have ended before; return how many."""
        selection = {"ended_at": {"$gte": EPOCH, "$lt": before}}
        found = self._schedules.find(selection, {"_id": 1}).limit(limit)
        names = [each["_id"] async for each in found]
        if not names:
            return 0
        ended = {"_id": {"$in": names}, **selection}
        return (await self._schedules.delete_many(ended)).deleted_count

    async def _find(self, selection: Mapping[str, Any], **options: Any) -> list[Schedule]:
        found = await find_whole(self._schedules, selection, **options)
        return [_schedule(each) for each in found]


def _groups(jobs: Collection[str]) -> list[list[str]]:
    every = list(jobs)
    return [every[start : start + CLAIM_NAMES] for start in range(0, len(every), CLAIM_NAMES)]


def _document(schedule: Schedule) -> Document:
    """Return a schedule as its document; what it is found by stands beside its values."""
    document: Document = {
        "_id": schedule.name,
        "job": schedule.job,
        "token": schedule.token,
        "moved_at": schedule.moved_at,
        "value": schedule.values(),
    }
    if schedule.due is not None:
        document["due"] = schedule.due
    if schedule.ended_at is not None:
        document["ended_at"] = schedule.ended_at
    return document


def _schedule(document: Mapping[str, Any]) -> Schedule:
    return Schedule.of(document["value"], document["token"])
