"""Lanes of jobs that share a rate: one document each, changed by pipelines on the server's clock.

What the pipelines work out is what `store.rates.Lane` does; a document that is not there is a new
lane. `at` is the present time of the last write, and `granted` what that granted: how a caller
learns it in the same round trip.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.errors import DuplicateKeyError

from job_processor.settings import LANE_KEPT
from job_processor.store.desks.rates import Rates
from job_processor.store.lenient import fields_of, list_of, number, whole
from job_processor.store.mongo.desks import MongoDesk, Plumbing, translated
from job_processor.store.mongo.documents import Document
from job_processor.store.mongo.modifying import find_one_and_update
from job_processor.store.rates import (
    DATE_STEP,
    GRANTS_KEPT,
    KEYED_RATE,
    KEYLESS_RATE,
    LAST_CHARACTER,
    NOTABLE,
    ROUNDING,
    SPARE,
    Grant,
    Lane,
    LaneState,
    Pace,
    Reservation,
    new_id,
)

_NOW = {"$toLong": "$$NOW"}
"""A number: a difference of dates is not what every server makes of it."""
_NO_LAST: Document = {"$set": {"last": None}}
_TRIES = 5
"""Times that starts are given back, where somebody else was faster at that lane."""

_UNUSED = timedelta(days=1)
"""How long a new lane may stand before the first write, by whatever clock."""


@translated()
class MongoRates(MongoDesk, Rates):
    """Reserves starts by the clock of the server, in one round trip."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        self._lanes = plumbing.handles.lanes

    async def _reserve(self, lane: str, pace: Pace, count: int) -> Reservation:
        """Grant up to so many starts; nobody reserves in between."""
        return await self.take(lane, pace, count)

    async def take(self, lane: str, pace: Pace, count: int) -> Reservation:
        """Do so, or only look how the lane stands, where it is none."""
        id = new_id()
        written = await self._change(lane, _reserving(pace, count, id))
        now, tat = written["at"], written["tat"]
        wait = max(written.get("held_until", 0.0), tat - pace.tolerance) - now
        ahead = written["ahead"] if written["ahead"] > NOTABLE else 0.0
        granted = int(written["granted"])
        held = written.get("held_until", 0.0) > now
        return Reservation(
            *(granted, wait / 1000.0, tat, pace.interval, ahead / 1000.0),
            *(now, written["first"], held, id),
        )

    async def _give_back(self, lane: str, reserved: Reservation, unused: int) -> bool:
        """Take starts back; where others have reserved since, of the lane as it is then."""
        back = -unused * reserved.interval
        ours: Document = {"_id": lane, "last": reserved.id, "tat": reserved.tat}
        change = {"$inc": {"tat": back, "seen": back}, "$pop": {"grants": 1}, **_NO_LAST}
        result = await self._lanes.update_one({**ours, "seen": reserved.tat}, change)
        if result.modified_count == 1:
            return True
        for _ in range(_TRIES):
            document = await self._lanes.find_one({"_id": lane})
            changed = document and _read(document).given_back(reserved, unused)
            if not document or not changed:
                return False
            grants = [each._asdict() for each in changed.grants]
            as_read: Document = {name: document.get(name) for name in ("_id", "tat", "last")}
            values = {"tat": changed.tat, "seen": changed.tat, "grants": grants}
            values["last"] = document.get("last") if document.get("last") != reserved.id else None
            result = await self._lanes.update_one(as_read, {"$set": values})
            if result.modified_count == 1:
                return True
        return False

    async def give_back_last(self, lane: str, pace: Pace, date: int) -> bool:
        """Take back the start of a date, where it is the last one that was granted."""
        tat = date + pace.tolerance + pace.interval
        last: Document = {"$gt": tat - DATE_STEP, "$lte": tat + 2 * ROUNDING}
        lower = {"$inc": {"tat": -pace.interval, "seen": -pace.interval}}
        result = await self._lanes.update_one({"_id": lane, "tat": last}, lower)
        return result.modified_count == 1

    async def _hold(self, lane: str, seconds: float, at_least: bool) -> None:
        """Let nothing start for so many seconds."""
        await self._change(lane, _holding(seconds * 1000.0, at_least=at_least))

    async def states(self, limit: int, prefix: str = KEYLESS_RATE) -> dict[str, LaneState]:
        """Return how they stand."""
        dates = prefix.startswith(KEYED_RATE)
        pipeline: list[Document] = [
            {"$match": {"_id": {"$gte": prefix, "$lt": prefix + LAST_CHARACTER}}},
            {"$sort": {"_id": 1}},
            {"$limit": limit},
            {"$set": {"now": _NOW}},
        ]
        found = await (await self._lanes.aggregate(pipeline)).to_list()
        return {each["_id"]: _read(each).state(float(each["now"]), dates=dates) for each in found}

    async def _change(self, lane: str, pipeline: list[Document]) -> Document:
        """Change a lane, a new one where there is none; return it as it is then."""
        while True:
            written = await find_one_and_update(self._lanes, {"_id": lane}, pipeline)
            if written is not None:
                return written
            await self._make(lane)

    async def _make(self, lane: str) -> None:
        """Absent → new.

        By itself: of several upserts at a time some have to be repeated, and not every server tells
        those whether what they granted was written.
        """
        with contextlib.suppress(DuplicateKeyError):  # somebody else has made it
            await self._lanes.insert_one({"_id": lane, "expires_at": datetime.now(UTC) + _UNUSED})


def _reserving(pace: Pace, count: int, id: str) -> list[Document]:
    """Return what `Lane.reserved` does."""
    interval, burst = float(pace.interval), pace.burst
    goes_on = {"$gte": ["$tat", {"$subtract": ["$at", float(pace.lateness)]}]}
    same = {"$and": [{"$eq": ["$interval", interval]}, {"$eq": ["$burst", burst]}]}
    horizon = {"$cond": [same, float(pace.horizon), float(pace.changed_horizon)]}
    furthest = {"$add": ["$at", horizon]}
    last = {"$add": ["$at", pace.tolerance + pace.reach + ROUNDING]}
    early = {"$subtract": [last, "$first"]}
    free = {"$add": [{"$floor": {"$divide": [early, interval]}}, 1]}
    granted = {"$max": [0, {"$min": [count, free]}]}
    respite = {"$cond": [{"$gt": ["$granted", 0]}, "$respite", 0.0]}
    # Of a program that does not note its grants nothing is known: nothing is given back over it.
    known = {"$cond": [{"$eq": ["$seen", "$tat"]}, {"$ifNull": ["$grants", []]}, []]}
    grant = {"id": id, "slack": {"$max": [0.0, {"$subtract": ["$first", "$at"]}]}}
    with_it = {"$slice": [{"$concatArrays": ["$grants", [grant]]}, -GRANTS_KEPT]}
    return [
        *_present(),
        {
            "$set": {
                "grants": known,
                "first": {"$min": [{"$cond": [goes_on, "$tat", "$at"]}, furthest]},
                "respite": {"$cond": [goes_on, 0.0, float(pace.respite)]},
                "ahead": {"$cond": [same, {"$subtract": ["$tat", furthest]}, 0.0]},
            }
        },
        {"$set": {"granted": {"$cond": [{"$gt": ["$held_until", "$at"]}, 0, granted]}}},
        {
            "$set": {
                "tat": {"$add": ["$first", {"$multiply": ["$granted", interval]}, respite]},
                "interval": interval,
                "burst": burst,
                "grants": {"$cond": [{"$gt": ["$granted", 0]}, with_it, "$grants"]},
                "last": {"$cond": [{"$gt": ["$granted", 0]}, id, {"$ifNull": ["$last", None]}]},
            }
        },
        {"$set": {"seen": "$tat"}},
        *_expiring(),
        {"$unset": "respite"},
    ]


def _holding(length: float, *, at_least: bool) -> list[Document]:
    """Return what `Lane.held` does."""
    until: Any = {"$add": ["$at", length]}
    kept: Any = {"$gte": ["$held_until", until]} if at_least else False
    return [
        *_present(),
        {
            "$set": {
                "held_until": {"$cond": [kept, "$held_until", until]},
                "held_for": {"$cond": [kept, "$held_for", length]},
            }
        },
        *_expiring(),
    ]


def _present() -> list[Document]:
    """Return what reads the clock, and fills in what a new lane does not have."""
    known = {name: {"$ifNull": [f"${name}", 0.0]} for name in ("tat", "held_until", "held_for")}
    held = {"$min": ["$held_until", {"$add": ["$at", "$held_for"]}]}
    return [{"$set": {"at": _NOW, **known}}, {"$set": {"held_until": held}}]


def _expiring() -> list[Document]:
    """Return what writes until when the lane says anything: `Lane.kept_until`."""
    means = {"$add": [{"$max": ["$tat", "$held_until", "$at"]}, SPARE]}
    until = {"$min": [means, {"$add": ["$at", LANE_KEPT * 1000.0]}]}
    return [{"$set": {"expires_at": {"$toDate": {"$toLong": until}}}}]


def _read(document: Document) -> Lane:
    """Return a lane from its document, whoever wrote it."""
    return Lane(
        tat=number(document.get("tat")) or 0.0,
        held_until=number(document.get("held_until")) or 0.0,
        held_for=number(document.get("held_for")) or 0.0,
        interval=number(document.get("interval")) or 0.0,
        burst=whole(document.get("burst"), 0),
        grants=_grants(document),
    )


def _grants(document: Document) -> tuple[Grant, ...]:
    """Return the grants that a lane remembers; none where a program has written that notes none."""
    if document.get("seen") != document.get("tat"):
        return ()
    found = [fields_of(each) for each in list_of(document.get("grants"))]
    return tuple(Grant(str(each.get("id")), number(each.get("slack")) or 0.0) for each in found)
