"""What waits for a slot: all of it is looked through, and nothing happens in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from bson import ObjectId

from job_processor.handlers.lanes import has_key
from job_processor.models import FOR_A_SLOT, WAITING, Job, JobStatus, SimpleJob
from job_processor.store.desks.lanes import Lanes
from job_processor.store.desks.lazily import Lazily
from job_processor.store.lanes import (
    Bounds,
    LaneClaim,
    LaneInfo,
    Taken,
    Turn,
    holds_slot,
    is_apart,
    slots_of,
)
from tests.store.dictionaries.queue import claimed
from tests.store.dictionaries.tables import OnTables, Tables, is_in_line, own
from tests.store.dictionaries.tokens import FOR_A_START, Asking

if TYPE_CHECKING:
    from tests.store.dictionaries.tokens import DictionaryTokens


class DictionaryLanes(OnTables, Lanes):
    """Gives slots, which the third of the unique indexes keeps."""

    _tokens: Lazily[DictionaryTokens] = Lazily("tokens")

    async def _claim(self, claim: LaneClaim) -> Taken:
        taken: list[Job] = []
        blocked, asking = False, Asking(self._tokens)
        async with self._connection as tables:
            for job in sorted(_in_line(tables, claim.names), key=lambda job: _line(tables, job)):
                if tables.ready(job) > claim.now or job.id in claim.exclude:
                    continue
                if len(taken) == claim.limit:
                    break
                started = self._take(tables, claim, tables.jobs[job.id], asking)
                if started is not None:
                    taken.append(started)
                present = tables.jobs[job.id]
                if present.status in WAITING and present.parked not in FOR_A_START:
                    keyed = has_key(job.lane or "")
                    blocked = blocked or not keyed
                    if keyed and present.slot is None:
                        asking.has_left(job)
                        tables.jobs.write(replace(present, parked=FOR_A_SLOT))
            asking.let_follow(tables)
            for lane in asking.freed:
                self._hand_over_in(tables, {lane: self.book.amount(lane) or 0}, claim.now)
        return Taken([own(job) for job in taken], blocked, asking.refused, asking.moved)

    def _take(self, tables: Tables, claim: LaneClaim, job: Job, asking: Asking) -> Job | None:
        """Start a job, or the one of its lane whose turn it is; None where there is no slot."""
        if job.status not in WAITING:
            return None
        amount = self.book.amount(job.lane or "")
        if job.slot is None and amount is not None:
            free = _free(tables, job.lane or "", amount)
            if not free:
                return None
            if job.ordered is not None:
                job = _next(tables, job.lane or "", claim.now) or job
            job = replace(job, slot=free[0])
            if job.name not in claim.names or job.id in claim.exclude:
                self._let_in(tables, job, claim.now)
                return None
        if not asking.may_start(tables, job, tables.jobs[job.id]):
            return None
        running = replace(claimed(job, claim.worker_id, claim.now), parked=None)
        tables.jobs.write(running)
        return running

    async def _hand_over(
        self, lanes: Mapping[str, int], names: Collection[str], now: datetime
    ) -> int:
        del names
        async with self._connection as tables:
            return self._hand_over_in(tables, lanes, now)

    def _hand_over_in(self, tables: Tables, lanes: Mapping[str, int], now: datetime) -> int:
        admitted, names = 0, self.book.names()
        for lane, amount in lanes.items():
            for slot in _free(tables, lane, amount):
                job = _next(tables, lane, now)
                if job is not None and job.ordered is None and job.name not in names:
                    job = _next(tables, lane, now, names)
                if job is None or job.name not in names:
                    break
                self._let_in(tables, replace(job, slot=slot), now)
                admitted += 1
        return admitted

    def _let_in(self, tables: Tables, job: Job, now: datetime) -> None:
        if tables.jobs[job.id].parked is not None:
            tables.admitted[job.id] = now
        tables.jobs.write(replace(job, parked=None))

    async def _park(self, job_ids: Collection[ObjectId], reason: str, now: datetime) -> int:
        async with self._connection as tables:
            found = [
                job
                for job in map(tables.jobs.get, job_ids)
                if job is not None
                and job.status is JobStatus.PENDING
                and (job.parked, job.slot) == (None, None)
            ]
            for job in found:
                tables.jobs.write(replace(job, parked=reason))
            return len(found)

    async def _release(
        self, job_ids: Collection[ObjectId], now: datetime, at: datetime | None
    ) -> int:
        async with self._connection as tables:
            found = [job for job in map(tables.jobs.get, job_ids) if job is not None and job.parked]
            for job in found:
                released: Any = {"parked": None, "topics": ()}
                if at is not None and job.lane is None and job.rate_lane is None:
                    released["scheduled_for"] = at
                tables.jobs.write(replace(job, **released))
                tables.admitted[job.id] = at or job.scheduled_for
            return len(found)

    async def _withdraw(
        self, lanes: Collection[str], before: datetime, names: Collection[str]
    ) -> int:
        async with self._connection as tables:
            found = [
                job
                for job in _waiting(tables)
                if job.lane in lanes
                and job.slot is not None
                and (job.parked, job.ordered) == (None, None)
                and tables.ready(job) < before
                and job.name not in names
            ]
            for job in found:
                tables.jobs.write(replace(job, slot=None, parked=FOR_A_SLOT))
            return len(found)

    async def _retract(self, lanes: Mapping[str, int]) -> int:
        async with self._connection as tables:
            found = [
                job
                for job in _waiting(tables)
                if job.lane in lanes
                and job.slot is not None
                and (job.parked, job.ordered) == (None, None)
                and job.slot not in slots_of(job.lane or "", lanes[job.lane or ""])
            ]
            for job in found:
                tables.jobs.write(replace(job, slot=None, parked=FOR_A_SLOT))
            return len(found)

    async def _in_use(self, bounds: Sequence[Bounds], limit: int) -> list[str]:
        async with self._connection as tables:
            used = sorted({job.lane for job in _present(tables) if job.lane is not None})
            within = (
                [lane for lane in used if each.above < lane < (each.below or "\U0010ffff")][:limit]
                for each in bounds
            )
            return sorted({lane for lanes in within for lane in lanes})

    async def _look_at(self, lanes: Sequence[str], cap: int) -> list[LaneInfo]:
        async with self._connection as tables:
            return [_stand(tables, lane, cap, self.book.now()) for lane in lanes]

    async def _members(self, lane: str, limit: int) -> tuple[list[ObjectId], list[ObjectId]]:
        async with self._connection as tables:
            slotted = [job.id for job in _present(tables) if job.lane == lane and holds_slot(job)]
            turns = _turns(tables, lane, self.book.now())
            return slotted[:limit], [job.id for job in turns][:limit]

    async def _dissolve(self, lanes: Collection[str], names: Collection[str], limit: int) -> int:
        async with self._connection as tables:
            of_names = (job for job in _waiting(tables) if job.name in names and job.lane in lanes)
            found = list(islice(of_names, limit))
            for job in found:
                waits = job.waiting_for or job.topics
                stays = waits or (job.rate_lane and job.parked in FOR_A_START)
                gone: Any = {"lane": None, "slot": None, "ordered": None}
                gone["parked"] = job.parked if stays else None
                tables.jobs.write(replace(job, **gone))
            return len(found)

    async def _expire(self, now: datetime, limit: int) -> int:
        async with self._connection as tables:
            expired = [
                job
                for job in _waiting(tables)
                if isinstance(job, SimpleJob)
                and is_apart(job)
                and job.slot is None
                and not job.ran_before
                and job.expires_at is not None
                and job.expires_at <= now
            ]
            expired.sort(key=lambda job: job.expires_at or now)
            return _take_out(tables, expired[:limit])

    async def _waiting(self, after: str, limit: int) -> list[str]:
        async with self._connection as tables:
            lanes = {job.lane for job in _waiting(tables) if job.lane is not None}
            return sorted(lane for lane in lanes if lane > after)[:limit]

    async def _parked(self, names: Collection[str], cap: int) -> dict[str, int]:
        async with self._connection as tables:
            counts = Counter(job.name for job in _waiting(tables) if job.parked)
            return {name: min(cap, counts[name]) for name in names if counts[name]}

    async def holding(self, job_ids: Collection[ObjectId]) -> dict[ObjectId, str]:
        """Return the lanes of those of these jobs that have a slot."""
        async with self._connection as tables:
            jobs = (tables.jobs[job_id] for job_id in job_ids if job_id in tables.jobs)
            return {job.id: job.lane for job in jobs if job.lane is not None and holds_slot(job)}

    async def _next_ready(self, names: Collection[str], after: datetime | None) -> datetime | None:
        async with self._connection as tables:
            moments = [tables.ready(job) for job in _in_line(tables, names)]
            return min((each for each in moments if after is None or each > after), default=None)


def _take_out(tables: Tables, jobs: Iterable[Job]) -> int:
    gone: Any = dict.fromkeys(("lane", "rate_lane", "slot", "ordered", "parked"))
    gone["waiting_for"] = ()
    found = list(jobs)
    for job in found:
        tables.jobs.write(replace(job, **gone))
    return len(found)


def _waiting(tables: Tables) -> Iterable[Job]:
    return (job for job in list(tables.jobs.values()) if job.status in WAITING)


def _present(tables: Tables) -> Iterable[Job]:
    return (job for job in list(tables.jobs.values()) if job.status in WAITING or holds_slot(job))


def _stand(tables: Tables, lane: str, cap: int, now: datetime) -> LaneInfo:
    there = [job for job in _present(tables) if job.lane == lane]
    admitted = [job for job in there if job.slot is not None and job.status in WAITING]
    turns = sorted(admitted, key=tables.ready) or _turns(tables, lane, now)
    waiting = [job for job in there if job.status in WAITING]
    return LaneInfo(
        lane,
        running=sum(job.status is JobStatus.RUNNING for job in there),
        in_line=min(cap, sum(job.parked is None for job in waiting)),
        parked=min(cap, sum(job.parked is not None for job in waiting)),
        next=Turn(turns[0].id, turns[0].name, turns[0].scheduled_for) if turns else None,
        stopped_by=next((job.id for job in there if job.status is JobStatus.ERRORED), None),
    )


def _turns(tables: Tables, lane: str, now: datetime) -> list[Job]:
    waiting = [job for job in _waiting(tables) if job.lane == lane and job.slot is None]
    due = [job for job in waiting if job.scheduled_for <= now]
    later = [job for job in waiting if job.scheduled_for > now]
    return [
        *sorted(due, key=lambda job: (-job.priority, job.scheduled_for, job.id)),
        *sorted(later, key=lambda job: job.scheduled_for),
    ]


def _in_line(tables: Tables, names: Collection[str]) -> Iterable[Job]:
    return (job for job in _waiting(tables) if is_in_line(job) and job.name in names)


def _line(tables: Tables, job: Job) -> tuple[Any, ...]:
    return -job.priority, tables.ready(job), job.id


def _next(
    tables: Tables, lane: str, now: datetime, names: Collection[str] | None = None
) -> Job | None:
    due = [
        job
        for job in _waiting(tables)
        if job.lane == lane
        and job.slot is None
        and job.parked in (None, FOR_A_SLOT)
        and job.scheduled_for <= now
        and (names is None or job.name in names)
    ]
    return min(due, key=lambda job: (-job.priority, job.scheduled_for, job.id), default=None)


def _free(tables: Tables, lane: str, amount: int) -> list[str]:
    taken = {job.slot for job in tables.jobs.values() if job.lane == lane and holds_slot(job)}
    return [slot for slot in slots_of(lane, amount) if slot not in taken]
