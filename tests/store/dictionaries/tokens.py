"""What waits for a start of a rate: all of it is looked through, and nothing happens in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from bson import ObjectId

from job_processor.clock import from_ms, to_ms
from job_processor.handlers.lanes import lane_name
from job_processor.models import DATED, FOR_A_TOKEN, NEXT, WAITING, Job
from job_processor.store.desks.lazily import Lazily
from job_processor.store.desks.tokens import Tokens
from job_processor.store.lanes import IN_LINE_TOO
from job_processor.store.rates import Pace
from job_processor.store.tokens import Answer, answers, asks_at, lane_id
from tests.store.dictionaries.tables import OnTables, Tables

if TYPE_CHECKING:
    from tests.store.dictionaries.rates import DictionaryRates

FOR_A_START = (FOR_A_TOKEN, DATED, NEXT)


class DictionaryTokens(OnTables, Tokens):
    """Gives tokens, by what the lanes of rates grant."""

    _rates: Lazily[DictionaryRates] = Lazily("rates")

    async def _admit(self, lanes: Mapping[str, Pace], limit: int, names: Collection[str]) -> int:
        async with self._connection as tables:
            return sum(
                self.admit_in(tables, lane, pace, limit, names) for lane, pace in lanes.items()
            )

    def ask(self, tables: Tables, lane: str, pace: Pace, job: Job) -> Answer:
        """Return what becomes of a job that was met in line."""
        date = float(to_ms(tables.ready(job))) if job.parked == DATED else None
        asks = int(date is None or not self._rates.is_good(pace, date))
        reserved = self._rates.take(tables, lane_id(lane), pace, asks)
        self.note(lane, reserved)
        return answers([date], reserved, pace)[0]

    def admit_in(
        self, tables: Tables, lane: str, pace: Pace, limit: int, names: Collection[str]
    ) -> int:
        """Do what `admit` does in one lane, for so many at most; return how many."""
        of_lane = [job for job in _waiting(tables) if job.rate_lane == lane]
        parked = [job for job in of_lane if job.parked == FOR_A_TOKEN and job.name in names]
        parked.sort(key=lambda job: (-job.priority, job.scheduled_for, job.id))
        first = parked[:limit]
        if not first:
            return 0
        reserved = self._rates.take(tables, lane_id(lane), pace, len(first))
        self.note(lane, reserved)
        dates = reserved.dates(pace)
        for job, date in zip(first, dates, strict=False):
            put(tables, job, int(date))
        if dates or any(job.parked in IN_LINE_TOO for job in of_lane):
            return len(dates)
        put(tables, first[0], asks_at(reserved), NEXT)
        return 1

    async def _recall(self, group: str, after: datetime, at: datetime) -> int:
        prefix = lane_name(group) + ":"
        async with self._connection as tables:
            found = [
                job
                for job in _waiting(tables)
                if job.parked in IN_LINE_TOO
                and (job.rate_lane or "").startswith(prefix)
                and tables.ready(job) > after
            ]
            for job in found:
                put(tables, job, to_ms(at), NEXT)
            return len(found)

    async def _hasten(self, lane: str, at: datetime) -> int:
        async with self._connection as tables:
            of_lane = (job for job in _waiting(tables) if job.rate_lane == lane)
            found = [job for job in of_lane if job.parked == NEXT and tables.ready(job) > at]
            for job in found:
                put(tables, job, to_ms(at), NEXT)
            return len(found)

    async def _withdraw(
        self, lanes: Collection[str], before: datetime, names: Collection[str]
    ) -> int:
        async with self._connection as tables:
            found = [
                job
                for job in _waiting(tables)
                if job.rate_lane in lanes
                and job.parked in IN_LINE_TOO
                and tables.ready(job) < before
                and job.name not in names
            ]
            for job in found:
                put(tables, job, None)
            return len(found)

    async def _dissolve(self, lanes: Collection[str], names: Collection[str], limit: int) -> int:
        async with self._connection as tables:
            of_names = (
                job for job in _waiting(tables) if job.name in names and job.rate_lane in lanes
            )
            found = list(islice(of_names, limit))
            for job in found:
                gone: Any = {"rate_lane": None}
                if not (job.waiting_for or job.topics) and (
                    job.lane is None or job.parked in FOR_A_START
                ):
                    gone["parked"] = None
                tables.jobs.write(replace(job, **gone))
            return len(found)

    async def _waiting(self, after: str, limit: int) -> list[str]:
        async with self._connection as tables:
            lanes = {job.rate_lane for job in _waiting(tables) if job.rate_lane is not None}
            return sorted(lane for lane in lanes if lane > after)[:limit]

    async def lanes_of(self, job_ids: Collection[ObjectId]) -> set[str]:
        """Return the lanes in which any of these jobs waits."""
        async with self._connection as tables:
            jobs = (job for job in _waiting(tables) if job.id in job_ids)
            return {job.rate_lane for job in jobs if job.rate_lane is not None}


class Asking:
    """What one claim asks of the lanes of rates."""

    def __init__(self, desk: DictionaryTokens) -> None:
        self._desk = desk
        self._left: Counter[str] = Counter()
        self.freed: set[str] = set()
        self.refused: dict[ObjectId, float] = {}
        self.moved = False

    def may_start(self, tables: Tables, job: Job, met: Job) -> bool:
        """True where a job may start, with the slot that it is given; else it waits on."""
        rate, lane = self._desk.book.of(job.rate_lane), job.rate_lane
        if rate is None or lane is None:
            return True
        answer = self._desk.ask(tables, lane, rate.pace, met)
        if answer.too_soon:
            return False
        self.has_left(met)
        if answer.starts:
            return True
        if rate.skips:
            self.refused[job.id] = answer.wait
            return True
        self._left[lane] += answer.date is None
        self.moved = True
        if met.slot is not None and met.lane is not None and job.ordered is None:
            self.freed.add(met.lane)
        put(tables, replace(job, slot=job.slot if job.ordered else None), answer.date)
        return False

    def has_left(self, job: Job) -> None:
        """Note a job that stands in its line no more."""
        if job.parked in IN_LINE_TOO and job.rate_lane is not None:
            self._left[job.rate_lane] += 1

    def let_follow(self, tables: Tables) -> None:
        """Let others follow."""
        for lane, count in self._left.items():
            rate, names = self._desk.book.of(lane), self._desk.book.names()
            if rate is not None and count:
                limit = 2 * count + 1
                if self._desk.admit_in(tables, lane, rate.pace, limit, names):
                    self.moved = True


def put(tables: Tables, job: Job, date: int | None, parked: str = DATED) -> None:
    """Waiting → in line at a date or, without one, parked for a token."""
    tables.jobs.write(replace(job, parked=FOR_A_TOKEN if date is None else parked))
    if date is not None:
        tables.dates[job.id] = from_ms(date)


def _waiting(tables: Tables) -> Iterable[Job]:
    return (job for job in list(tables.jobs.values()) if job.status in WAITING)
