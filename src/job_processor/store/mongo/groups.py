"""Groups in MongoDB: one document each, and questions to the indexes of their members."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError
from pymongo.read_concern import ReadConcern

from job_processor.models import JobStatus
from job_processor.store.desks.groups import Groups
from job_processor.store.groups import GroupRecord, group_of, plain_group
from job_processor.store.lenient import status_of, text_of
from job_processor.store.mongo.desks import MongoDesk, Plumbing, translated
from job_processor.store.mongo.documents import ACTIVE_STATUSES, SETTLED_STATUSES, Document
from job_processor.store.mongo.features import GROUPS, if_used
from job_processor.store.mongo.hinting import IndexHint
from job_processor.store.mongo.index import Index
from job_processor.store.mongo.indexes import FAILED_MEMBERS, OPEN_MEMBERS
from job_processor.store.mongo.modifying import update_then_find
from job_processor.store.mongo.whole import find_whole

MENDED_AT_ONCE = 1000
"""Members that one statement mends."""

_ABSENT: Document = {"$exists": False}
_PRESENT: Document = {"$exists": True}


@translated()
class MongoGroups(MongoDesk, Groups):
    """Keeps groups in a collection of their own.

    What it reads is what the primary has last: whoever ended a member sees that it has.
    """

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        self._groups = plumbing.handles.groups
        self._latest = self._groups.with_options(read_concern=ReadConcern("local"))

    async def open(self, record: GroupRecord) -> None:
        """Absent → as given; one that is there stays."""
        with contextlib.suppress(DuplicateKeyError):
            await self._groups.insert_one({"_id": record.id, **plain_group(record)})

    async def _get_many(self, group_ids: Collection[ObjectId]) -> list[GroupRecord]:
        wanted = {"_id": {"$in": list(group_ids)}}
        return [_record(each) for each in await find_whole(self._latest, wanted)]

    async def _newest(self, after: ObjectId | None, limit: int) -> list[GroupRecord]:
        below: Document = {} if after is None else {"_id": {"$lt": after}}
        found = await find_whole(self._groups, below, sort=[("_id", -1)], limit=limit)
        return [_record(each) for each in found]

    async def _unfinished(self, after: ObjectId | None, limit: int) -> list[GroupRecord]:
        left: Document = {"unfinished": True}
        if after is not None:
            left["_id"] = {"$gt": after}
        found = await find_whole(self._latest, left, sort=[("_id", 1)], limit=limit)
        return [_record(each) for each in found]

    async def touch(self, group_id: ObjectId, now: datetime) -> bool:
        """Open → the same, touched now."""
        return await self._write({"_id": group_id, "sealed": False}, {"touched_at": now})

    async def _seal(self, group_id: ObjectId, broken: str | None) -> bool:
        return await self._write({"_id": group_id, "sealed": False}, _sealed(broken))

    async def abandon(self, group_id: ObjectId, untouched_since: datetime, why: str) -> bool:
        """Open, and not touched since → sealed and broken."""
        left = {"_id": group_id, "sealed": False, "touched_at": {"$lte": untouched_since}}
        return await self._write(left, _sealed(why))

    async def break_off(self, group_id: ObjectId, why: str) -> bool:
        """Not ended → sealed and broken."""
        return await self._write({"_id": group_id, "completed_at": _ABSENT}, _sealed(why))

    async def _write(self, selection: Document, fields: Document) -> bool:
        result = await self._groups.update_one(selection, {"$set": fields})
        return result.matched_count == 1

    async def reopen(self, group_id: ObjectId, now: datetime) -> GroupRecord | None:
        """Sealed, and owing nothing → open, in its next round if it had ended."""
        at_rest: Document = {
            "_id": group_id,
            "sealed": True,
            "$or": [{"completed_at": _ABSENT}, {"unfinished": _ABSENT}],
        }
        has_ended = {"$gt": ["$completed_at", None]}
        opened: list[Document] = [
            {
                "$set": {
                    "sealed": False,
                    "touched_at": now,
                    "unfinished": True,
                    "round": {"$cond": [has_ended, {"$add": ["$round", 1]}, "$round"]},
                }
            },
            {"$unset": ["completed_at", "failed", "broken"]},
        ]
        document = await update_then_find(self._groups, at_rest, opened)
        return None if document is None else _record(document)

    async def _open_of(self, group_ids: Collection[ObjectId]) -> set[ObjectId]:
        return {group_id for group_id in group_ids if await self._any(OPEN_MEMBERS, group_id)}

    async def _any(self, index: Index, group_id: ObjectId, **more: Any) -> bool:
        """Tell whether any member is in an index of one field under a group."""
        if not await self.features.is_used(GROUPS):
            return False
        ((field, _),) = index.keys

        async def look(hint: IndexHint) -> Document | None:
            return await self._last.find_one({field: group_id, **more}, {"_id": 1}, hint=hint)

        return await self._hinting.walk(index, look) is not None

    async def _complete(self, group_id: ObjectId, now: datetime) -> GroupRecord | None:
        """Sealed, not ended, nothing open → ended.

        That nothing is open is asked once more where none has failed: one that failed, and was sent
        round again since the first question, is neither of the two only for as long as it is open.
        """
        document = await self._latest.find_one({"_id": group_id})
        record = None if document is None else _record(document)
        if record is None or not record.sealed or record.completed_at is not None:
            return None
        failed = record.broken is not None or await self._any(FAILED_MEMBERS, group_id)
        if not failed and await self._any(OPEN_MEMBERS, group_id):
            return None
        going_on: Document = {
            "_id": group_id,
            "sealed": True,
            "completed_at": _ABSENT,
            "round": record.round,
            "broken": _ABSENT if record.broken is None else record.broken,
        }
        ended = {"completed_at": now, "failed": failed, "unfinished": True}
        if not await self._write(going_on, ended):
            return None
        return replace(record, completed_at=now, failed=failed, unfinished=True)

    async def note_served(self, group_id: ObjectId, round: int) -> None:
        """Ended in this round → owing nothing."""
        ended = {"_id": group_id, "round": round, "completed_at": _PRESENT}
        await self._groups.update_one(ended, {"$unset": {"unfinished": ""}})

    @if_used(GROUPS, int)
    async def _mend(self, group_ids: Collection[ObjectId]) -> int:
        stale = [each for each in group_ids if not await self._any(OPEN_MEMBERS, each, **_ACTIVE)]
        if not stale:
            return 0
        settled: Document = {"open_in": {"$in": stale}, "status": _SETTLED}

        async def find(hint: IndexHint) -> list[Document]:
            found = self._last.find(settled, {"_id": 1}, limit=MENDED_AT_ONCE, hint=hint)
            return await found.to_list()

        ids = [each["_id"] for each in await self._hinting.walk(OPEN_MEMBERS, find)]
        if not ids:
            return 0
        has_failed = {"$cond": [{"$eq": ["$status", "finished"]}, "$$REMOVE", "$group"]}
        change: list[Document] = [{"$set": {"failed_in": has_failed}}, {"$unset": "open_in"}]
        result = await self._jobs.update_many({"_id": {"$in": ids}, "status": _SETTLED}, change)
        return result.modified_count

    @if_used(GROUPS, dict[str, dict[JobStatus, int]])
    async def counts(self, group_id: ObjectId) -> dict[str, dict[JobStatus, int]]:
        """Count the members by name and state."""
        pipeline: list[Document] = [
            {"$match": {"group": group_id}},
            {"$group": {"_id": {"name": "$name", "status": "$status"}, "count": {"$sum": 1}}},
        ]
        counts: defaultdict[str, dict[JobStatus, int]] = defaultdict(dict)
        async for each in await self._jobs.aggregate(pipeline):
            key = each["_id"]
            counts[text_of(key["name"])][status_of(key["status"])] = each["count"]
        return dict(counts)

    async def prune(self, before: datetime) -> None:
        """Remove groups that ended before a time."""
        old = {"completed_at": {"$lt": before}, "unfinished": _ABSENT}
        await self._groups.delete_many(old)


_SETTLED: Document = {"$in": SETTLED_STATUSES}
_ACTIVE: Document = {"status": {"$in": ACTIVE_STATUSES}}


def _sealed(broken: str | None) -> dict[str, Any]:
    return {"sealed": True} if broken is None else {"sealed": True, "broken": broken}


def _record(document: Document) -> GroupRecord:
    return group_of(document["_id"], document)
