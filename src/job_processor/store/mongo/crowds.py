"""How lanes stand, for who looks at them: what runs there, what waits, and whose turn it is.

The index of the slots tells what runs and what was let in, that of the lanes what waits. What is
asked of many lanes is one statement, and each count stops at its cap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from bson import ObjectId

from job_processor.models import WAITS_FOR
from job_processor.store.desks.lanes import Lanes
from job_processor.store.lanes import Bounds, LaneInfo, Turn
from job_processor.store.lenient import moment, text_of, whole
from job_processor.store.mongo.desks import MongoDesk, translated
from job_processor.store.mongo.documents import WAITING_STATUSES, Document
from job_processor.store.mongo.features import LINES, if_used

WAITING: Document = {"$in": WAITING_STATUSES}
ABSENT: Document = {"$exists": False}
PRESENT: Document = {"$exists": True}
HOLDING: Document = {
    "$or": [
        {"status": {"$in": ["pending", "running", "paused"]}},
        {"status": "errored", "ordered": "stop"},
    ]
}
"""As the index of the slots says it, or the server does not see that it may use that."""

_WALKS = 3
"""Steps along the lanes in which anything waits: one goes behind the lane that filled the last."""

_LANES_AT_ONCE = 50
"""Lanes of one statement: each is several parts of it, and a server takes so many of them."""

_REASONS = (None, *WAITS_FOR)
"""For what a waiting job may be parked; None: it is in line."""

_TURN = {"priority": -1, "due": 1, "_id": 1}
_SHOWN: Document = {"name": 1, "due": {"$ifNull": ["$due", "$scheduled_for"]}, "priority": 1}


@translated()
class MongoCrowds(MongoDesk, Lanes):
    """Looks at lanes, and changes nothing."""

    @if_used(LINES, list[str])
    async def _in_use(self, bounds: Sequence[Bounds], limit: int) -> list[str]:
        """Return the lanes in which anything waits or has a slot."""
        parts = [_slotted_within(each, limit) for each in bounds]
        found = {each["lane"] for each in await self._ask(parts) if each.get("lane")}
        left = list(bounds)
        for _ in range(_WALKS):
            if not left:
                break
            parts = [_waiting_within(i, each, limit) for i, each in enumerate(left)]
            pages: dict[int, list[str]] = {}
            for each in await self._ask(parts):
                pages.setdefault(each["part"], []).append(each["lane"])
            found.update(lane for page in pages.values() for lane in page)
            full = {i: page[-1] for i, page in pages.items() if len(page) == limit}
            left = [Bounds(last, left[i].below) for i, last in full.items()]
        return sorted(found)

    async def _look_at(self, lanes: Sequence[str], cap: int) -> list[LaneInfo]:
        """Return how these lanes stand, in their order."""
        found: list[LaneInfo] = []
        for start in range(0, len(lanes), _LANES_AT_ONCE):
            found += await self._stand(lanes[start : start + _LANES_AT_ONCE], cap)
        return found

    async def _stand(self, lanes: Sequence[str], cap: int) -> list[LaneInfo]:
        now = self.book.now()
        parts = [part for i, lane in enumerate(lanes) for part in _parts_of(i, lane, cap, now)]
        told: list[list[Document]] = [[] for _ in lanes]
        for each in await self._ask(parts):
            told[each["part"]].append(each)
        return [_as_info(lane, of_lane) for lane, of_lane in zip(lanes, told, strict=True)]

    async def _members(self, lane: str, limit: int) -> tuple[list[ObjectId], list[ObjectId]]:
        """Return the jobs of a lane that have a slot, and those that are to have one."""
        slotted_ones: list[Document] = [
            {"$match": _slotted(lane)},
            {"$limit": limit},
            *_marked(0, "slotted"),
        ]
        parts: list[list[Document]] = [
            slotted_ones,
            *_turns_of(0, lane, limit, self.book.now()),
        ]
        told = await self._ask(parts)
        slotted = [each["_id"] for each in told if each["of"] == "slotted"]
        return slotted, [turn.id for turn in _in_turn(told)[:limit]]

    async def _ask(self, parts: Sequence[list[Document]]) -> list[Document]:
        """Return what all of these pipelines give, one after the other."""
        if not await self.features.is_used(LINES):
            return []
        return await (await self._jobs.aggregate(self._united(parts))).to_list()


def _slotted(lane: str) -> Document:
    """Match what has a slot of a lane, by the index of the slots."""
    within = {"$gt": f"{lane}#", "$lt": f"{lane}$"}
    return {"slots": {"$exists": True, "$elemMatch": within}, "lane": lane, **HOLDING}


def _slotted_within(bounds: Bounds, limit: int) -> list[Document]:
    within: Document = {"$gt": bounds.above}
    if bounds.below is not None:
        within["$lt"] = bounds.below
    match = {"slots": {"$exists": True, "$elemMatch": within}, **HOLDING}
    return [{"$match": match}, {"$limit": limit}, {"$project": {"_id": 0, "lane": 1}}]


def _waiting_within(part: int, bounds: Bounds, limit: int) -> list[Document]:
    within: Document = {"$gt": bounds.above}
    if bounds.below is not None:
        within["$lt"] = bounds.below
    return [
        {"$match": {"lane": within, "status": WAITING}},
        {"$sort": {"lane": 1}},
        {"$limit": limit},
        {"$project": {"_id": 0, "lane": 1, "part": {"$literal": part}}},
    ]


def _parts_of(part: int, lane: str, cap: int, now: datetime) -> Iterator[list[Document]]:
    """Give what is asked of one lane."""
    shown = {"status": 1, **_SHOWN}
    yield [{"$match": _slotted(lane)}, {"$limit": cap}, *_marked(part, "slotted", shown)]
    for of, parked in (("in line", None), ("parked", {"$gt": ""})):
        waiting = {"lane": lane, "parked": parked, "status": WAITING}
        counted = {"_id": None, "count": {"$sum": 1}}
        yield [
            {"$match": waiting},
            {"$limit": cap},
            {"$group": counted},
            *_marked(part, of, {"count": 1}),
        ]
    yield from _turns_of(part, lane, 1, now)


def _turns_of(part: int, lane: str, limit: int, now: datetime) -> Iterator[list[Document]]:
    """Give what asks whose turn it is: of what is due, and of all."""
    for reason in _REASONS:
        for of in ("due", "later"):
            waiting: Document = {"lane": lane, "parked": reason, "status": WAITING, "slots": ABSENT}
            if of == "due":
                waiting["due"] = {"$lte": now}
            yield [
                {"$match": waiting},
                {"$sort": _TURN},
                {"$limit": limit},
                *_marked(part, of, _SHOWN),
            ]


def _marked(part: int, of: str, shown: Document | None = None) -> list[Document]:
    marks = {"part": {"$literal": part}, "of": {"$literal": of}}
    return [{"$project": {**(shown or {}), **marks}}]


def _as_info(lane: str, told: Sequence[Document]) -> LaneInfo:
    counts: dict[str, int] = {each["of"]: each["count"] for each in told if "count" in each}
    slotted = [each for each in told if each["of"] == "slotted"]
    admitted = [each for each in slotted if each["status"] in WAITING_STATUSES]
    following = _in_turn([{**each, "of": "due"} for each in admitted]) or _in_turn(told)
    return LaneInfo(
        lane,
        running=sum(each["status"] == "running" for each in slotted),
        in_line=counts.get("in line", 0),
        parked=counts.get("parked", 0),
        next=following[0] if following else None,
        stopped_by=next((each["_id"] for each in slotted if each["status"] == "errored"), None),
    )


def _in_turn(told: Sequence[Document]) -> list[Turn]:
    """Return whose turn it is: what is due first, and else what will be.

    What another program has left without a time is passed over.
    """
    found: dict[str, list[tuple[int, Turn]]] = {"due": [], "later": []}
    for each in told:
        due = moment(each.get("due"))
        if each["of"] in found and due is not None:
            turn = Turn(each["_id"], text_of(each.get("name")), due)
            found[each["of"]].append((-whole(each.get("priority"), 0), turn))
    first = [turn for _, turn in sorted(found["due"], key=_urgency)]
    known = {turn.id for turn in first}
    later = sorted((turn for _, turn in found["later"]), key=lambda turn: turn.due)
    return [*first, *(turn for turn in later if turn.id not in known)]


def _urgency(found: tuple[int, Turn]) -> tuple[int, datetime, str]:
    urgency, turn = found
    return urgency, turn.due, str(turn.id)
