"""Lanes in MongoDB: a unique index over the slots that are taken is the limit, whoever asks.

Each write is of one document and guarded by its state. So whoever frees a slot, and whoever parks a
job, looks afterwards: of two that race, one sees the other.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from job_processor.handlers.lanes import has_key
from job_processor.models import FOR_A_SLOT, Job
from job_processor.store.lanes import (
    IN_LINE_TOO,
    PARKED_AT_ONCE,
    LaneClaim,
    Taken,
    lines_of,
    slot_of,
    slots_of,
)
from job_processor.store.lenient import whole
from job_processor.store.mongo.asking import Asking
from job_processor.store.mongo.crowds import ABSENT, HOLDING, PRESENT, WAITING
from job_processor.store.mongo.desks import Plumbing, translated
from job_processor.store.mongo.documents import (
    OUT_OF_LANE,
    TRUE_TIME,
    Document,
    to_job,
)
from job_processor.store.mongo.errors import is_refused, write_errors
from job_processor.store.mongo.features import LINES, if_used
from job_processor.store.mongo.hinting import IndexHint
from job_processor.store.mongo.indexes import LANE
from job_processor.store.mongo.indexes import LINE as LINE_INDEX
from job_processor.store.mongo.parking import MongoParking
from job_processor.store.mongo.queue import moment_of_claim
from job_processor.store.mongo.starting import (
    Start,
    guard_of,
    is_taken,
    line_set,
    slot_held,
    slots_set,
    turn_of,
)
from job_processor.store.mongo.tokens import MongoTokens, waiting_on
from job_processor.store.mongo.whole import find_whole

_ROUNDS = 6
"""Looks at the lines that one claim takes at most: each goes behind what the last found full."""

_LOOKED_AT = 32
"""Jobs of one look, where a claim wants fewer."""

_SLOTS_TRIED = 64
"""Slots of a lane that are asked about at first, whatever its limit."""

_PASSES = 20
"""Looks of one hand-over at most: another one follows where somebody was faster."""

_LANES_AT_ONCE = 100
"""Lanes of one such look."""

_TURN = [("priority", -1), ("due", 1), ("_id", 1)]
_MET: Document = dict.fromkeys(
    (
        *("line", "name", "lane", "slots", "ordered", "priority", "due"),
        *("rate_lane", "parked", "ready"),
    ),
    1,
)


@translated()
class MongoLanes(MongoParking):
    """Gives slots, and hands them over."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        self.starts: MongoTokens = self.desk("tokens")

    async def _claim(self, claim: LaneClaim) -> Taken:
        """Go through the lines until the worker has enough, or nothing is left that may start."""
        await self.features.use(LINES)
        lines, jobs, blocked = set(lines_of(claim.names)), list[Job](), False
        asking = Asking(self, claim)
        for _ in range(_ROUNDS):
            wanted = claim.limit - len(jobs)
            met = await self._look(lines, claim, max(wanted, _LOOKED_AT), asking.too_soon)
            planned, lets_in, full = await self._plan(claim, met, wanted)
            starts = await asking.ask(planned)
            jobs += (started := await self._start(claim, starts))
            await asking.settle({job.id for job in started})
            await self._let_in(lets_in, claim.now)
            parked = [job for job in full if has_key(job["lane"])]
            await self._park_lanes(parked, claim.now)
            await asking.let_follow(parked)
            full_lines = {job["line"] for job in full if not has_key(job["lane"])}
            blocked, lines = blocked or bool(full_lines), lines - full_lines
            if not met or len(jobs) >= claim.limit or not (planned or lets_in or full):
                return Taken(jobs, blocked, asking.refused, asking.moved)
        return Taken(jobs, False, asking.refused, asking.moved, more=True)  # blocked

    async def _look(
        self,
        lines: Collection[str],
        claim: LaneClaim,
        limit: int,
        too_soon: Collection[ObjectId],
    ) -> list[Document]:
        """Return the jobs that stand first in these lines and are ready."""
        ready: Document = {
            "line": {"$in": list(lines)},
            "status": WAITING,
            "ready": {"$lte": claim.now},
        }
        if left_out := [*claim.exclude, *self._aside.ids(), *too_soon]:
            ready["_id"] = {"$nin": left_out}

        async def read(hint: IndexHint) -> list[Document]:
            order = [("priority", -1), ("ready", 1)]
            found = self._last.find(ready, _MET, sort=order, limit=limit, batch_size=limit)
            return await (found if hint is None else found.hint(hint)).to_list()

        return await self._hinting.walk(LINE_INDEX, read) if lines else []

    async def _plan(
        self, claim: LaneClaim, met: Sequence[Document], wanted: int
    ) -> tuple[list[Start], list[Start], list[Document]]:
        """Return who may start, who is let into line instead, and who met a full lane."""
        unslotted = [job["lane"] for job in met if not slot_held(job) and "lane" in job]
        amounts = {lane: self.book.amount(lane) for lane in unslotted}
        limits = {lane: amount for lane, amount in amounts.items() if amount is not None}
        free = await self._free(limits, Counter(unslotted))
        ordered = {job["lane"] for job in met if job.get("ordered")}
        unasked = [lane for lane in dict.fromkeys(unslotted) if lane in ordered and free.get(lane)]
        turn: dict[str, Document] = {}
        starts, lets_in, full = list[Start](), list[Start](), list[Document]()
        for job in met:
            lane = job.get("lane", "")
            if len(starts) == wanted:
                break
            if slot_held(job) or lane not in limits:
                starts.append(Start(job, slot_held(job)))
            elif not free[lane]:
                full.append(job)
            else:
                if lane in unasked:  # so many as may start yet, and more where others are let in
                    asked = unasked[: wanted - len(starts)]
                    del unasked[: len(asked)]
                    turn |= await self._first(asked, claim.now)
                slot = free[lane].pop(random.randrange(len(free[lane])))
                first = turn.get(lane, job)
                ours = first["name"] in claim.names and first["_id"] not in claim.exclude
                (starts if ours else lets_in).append(Start(first, slot))
                if first["_id"] != job["_id"]:
                    full.append(job)
        return starts, lets_in, full

    async def _first(self, lanes: Sequence[str], now: datetime) -> dict[str, Document]:
        """Return the next of each lane in which one is due."""
        turns = await asyncio.gather(*(self._next(lane, now, 1) for lane in lanes))
        return {lane: jobs[0] for lane, jobs in zip(lanes, turns, strict=True) if jobs}

    async def _free(
        self, limits: Mapping[str, int], wanted: Mapping[str, int] | None = None
    ) -> dict[str, list[str]]:
        """Return free slots of each lane: as many as are wanted, or 1, where there are so many.

        Of a large limit some are tried, by chance, and all where too few of those are free.
        """
        tried = {
            lane: slots_of(lane, limit)
            if limit <= _SLOTS_TRIED
            else [slot_of(lane, n) for n in random.sample(range(limit), _SLOTS_TRIED)]
            for lane, limit in limits.items()
        }
        free = await self._free_of(tried)
        needed = dict.fromkeys(limits, 1) if wanted is None else wanted
        short = [
            lane
            for lane, slots in tried.items()
            if len(slots) < limits[lane] and len(free[lane]) < needed[lane]
        ]
        if short:
            free |= await self._free_of({lane: slots_of(lane, limits[lane]) for lane in short})
        return free

    async def _free_of(self, slots: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """Return those of the slots of each lane that are free."""
        every = [slot for of_lane in slots.values() for slot in of_lane]
        if not every:
            return {}
        held = self._last.find({"slots": {"$in": every}, **HOLDING}, {"slots": 1})
        taken = {slot for each in await held.to_list() for slot in each["slots"]}
        return {
            lane: [slot for slot in of_lane if slot not in taken] for lane, of_lane in slots.items()
        }

    async def _next(
        self, lane: str, now: datetime, limit: int, names: Collection[str] | None = None
    ) -> list[Document]:
        """Return the due jobs of a lane whose turn it is, be they parked or in line."""
        of_names = {} if names is None else {"name": {"$in": list(names)}}

        async def read(parked: str | None) -> list[Document]:
            due: Document = {
                "lane": lane,
                "parked": parked,
                "status": WAITING,
                "due": {"$lte": now},
                "slots": ABSENT,
                **of_names,
            }

            async def walk(hint: IndexHint) -> list[Document]:
                found = self._last.find(due, _MET, sort=_TURN, limit=limit, batch_size=limit)
                return await (found if hint is None else found.hint(hint)).to_list()

            return await self._hinting.walk(LANE, walk)

        in_line, parked = await asyncio.gather(read(None), read(FOR_A_SLOT))
        return sorted([*in_line, *parked], key=turn_of)[:limit]

    async def _start(self, claim: LaneClaim, starts: Sequence[Start]) -> list[Job]:
        """Waiting → running, each with its slot; return those that are ours, in their order."""
        if not starts:
            return []
        at = moment_of_claim(claim.now)
        running: Document = {
            "status": "running",
            "worker_id": claim.worker_id,
            "updated_at": at,
            "started_at": {"$ifNull": ["$started_at", at]},
            **TRUE_TIME,
        }
        await self.write_guarded(
            [
                UpdateOne(
                    guard_of(each), [{"$set": {**running, **slots_set(each.slot)}}, OUT_OF_LANE]
                )
                for each in starts
            ],
            starts,
        )
        ids = [each.job["_id"] for each in starts]
        ours = {
            "_id": {"$in": ids},
            "status": "running",
            "worker_id": claim.worker_id,
            "updated_at": {"$gte": claim.now},
        }
        found = await find_whole(self._jobs, ours, limit=len(ids), batch_size=len(ids))
        return [to_job(each) for each in sorted(found, key=lambda each: ids.index(each["_id"]))]

    async def _let_in(self, lets_in: Sequence[Start], now: datetime) -> int:
        """Waiting → in line with a slot; return how many.

        From now on, or from when it has stood there: a claim that has begun is to meet it still.
        """
        if not lets_in:
            return 0
        operations = [
            UpdateOne(
                guard_of(each),
                [
                    {
                        "$set": {
                            **slots_set(each.slot),
                            "line": line_set(each.job),
                            "ready": {"$min": ["$ready", now]},
                        }
                    },
                    {"$unset": "parked"},
                ],
            )
            for each in lets_in
        ]
        return await self.write_guarded(operations, lets_in)

    async def let_wait(self, start: Start, date: int | None) -> bool:
        """Met in line → dated or, without a date, parked for a token; False where it has moved.

        In a lane with an order it has the slot from now on: nothing overtakes it.
        """
        slots = slots_set(start.slot) if start.job.get("ordered") else {}
        operation = UpdateOne(guard_of(start), waiting_on(slots, date))
        return await self.write_guarded([operation], [start]) == 1

    async def hand_over_now(self, limits: Mapping[str, int], now: datetime) -> None:
        """Do what `hand_over` does, within a claim."""
        if limits:
            await self._hand_over(limits, self.book.names(), now)

    async def write_guarded(self, operations: Sequence[UpdateOne], starts: Sequence[Start]) -> int:
        """Write what each guard and the slots allow; return how many of them that was."""
        try:
            return (await self._jobs.bulk_write(operations, ordered=False)).modified_count
        except BulkWriteError as error:
            if not is_refused(error):
                raise
            for each in write_errors(error):
                if not is_taken(each):
                    self._aside.put(starts[each["index"]].job["_id"], each)
            return int(error.details.get("nModified", 0))

    async def _park_lanes(self, met: Sequence[Document], now: datetime) -> None:
        """In line for full lanes → parked, many at once; then look whether a slot is free now."""
        lines = {(job["lane"], whole(job.get("priority"), 0)) for job in met}
        if not lines:
            return
        found = await asyncio.gather(*(self._in_line(*line, now) for line in lines))
        ids = {job["_id"] for job in met}.union(*found)
        in_line = {"line": PRESENT, "slots": ABSENT, "status": WAITING}
        for states, some in (
            ([None], ids),
            ([*IN_LINE_TOO], {job["_id"] for job in met if job.get("parked") in IN_LINE_TOO}),
        ):
            if some:
                await self._jobs.update_many(
                    {"_id": {"$in": list(some)}, "parked": {"$in": states}, **in_line},
                    {"$set": {"parked": FOR_A_SLOT}, "$unset": {"line": "", "ready": ""}},
                )
        lanes = {lane: self.book.amount(lane) for lane, _ in lines}
        limits = {lane: amount for lane, amount in lanes.items() if amount is not None}
        await self._hand_over(limits, self.book.names(), now)

    async def _in_line(self, lane: str, priority: int, now: datetime) -> set[ObjectId]:
        """Return more jobs of a lane that wait in line for a slot."""
        waiting: Document = {
            "lane": lane,
            "parked": None,
            "priority": priority or {"$in": [None, 0]},
            "status": WAITING,
            "due": {"$lte": now},
            "slots": ABSENT,
        }

        async def walk(hint: IndexHint) -> list[Document]:
            found = self._last.find(waiting, {"_id": 1}, limit=PARKED_AT_ONCE)
            return await (found if hint is None else found.hint(hint)).to_list()

        return {each["_id"] for each in await self._hinting.walk(LANE, walk)}

    @if_used(LINES, int)
    async def _hand_over(
        self, lanes: Mapping[str, int], names: Collection[str], now: datetime
    ) -> int:
        """Let the next of each lane in, until each is full or nobody waits there."""
        # Where nobody is parked, who stands in line has a slot by the next claim: no write.
        admitted, left = 0, dict(lanes) if await self._anybody_parked(lanes) else {}
        for _ in range(_PASSES):
            if not left:
                break
            free = await self._free(left)
            open_lanes = [lane for lane in left if free[lane]]
            lets_in: list[Start] = []
            for start in range(0, len(open_lanes), _LANES_AT_ONCE):
                some = open_lanes[start : start + _LANES_AT_ONCE]
                turns = await asyncio.gather(
                    *(self._allowed(lane, now, len(free[lane]), names) for lane in some)
                )
                for lane, jobs in zip(some, turns, strict=True):
                    random.shuffle(free[lane])
                    lets_in += map(Start, jobs, free[lane][: len(jobs)])
            written = await self._let_in(lets_in, now)
            admitted += written
            # Where all is written, whoever frees a slot or parks a job from now on looks as well;
            # but of a large limit not all slots that are free are known.
            done = written == len(lets_in)
            left = {
                lane: left[lane]
                for lane in dict.fromkeys(each.job["lane"] for each in lets_in)
                if not done or left[lane] > _SLOTS_TRIED
            }
        return admitted

    async def _anybody_parked(self, lanes: Collection[str]) -> bool:
        """Return whether anybody is parked for a slot of any of these lanes."""
        parked: Document = {
            "lane": {"$in": list(lanes)},
            "parked": FOR_A_SLOT,
            "status": WAITING,
        }

        async def walk(hint: IndexHint) -> Document | None:
            return await self._last.find_one(parked, {"_id": 1}, hint=hint)

        return await self._hinting.walk(LANE, walk) is not None

    async def _allowed(
        self, lane: str, now: datetime, limit: int, names: Collection[str]
    ) -> list[Document]:
        """Return the next of a lane, of these names; none where its order is in the way."""
        jobs = await self._next(lane, now, limit)
        if all(job["name"] in names for job in jobs):
            return jobs
        if jobs[0].get("ordered"):
            return [] if jobs[0]["name"] not in names else jobs[:1]
        return await self._next(lane, now, limit, names)
