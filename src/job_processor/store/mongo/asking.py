"""Tokens for what one claim of lanes has met in line in MongoDB: who starts, and who waits on."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from bson import ObjectId

from job_processor.store.lanes import IN_LINE_TOO, LaneClaim
from job_processor.store.mongo.documents import Document
from job_processor.store.mongo.starting import Start
from job_processor.store.mongo.tokens import lane_and_priority
from job_processor.store.rates import Reservation

if TYPE_CHECKING:
    from job_processor.store.mongo.lanes import MongoLanes


class Asking:
    """What one claim asks of the lanes of rates."""

    def __init__(self, desk: MongoLanes, claim: LaneClaim) -> None:
        self._desk = desk
        self._claim = claim
        self.too_soon: set[ObjectId] = set()
        """Those that were met before their date."""
        self.refused: dict[ObjectId, float] = {}
        self.moved = False
        self._waits: list[tuple[Start, int | None]] = []
        """Those that do not start now, and their dates."""
        self._dry: set[tuple[str, int]] = set()
        """Lanes, with priorities, that had no token."""
        self._reserved: list[tuple[str, Reservation, list[ObjectId]]] = []
        """What was reserved, and for whom, in the order of the dates."""
        self._left: Counter[str] = Counter()
        """How many have left the line of each lane, or found no token there."""

    async def ask(self, planned: Sequence[Start]) -> list[Start]:
        """Return those that may start, of those that have a slot or need none."""
        of_lanes: defaultdict[str, list[Start]] = defaultdict(list)
        for each in planned:
            lane = each.job.get("rate_lane", "")
            if self._desk.starts.book.of(lane) is not None:
                of_lanes[lane].append(each)
        if not of_lanes:
            return list(planned)
        found = await asyncio.gather(*(self._ask(*of_lane) for of_lane in of_lanes.items()))
        kept_back = {job_id for ids in found for job_id in ids}
        return [each for each in planned if each.job["_id"] not in kept_back]

    async def _ask(self, lane: str, starts: Sequence[Start]) -> set[ObjectId]:
        """Ask for those of a lane; return those that do not start."""
        desk, of_job = self._desk.starts, {each.job["_id"]: each for each in starts}
        rate = desk.book.of(lane)
        assert rate is not None  # noqa: S101  # looked at before
        jobs = [each.job for each in starts]
        answered, reserved = await desk.ask(lane, rate.pace, jobs, self._claim.now)
        took, kept_back = list[ObjectId](), set[ObjectId]()
        for job, answer in answered:
            job_id, has_place = job["_id"], job.get("parked") in IN_LINE_TOO
            if answer.took:
                took.append(job_id)
            if answer.starts or rate.skips:
                self._left[lane] += has_place
                if not answer.starts:
                    self.refused[job_id] = answer.wait
                continue
            kept_back.add(job_id)
            if answer.too_soon:
                self.too_soon.add(job_id)
                continue
            self._waits.append((of_job[job_id], answer.date))
            if answer.date is None:
                self._left[lane] += 1
                self._dry.add(lane_and_priority(job))
        if reserved.granted:
            self._reserved.append((lane, reserved, took))
        return kept_back

    async def settle(self, started: Collection[ObjectId]) -> None:
        """Let those wait that did not start, and give back what nobody has used."""
        desk = self._desk
        written = await asyncio.gather(*(self._desk.let_wait(*each) for each in self._waits))
        waits = [start for (start, _), done in zip(self._waits, written, strict=True) if done]
        used = {*started, *(start.job["_id"] for start in waits)}
        for lane, reserved, took in self._reserved:
            rate = desk.starts.book.of(lane)
            if rate is not None and (dates := _unused(reserved.dates(rate.pace), took, used)):
                self.moved = await desk.starts.pass_on(lane, rate.pace, dates) or self.moved
        for lane, priority in self._dry:
            await desk.starts.park_more(lane, priority, self._claim.now)
        self.moved = self.moved or bool(waits)
        freed = {start.job.get("lane") for start in waits if _gives_slot_back(start)}
        amounts = {lane: desk.book.amount(lane) for lane in freed if lane is not None}
        limits = {lane: amount for lane, amount in amounts.items() if amount is not None}
        await desk.hand_over_now(limits, self._claim.now)
        self._waits.clear()
        self._reserved.clear()
        self._dry.clear()

    async def let_follow(self, parked: Iterable[Document]) -> None:
        """Let others follow those that have left their lines; `parked` found no slot."""
        desk = self._desk.starts
        for job in parked:
            if job.get("parked") in IN_LINE_TOO:
                self._left[job["rate_lane"]] += 1
        left, names = dict(self._left), desk.book.names()
        self._left.clear()
        rates = {lane: rate for lane in left if (rate := desk.book.of(lane)) is not None}
        followed = await asyncio.gather(
            *(
                desk.admit_in(lane, rate.pace, 2 * left[lane] + 1, names)
                for lane, rate in rates.items()
                if left[lane]
            )
        )
        self.moved = self.moved or any(followed)


def _unused(
    dates: Sequence[float], took: Sequence[ObjectId], used: Collection[ObjectId]
) -> list[float]:
    """Return the dates of the tokens that nobody has used."""
    of_others = [date for date, job_id in zip(dates, took, strict=False) if job_id not in used]
    return [*of_others, *dates[len(took) :]]


def _gives_slot_back(start: Start) -> bool:
    return bool(start.job.get("slots")) and not start.job.get("ordered")
