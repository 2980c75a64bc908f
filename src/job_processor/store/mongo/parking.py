"""Parked jobs, and what else is done with lanes beside claiming: all that needs no free slot."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import UpdateMany

from job_processor.clock import FAR
from job_processor.models import FOR_A_SLOT, FOR_A_TOKEN
from job_processor.store.lanes import lines_of, slots_of
from job_processor.store.lenient import moment
from job_processor.store.mongo.aside import Aside
from job_processor.store.mongo.crowds import ABSENT, HOLDING, PRESENT, WAITING, MongoCrowds
from job_processor.store.mongo.desks import Plumbing, translated
from job_processor.store.mongo.documents import (
    HAS_LANE,
    LINE,
    OUT_OF_LANE,
    TRUE_TIME,
    Document,
)
from job_processor.store.mongo.features import LINES, PARKING, if_used
from job_processor.store.mongo.hinting import IndexHint
from job_processor.store.mongo.indexes import EXPIRING, LANE, LINE_BY_TIME

_NAMES_AT_ONCE = 200
"""Names of one statement that counts."""

_WALKED_AT_ONCE = 100
"""Documents read at a time in a walk along the lanes."""

_WAITS_ON: Document = {"$or": [{"$isArray": "$waiting_for"}, {"$isArray": "$topics"}]}
_OUT_OF_LANE_ALONE: list[Document] = [
    {
        "$set": {
            "scheduled_for": {"$cond": [_WAITS_ON, "$scheduled_for", "$due"]},
            "due": {"$cond": [_WAITS_ON, "$due", "$$REMOVE"]},
            "parked": {"$cond": [_WAITS_ON, "$parked", "$$REMOVE"]},
        }
    },
    {"$unset": ["lane", "slots", "ordered", "line", "ready"]},
]
"""What becomes of a job whose lane is no more: what else it waits for, it waits for still."""

_FOR_A_TOKEN: Document = {"$eq": ["$parked", FOR_A_TOKEN]}
_HAS_PLACE: Document = {"$eq": [{"$ifNull": ["$parked", FOR_A_SLOT]}, FOR_A_SLOT]}
_UNLIMITED: Document = {"$unset": ["lane", "slots", "ordered"]}
_IN_RATE_LANE_ALONE: Document = {
    "$set": {
        "line": {"$cond": [_FOR_A_TOKEN, "$$REMOVE", LINE]},
        "ready": {"$cond": [_FOR_A_TOKEN, "$$REMOVE", {"$ifNull": ["$ready", "$due"]}]},
        "parked": {"$cond": [_HAS_PLACE, "$$REMOVE", "$parked"]},
    }
}
"""What a job becomes that has a rate, and no limit any more."""


@translated()
class MongoParking(MongoCrowds):
    """Parks and releases, and looks at what waits in lanes."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        self._aside = Aside(plumbing)

    async def _park(self, job_ids: Collection[ObjectId], reason: str, now: datetime) -> int:
        """Pending without a slot, in line or in no lane → parked."""
        del now
        await self.features.use(PARKING)
        waiting: Document = {
            "_id": {"$in": list(job_ids)},
            "status": "pending",
            "parked": ABSENT,
            "slots": ABSENT,
        }
        due = {"$ifNull": ["$due", "$scheduled_for"]}
        parked = {"due": due, "scheduled_for": FAR, "parked": {"$literal": reason}}
        change: list[Document] = [{"$set": parked}, {"$unset": ["line", "ready"]}]
        return (await self._jobs.update_many(waiting, change)).modified_count

    async def _release(
        self, job_ids: Collection[ObjectId], now: datetime, at: datetime | None
    ) -> int:
        """Parked → in the line of its lane, or as any job where it has none."""
        del now
        parked: Document = {
            "_id": {"$in": list(job_ids)},
            "status": WAITING,
            "parked": PRESENT,
        }
        then: Any = "$due" if at is None else at
        released = {
            "scheduled_for": {"$cond": [HAS_LANE, "$scheduled_for", then]},
            "due": {"$cond": [HAS_LANE, "$due", "$$REMOVE"]},
            "ready": {"$cond": [HAS_LANE, then, "$$REMOVE"]},
            "line": {"$cond": [HAS_LANE, LINE, "$$REMOVE"]},
        }
        change: list[Document] = [{"$set": released}, {"$unset": ["parked", "topics"]}]
        return (await self._jobs.update_many(parked, change)).modified_count

    @if_used(LINES, int)
    async def _withdraw(
        self, lanes: Collection[str], before: datetime, names: Collection[str]
    ) -> int:
        """Admitted before a time and of none of these names → parked."""
        admitted: Document = {
            "lane": {"$in": list(lanes)},
            "parked": None,
            "status": WAITING,
            "slots": PRESENT,
            "ordered": ABSENT,
            "ready": {"$lt": before},
            "name": {"$nin": list(names)},
        }
        change = {
            "$set": {"parked": FOR_A_SLOT},
            "$unset": {"slots": "", "line": "", "ready": ""},
        }
        return (await self._jobs.update_many(admitted, change)).modified_count

    @if_used(LINES, int)
    async def _retract(self, lanes: Mapping[str, int]) -> int:
        """Admitted with a slot beyond the limit of its lane → parked."""
        change = {
            "$set": {"parked": FOR_A_SLOT},
            "$unset": {"slots": "", "line": "", "ready": ""},
        }
        operations = [
            UpdateMany(
                {
                    "lane": lane,
                    "parked": None,
                    "status": WAITING,
                    "slots": {"$exists": True, "$nin": slots_of(lane, amount)},
                    "ordered": ABSENT,
                    "line": PRESENT,
                },
                change,
            )
            for lane, amount in lanes.items()
        ]
        return (await self._jobs.bulk_write(operations, ordered=False)).modified_count

    @if_used(LINES, int)
    async def _dissolve(self, lanes: Collection[str], names: Collection[str], limit: int) -> int:
        """Waiting in these lanes, of these names → in none."""
        waiting: Document = {
            "lane": {"$in": list(lanes)},
            "status": WAITING,
            "name": {"$in": list(names)},
        }
        found = await self._last.find(waiting, {"_id": 1}, limit=limit).to_list()
        if not found:
            return 0
        rated = {
            **waiting,
            "_id": {"$in": [each["_id"] for each in found]},
            "rate_lane": PRESENT,
            "waiting_for": ABSENT,
            "topics": ABSENT,
        }
        kept = await self._jobs.update_many(rated, [_UNLIMITED, _IN_RATE_LANE_ALONE])
        return kept.modified_count + await self._take_out(waiting, found, _OUT_OF_LANE_ALONE)

    @if_used(PARKING, int)
    async def _expire(self, now: datetime, limit: int) -> int:
        """Waiting unbegun without a slot, and expired → in no lane, at its own time."""
        expired: Document = {
            "expires_at": {"$lte": now},
            "due": PRESENT,
            "status": "pending",
            "attempt": {"$in": [None, 1]},
            "started_at": None,
            "slots": ABSENT,
        }

        async def walk(hint: IndexHint) -> list[Document]:
            order = [("expires_at", 1)]
            found = self._last.find(expired, {"_id": 1}, sort=order, limit=limit)
            return await (found if hint is None else found.hint(hint)).to_list()

        found = await self._hinting.walk(EXPIRING, walk)
        gone = {"$unset": ["lane", "slots", "ordered", "rate_lane"]}
        change = [{"$set": TRUE_TIME}, OUT_OF_LANE, gone]
        return await self._take_out(expired, found, change)

    async def _take_out(
        self, guard: Document, found: Sequence[Document], change: list[Document]
    ) -> int:
        """Let those found that are so still be in no lane."""
        if not found:
            return 0
        ids = [each["_id"] for each in found]
        return (await self._jobs.update_many({**guard, "_id": {"$in": ids}}, change)).modified_count

    @if_used(LINES, list[str])
    async def _waiting(self, after: str, limit: int) -> list[str]:
        """Return the lanes in which anything waits, from one to the next by the index."""
        lanes: list[str] = []
        last = after
        while len(lanes) < limit:
            behind: Document = {"lane": {"$gt": last}, "status": WAITING}

            async def walk(hint: IndexHint, behind: Document = behind) -> list[Document]:
                found = self._last.find(
                    behind, {"_id": 0, "lane": 1}, sort=[("lane", 1)], limit=_WALKED_AT_ONCE
                )
                return await (found if hint is None else found.hint(hint)).to_list()

            page = await self._hinting.walk(LANE, walk)
            lanes += dict.fromkeys(each["lane"] for each in page)
            if len(page) < _WALKED_AT_ONCE:
                break
            last = lanes[-1]
        return lanes[:limit]

    @if_used(PARKING, dict[str, int])
    async def _parked(self, names: Collection[str], cap: int) -> dict[str, int]:
        """Count the parked jobs of each name."""
        parts: list[list[Document]] = [
            [
                {"$match": {"name": name, "parked": PRESENT, "status": WAITING}},
                {"$limit": cap},
                {"$group": {"_id": {"$literal": name}, "count": {"$sum": 1}}},
            ]
            for name in await self._names_of_parked(names)
        ]
        counts: dict[str, int] = {}
        for start in range(0, len(parts), _NAMES_AT_ONCE):
            united = self._united(parts[start : start + _NAMES_AT_ONCE])
            async for each in await self._jobs.aggregate(united):
                counts[each["_id"]] = each["count"]
        return counts

    async def _names_of_parked(self, names: Collection[str]) -> list[str]:
        """Return those of the names of which anything is parked: mostly none."""
        parked: Document = {"name": {"$in": list(names)}, "parked": PRESENT, "status": WAITING}
        if await self._jobs.find_one(parked, {"_id": 1}) is None:
            return []
        return list(names)

    async def holding(self, job_ids: Collection[ObjectId]) -> dict[ObjectId, str]:
        """Return the lanes of those of these jobs that have a slot."""
        wanted: Document = {"_id": {"$in": list(job_ids)}, "slots": PRESENT, **HOLDING}
        found = await self._last.find(wanted, {"lane": 1}).to_list()
        return {each["_id"]: each["lane"] for each in found}

    async def _next_ready(self, names: Collection[str], after: datetime | None) -> datetime | None:
        """Return when the first job of these names is ready that is in line."""
        if not await self.features.is_used(LINES):
            return None
        waiting: Document = {"line": {"$in": lines_of(names)}, "status": WAITING}
        if after is not None:
            waiting["ready"] = {"$gt": after}

        async def walk(hint: IndexHint) -> Document | None:
            return await self._last.find_one(
                waiting, {"_id": 0, "ready": 1}, sort=[("ready", 1)], hint=hint
            )

        first = await self._hinting.walk(LINE_BY_TIME, walk)
        return None if first is None else moment(first["ready"])
