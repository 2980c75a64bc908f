"""Tokens in MongoDB: each write is of one document, and guarded by what was read of it.

So whoever takes a job out of its line, and whoever parks one, looks afterwards: of two that race,
one sees the other. A token that was reserved for a job that somebody else was faster with goes to
the one that has the next date, whose own goes to the one behind it, and so on; the last goes back.
Where that meets somebody who is faster again, one is lost: the lane is slower then, never faster.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from bson import ObjectId

from job_processor.clock import from_ms, to_ms
from job_processor.handlers.lanes import lane_name
from job_processor.models import DATED, FOR_A_TOKEN, NEXT
from job_processor.store.desks.tokens import Tokens
from job_processor.store.lanes import IN_LINE_TOO, PARKED_AT_ONCE
from job_processor.store.lenient import whole
from job_processor.store.mongo.desks import MongoDesk, Plumbing, translated
from job_processor.store.mongo.documents import (
    LINE,
    OUT_OF_LANE,
    TRUE_TIME,
    WAITING_STATUSES,
    Document,
)
from job_processor.store.mongo.features import LINES, if_used
from job_processor.store.mongo.hinting import IndexHint
from job_processor.store.mongo.indexes import RATE_LANE
from job_processor.store.mongo.rates import MongoRates
from job_processor.store.rates import LAST_CHARACTER, Pace, Reservation
from job_processor.store.tokens import Answer, answers, asks_at, lane_id

_ROUNDS = 3
"""Times that dates are given to others, where somebody else was faster with whom they were for."""

_MOVED_UP = 10
"""Jobs that a token without a job lets move up at most."""

_LANES_AT_ONCE = 50
"""Lanes that are looked after at once."""

_WALKED_AT_ONCE = 100
"""Documents read at a time in a walk along the lanes."""

_WAITING: Document = {"$in": WAITING_STATUSES}
_ABSENT: Document = {"$exists": False}
_PRESENT: Document = {"$exists": True}
_STANDING: Document = {"$in": list(IN_LINE_TOO)}


@translated()
class MongoTokens(MongoDesk, Tokens):
    """Gives tokens to jobs, by what the desk of the rates grants."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        self._rates: MongoRates = self.desk("rates")

    # --- within claims --------------------------------------------------------------------------

    async def ask(
        self, lane: str, pace: Pace, met: Sequence[Document], now: datetime
    ) -> tuple[list[tuple[Document, Answer]], Reservation]:
        """Return what becomes of jobs of a lane that were met in line, and what was reserved."""
        at = to_ms(now)
        late = [job for job in met if not _has_date(job) or not pace.is_kept(_ready(job), at)]
        asked = {job["_id"] for job in late}
        jobs = [*late, *(job for job in met if job["_id"] not in asked)]
        reserved = await self._reserve(lane, pace, len(late))
        dates = [_ready(job) if _has_date(job) else None for job in jobs]
        found = answers(dates, reserved, pace)
        return list(zip(jobs, found, strict=True)), reserved

    async def park_more(self, lane: str, priority: int, now: datetime) -> None:
        """In line, due, of a lane that has no token → parked for one, many at once."""
        waiting: Document = {
            "rate_lane": lane,
            "parked": None,
            "priority": priority or {"$in": [None, 0]},
            "status": _WAITING,
            "due": {"$lte": now},
            "slots": _ABSENT,
        }

        async def walk(hint: IndexHint) -> list[Document]:
            found = self._last.find(waiting, {"_id": 1}, limit=PARKED_AT_ONCE)
            return await (found if hint is None else found.hint(hint)).to_list()

        ids = [each["_id"] for each in await self._hinting.walk(RATE_LANE, walk)]
        in_line: Document = {"_id": {"$in": ids}, "line": _PRESENT, "slots": _ABSENT}
        await self._jobs.update_many(
            {**in_line, "status": _WAITING, "parked": None},
            {"$set": {"parked": FOR_A_TOKEN}, "$unset": {"line": "", "ready": ""}},
        )

    # --- whose turn it is -----------------------------------------------------------------------

    @if_used(LINES, int)
    async def _admit(self, lanes: Mapping[str, Pace], limit: int, names: Collection[str]) -> int:
        admitted, all_lanes = 0, list(lanes)
        for start in range(0, len(all_lanes), _LANES_AT_ONCE):
            some = all_lanes[start : start + _LANES_AT_ONCE]
            counts = (self.admit_in(lane, lanes[lane], limit, names) for lane in some)
            admitted += sum(await asyncio.gather(*counts))
        return admitted

    async def admit_in(self, lane: str, pace: Pace, limit: int, names: Collection[str]) -> int:
        """Do what `admit` does in one lane, for so many at most; return how many."""
        first = await self._parked(lane, limit, names)
        if not first:
            return 0
        reserved = await self._reserve(lane, pace, len(first))
        dates, admitted = [int(date) for date in reserved.dates(pace)], 0
        for _ in range(_ROUNDS):
            if not dates or not first:
                break
            done = await asyncio.gather(*map(self._date, first, dates))
            admitted += sum(done)
            dates = [
                date for place, date in enumerate(dates) if place >= len(done) or not done[place]
            ]
            first = await self._parked(lane, len(dates), names) if dates else []
        await self.pass_on(lane, pace, dates)
        if admitted or not first or await self._is_in_line(lane):
            return admitted
        return int(await self._date(first[0], asks_at(reserved), NEXT))

    async def pass_on(self, lane: str, pace: Pace, dates: Sequence[float]) -> bool:
        """Let others have the tokens of these dates, which nobody uses; True where they do."""
        moved = [await self._move_up(lane, pace, int(date)) for date in reversed(dates)]
        return any(moved)

    async def _move_up(self, lane: str, pace: Pace, date: int) -> bool:
        """Give a date to the one with the next, that one's to the one behind, and so on.

        The last goes to one without a date or, where there is none, back.
        """
        moved = False
        for _ in range(_MOVED_UP):
            later = await self._first_after(lane, date)
            if later is None:
                break
            guard = {"status": _WAITING, **later}
            change = {"$set": {"parked": DATED, "ready": from_ms(date)}}
            if (await self._jobs.update_one(guard, change)).modified_count:
                moved = True
                if later["parked"] == NEXT:  # it had none
                    return True
                date = _ready(later)
        names = self.book.names()
        for first in [*await self._parked(lane, 1, names), *await self._unasked(lane, 1, names)]:
            if await self._date(first, date):
                return True
        await self._rates.give_back_last(lane_id(lane), pace, date)
        return moved

    async def _first_after(self, lane: str, date: int) -> Document | None:
        """Return the one in line whose date, or moment to ask, comes next after a date."""
        standing: Document = {
            "rate_lane": lane,
            "parked": _STANDING,
            "status": _WAITING,
            "ready": {"$gt": from_ms(date)},
        }

        async def walk(hint: IndexHint) -> Document | None:
            fields = {"parked": 1, "ready": 1}
            return await self._last.find_one(standing, fields, sort=[("ready", 1)], hint=hint)

        return await self._hinting.walk(RATE_LANE, walk)

    async def _reserve(self, lane: str, pace: Pace, count: int) -> Reservation:
        reserved = await self._rates.take(lane_id(lane), pace, count)
        self.note(lane, reserved)
        return reserved

    async def _parked(self, lane: str, limit: int, names: Collection[str]) -> list[Document]:
        """Return the first that are parked for a token of a lane, of these names."""
        parked = {"rate_lane": lane, "parked": FOR_A_TOKEN, "name": {"$in": list(names)}}
        return await self._first(parked, limit)

    async def _unasked(self, lane: str, limit: int, names: Collection[str]) -> list[Document]:
        """Return the first that are in line, due, and that nobody has met."""
        in_line: Document = {"rate_lane": lane, "parked": None, "name": {"$in": list(names)}}
        due = {"line": _PRESENT, "slots": _ABSENT, "due": {"$lte": self.book.now()}}
        return await self._first({**in_line, **due}, limit)

    async def _first(self, waiting: Document, limit: int) -> list[Document]:
        order = [("priority", -1), ("due", 1), ("_id", 1)]
        selection = {**waiting, "status": _WAITING}

        async def walk(hint: IndexHint) -> list[Document]:
            found = self._last.find(selection, {"parked": 1}, sort=order, limit=limit)
            return await (found if hint is None else found.hint(hint)).to_list()

        return await self._hinting.walk(RATE_LANE, walk)

    async def _date(self, job: Document, date: int, parked: str = DATED) -> bool:
        """Without a token → in line at a date; False where somebody else was faster."""
        guard = {"_id": job["_id"], "status": _WAITING, "parked": job.get("parked")}
        return (
            await self._jobs.update_one(guard, [_in_line(parked, date, {})])
        ).modified_count == 1

    async def _is_in_line(self, lane: str) -> bool:
        """True where a dated one stands in line, or the next one."""
        standing: Document = {"rate_lane": lane, "parked": _STANDING, "status": _WAITING}

        async def walk(hint: IndexHint) -> Document | None:
            return await self._last.find_one(standing, {"_id": 1}, hint=hint)

        return await self._hinting.walk(RATE_LANE, walk) is not None

    # --- what else is done with them ------------------------------------------------------------

    @if_used(LINES, int)
    async def _recall(self, group: str, after: datetime, at: datetime) -> int:
        """Dated or the next one, later than `after` → the next one, at `at`."""
        first = lane_name(group) + ":"
        standing: Document = {
            "rate_lane": {"$gt": first, "$lt": first + LAST_CHARACTER},
            "parked": _STANDING,
            "status": _WAITING,
            "ready": {"$gt": after},
        }
        change = {"$set": {"parked": NEXT, "ready": at}}
        return (await self._jobs.update_many(standing, change)).modified_count

    @if_used(LINES, int)
    async def _hasten(self, lane: str, at: datetime) -> int:
        """The next one of a lane, later than this → at this moment."""
        later: Document = {"rate_lane": lane, "parked": NEXT, "status": _WAITING}
        later["ready"] = {"$gt": at}
        return (await self._jobs.update_many(later, {"$set": {"ready": at}})).modified_count

    @if_used(LINES, int)
    async def _withdraw(
        self, lanes: Collection[str], before: datetime, names: Collection[str]
    ) -> int:
        """Dated or the next one, ready before a time, of none of these names → parked."""
        standing: Document = {
            "rate_lane": {"$in": list(lanes)},
            "parked": _STANDING,
            "status": _WAITING,
            "ready": {"$lt": before},
            "name": {"$nin": list(names)},
        }
        change = {"$set": {"parked": FOR_A_TOKEN}, "$unset": {"line": "", "ready": ""}}
        return (await self._jobs.update_many(standing, change)).modified_count

    @if_used(LINES, int)
    async def _dissolve(self, lanes: Collection[str], names: Collection[str], limit: int) -> int:
        """Waiting in these lanes, of these names → in none of a rate."""
        waiting: Document = {
            "rate_lane": {"$in": list(lanes)},
            "status": _WAITING,
            "name": {"$in": list(names)},
        }
        found = await self._last.find(waiting, {"_id": 1}, limit=limit).to_list()
        ids = [each["_id"] for each in found]
        if not ids:
            return 0
        waiting["_id"] = {"$in": ids}
        alone = await self._jobs.update_many(
            {**waiting, "lane": _ABSENT, "waiting_for": _ABSENT, "topics": _ABSENT},
            [{"$set": TRUE_TIME}, OUT_OF_LANE, {"$unset": "rate_lane"}],
        )
        for_us: Document = {"$in": ["$parked", [FOR_A_TOKEN, *IN_LINE_TOO]]}
        limited = await self._jobs.update_many(
            waiting,
            [
                {
                    "$set": {
                        "line": {"$cond": [for_us, LINE, {"$ifNull": ["$line", "$$REMOVE"]}]},
                        "ready": {"$cond": [for_us, "$due", {"$ifNull": ["$ready", "$$REMOVE"]}]},
                        "parked": {
                            "$cond": [for_us, "$$REMOVE", {"$ifNull": ["$parked", "$$REMOVE"]}]
                        },
                    }
                },
                {"$unset": "rate_lane"},
            ],
        )
        return alone.modified_count + limited.modified_count

    @if_used(LINES, list[str])
    async def _waiting(self, after: str, limit: int) -> list[str]:
        """Return the lanes in which anything waits, from one to the next by the index."""
        lanes: list[str] = []
        last = after
        while len(lanes) < limit:
            behind: Document = {"rate_lane": {"$gt": last}, "status": _WAITING}

            async def walk(hint: IndexHint, behind: Document = behind) -> Document | None:
                return await self._last.find_one(
                    behind, {"_id": 0, "rate_lane": 1}, sort=[("rate_lane", 1)], hint=hint
                )

            found = await self._hinting.walk(RATE_LANE, walk)
            if found is None:
                break
            last = found["rate_lane"]
            lanes.append(last)
        return lanes

    async def lanes_of(self, job_ids: Collection[ObjectId]) -> set[str]:
        """Return the lanes in which any of these jobs waits."""
        of_rates: Document = {
            "_id": {"$in": list(job_ids)},
            "rate_lane": _PRESENT,
            "status": _WAITING,
        }
        found = await self._last.find(of_rates, {"_id": 0, "rate_lane": 1}).to_list()
        return {each["rate_lane"] for each in found}


def waiting_on(slots: Document, date: int | None) -> list[Document]:
    """Return what makes of a job a dated one or, without a date, one that is parked for a token."""
    if date is None:
        change: list[Document] = [
            {"$set": {"parked": FOR_A_TOKEN, **slots}},
            {"$unset": ["line", "ready"]},
        ]
    else:
        change = [_in_line(DATED, date, slots)]
    return change if slots else [*change, {"$unset": "slots"}]


def lane_and_priority(job: Document) -> tuple[str, int]:
    """Return the lane of a rate that a job is of, and its priority."""
    return job["rate_lane"], whole(job.get("priority"), 0)


def _in_line(parked: str, date: int, slots: Document) -> Document:
    """Return the stage that puts a job into its line."""
    return {"$set": {"parked": parked, "line": LINE, "ready": from_ms(date), **slots}}


def _has_date(job: Document) -> bool:
    return job.get("parked") == DATED


def _ready(job: Document) -> int:
    return to_ms(job["ready"])
