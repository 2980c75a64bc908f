"""Jobs that wait. A claim of one takes one round trip, beside others two; of many three at most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from heapq import nsmallest
from typing import Any

from bson import ObjectId
from pymongo.errors import OperationFailure

from job_processor.clock import EPOCH, FAR, LAST_MOMENT
from job_processor.models import Job
from job_processor.redaction import Redaction
from job_processor.settings import CLAIM_NAMES
from job_processor.store.contention import ON, spread
from job_processor.store.desks.queue import Queue
from job_processor.store.lanes import lines_of
from job_processor.store.lenient import moment, whole
from job_processor.store.mongo.aside import Aside
from job_processor.store.mongo.desks import MongoDesk, Plumbing, translated
from job_processor.store.mongo.documents import (
    JOB_TYPES,
    WAITING_STATUSES,
    Document,
    to_job,
)
from job_processor.store.mongo.errors import (
    failing_document_id,
    is_refused,
    reason,
)
from job_processor.store.mongo.features import LINES
from job_processor.store.mongo.hinting import BY_ID, IndexHint
from job_processor.store.mongo.index import Index
from job_processor.store.mongo.indexes import BY_TIME, CLAIM
from job_processor.store.mongo.modifying import find_one_and_update
from job_processor.store.mongo.summaries import shown_fields, to_summary
from job_processor.store.mongo.whole import find_whole
from job_processor.store.requests import Claim
from job_processor.store.summaries import JobSummary

_NAMES_IN_COUNT = 25
"""Names of which one question counts; each is two pipelines of it."""

_ORDER = [("priority", -1), ("scheduled_for", 1)]
_HEAD = {"_id": 1, "priority": 1, "crashes": 1}
_NO_SUSPECT = {"crashes": {"$in": [None, 0]}}
_NOT_READ = dict.fromkeys(("status", "worker_id", "ended_at", "state"), 0)
"""What is not read of a job that was claimed: the claim itself has written it, it has no end, and
its saved state, which may be large, is read when its handler asks for it."""


@translated()
class MongoQueue(MongoDesk, Queue):
    """Moves due jobs to running under a worker's id, and looks at them."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        self._aside = Aside(plumbing)
        self._turns = plumbing.turns
        self._spread = 1
        self._has_backlog = False
        """True where the last claim brought all that it asked for, so that there is probably more:
        then others who claim here mean the same jobs."""

    async def _claim(self, claim: Claim) -> list[Job]:
        """Pending or paused, due → running; return what is ours, the most urgent first."""
        jobs = await self._hinting.walk(_index(claim), partial(self._claim_by, claim))
        self._has_backlog = len(jobs) >= claim.limit
        return jobs

    async def _next_due(self, names: Collection[str]) -> datetime | None:
        """Return the earliest `scheduled_for` of what waits, what was set aside left out."""
        every, earliest = list(names), None
        for start in range(0, len(every), CLAIM_NAMES):
            waiting = {
                "type": {"$in": JOB_TYPES},  # leads the index that is sorted by time
                "name": {"$in": every[start : start + CLAIM_NAMES]},
                "status": {"$in": WAITING_STATUSES},
                **_without(self._aside.ids()),
            }
            document = await self._hinting.walk(BY_TIME, partial(self._earliest, waiting))
            if document is not None:
                found = moment(document["scheduled_for"]) or EPOCH
                if found >= FAR:  # it waits in a lane, and so does what is behind it
                    continue
                earliest = found if earliest is None else min(earliest, found)
        return earliest

    async def _due(
        self,
        now: datetime,
        limit: int,
        leaving_out: Collection[str],
        redaction: Redaction | None,
    ) -> list[JobSummary]:
        """Return what a list shows of the due jobs and cron tasks, the earliest first."""
        due, shown = _due_but(now, leaving_out), shown_fields(redaction)
        order = [("scheduled_for", 1)]
        found = await find_whole(self._jobs, due, shown, sort=order, limit=limit)
        in_line: list[Document] = []
        if await self.features.is_used(LINES):
            ready, by_time = _ready_but(now, leaving_out), [("ready", 1)]
            in_line = await find_whole(self._jobs, ready, shown, sort=by_time, limit=limit)
        summaries = [to_summary(document, redaction) for document in [*found, *in_line]]
        return nsmallest(limit, summaries, key=lambda job: (job.scheduled_for, job.id))

    async def _count_due(self, names: Collection[str], now: datetime, cap: int) -> dict[str, int]:
        """Count what is due of each name, in line or not, each count up to `cap`."""
        counts: Counter[str] = Counter()
        every, in_line = list(names), await self.features.is_used(LINES)
        for start in range(0, len(every), _NAMES_IN_COUNT):
            some = every[start : start + _NAMES_IN_COUNT]
            parts = list(_due_pipelines(some, now, cap, in_line=in_line))
            async for each in await self._jobs.aggregate(self._united(parts)):
                counts[each["_id"]] += each["count"]
        return {name: min(count, cap) for name, count in counts.items()}

    async def due_since(self, now: datetime, leaving_out: Collection[str]) -> datetime | None:
        """Return when the first due job was to begin; None: none is due."""
        first = await self._jobs.find_one(
            _due_but(now, leaving_out),
            {"_id": 0, "scheduled_for": 1},
            sort=[("scheduled_for", 1)],
        )
        in_line: Document | None = None
        if await self.features.is_used(LINES):
            ready = _ready_but(now, leaving_out)
            in_line = await self._jobs.find_one(ready, {"_id": 0, "ready": 1}, sort=[("ready", 1)])
        found = [each["scheduled_for"] for each in [first] if each is not None]
        found += [each["ready"] for each in [in_line] if each is not None]
        return min((moment(each) or EPOCH for each in found), default=None)

    async def _earliest(self, waiting: Document, hint: IndexHint) -> Document | None:
        return await self._last.find_one(
            waiting, {"scheduled_for": 1}, sort=[("scheduled_for", 1)], hint=hint
        )

    async def _claim_by(self, claim: Claim, hint: IndexHint) -> list[Job]:
        rivals = self._turns.rivals(claim.names) if self._has_backlog else 0
        head = ON.head(claim.limit, rivals)
        if head > 1:
            for _ in range(ON.lost_claim_tries()):
                candidates = await self._candidates(claim, hint, max(head, self._wanted(claim)))
                taken = await self._take(claim, candidates) if candidates else []
                if taken or not candidates:
                    return _ordered(taken, claim)
        return _ordered(await self._take_first(claim, hint), claim) if claim.limit == 1 else []

    def _wanted(self, claim: Claim) -> int:
        """Return how many candidates a claim reads, after those that lost some."""
        return claim.limit * self._spread

    async def _take_first(self, claim: Claim, hint: IndexHint) -> list[Document]:
        """Claim the most urgent one: atomically, in one round trip."""
        while True:
            due = self._claimable(claim)
            try:
                document = await find_one_and_update(
                    self._jobs,
                    due,
                    _to_running(claim),
                    fields=_NOT_READ,
                    sort=_order(claim),
                    hint=hint,
                )
            except OperationFailure as error:
                if not is_refused(error):
                    raise
                failing = failing_document_id(error)
                if failing is None:
                    head = await self._last.find_one(due, {"_id": 1}, sort=_order(claim))
                    if head is None:
                        continue
                    failing = head["_id"]
                self._aside.put(failing, _details(error))
            else:
                return [] if document is None else [document]

    async def _candidates(self, claim: Claim, hint: IndexHint, wanted: int) -> list[ObjectId]:
        """Return ids from the head of the queue, spread over it when others claim there too."""
        head = self._last.find(
            self._claimable(claim),
            _HEAD,
            sort=_order(claim),
            limit=wanted,
            batch_size=wanted,
            hint=hint,
        )
        by_time = claim.overdue_since is not None
        found = [
            (0 if by_time else whole(document.get("priority"), 0), document["_id"])
            for document in _with_one_suspect(await head.to_list())
        ]
        return spread(found, claim.limit)

    async def _take(self, claim: Claim, ids: Sequence[ObjectId]) -> list[Document]:
        """Claim those of the candidates that still wait."""
        if len(ids) == 1:
            return await self._take_each(claim, ids)
        try:
            result = await self._jobs.update_many(
                _still_due(claim, ids), _to_running(claim), hint=BY_ID
            )
        except OperationFailure as error:
            if not is_refused(error):
                raise
            return await self._taken_by_now(claim, ids) + await self._take_each(claim, ids)
        lost = result.matched_count < len(ids)
        self._spread = ON.next_spread(self._spread, lost=lost)
        return await self._taken_by_now(claim, ids) if result.matched_count else []

    async def _taken_by_now(self, claim: Claim, ids: Sequence[ObjectId]) -> list[Document]:
        """Read which of the candidates this very claim has moved."""
        ours = {
            "_id": {"$in": list(ids)},
            "status": "running",
            "worker_id": claim.worker_id,
            "updated_at": {"$gte": claim.now},
        }
        # Without the limit, one more request for the end.
        size = len(ids)
        return await find_whole(self._jobs, ours, _NOT_READ, limit=size, batch_size=size)

    async def _take_each(self, claim: Claim, ids: Iterable[ObjectId]) -> list[Document]:
        """Claim the candidates one by one; set aside what the validator refuses."""
        taken = []
        for job_id in ids:
            try:
                document = await find_one_and_update(
                    self._jobs,
                    _still_due(claim, [job_id]),
                    _to_running(claim),
                    fields=_NOT_READ,
                    hint=BY_ID,
                )
            except OperationFailure as error:
                if not is_refused(error):
                    raise
                self._aside.put(job_id, _details(error))
            else:
                taken += [] if document is None else [document]
        return taken

    def _claimable(self, claim: Claim) -> Document:
        leading = {} if claim.overdue_since is None else {"type": {"$in": JOB_TYPES}}
        return {
            **leading,
            "name": {"$in": list(claim.names)},
            "status": {"$in": WAITING_STATUSES},
            "scheduled_for": {"$lte": claim.due_by},
            **({} if claim.suspects else _NO_SUSPECT),
            **_without([*claim.exclude, *self._aside.ids()]),
        }


def _with_one_suspect(documents: Iterable[Document]) -> Iterator[Document]:
    """Give candidates without those that crashed before, but for the first of these."""
    has_one = False
    for document in documents:
        is_suspect = whole(document.get("crashes"), 0) > 0
        if not (is_suspect and has_one):
            yield document
        has_one = has_one or is_suspect


def _index(claim: Claim) -> Index:
    """Return the index whose order is the claim's."""
    return CLAIM if claim.overdue_since is None else BY_TIME


def moment_of_claim(now: datetime) -> Document:
    """Return the `updated_at` that a claim writes, which is later than all before it.

    So each claim of a job has a moment of its own, though clocks step back and stand still.
    """
    known = {"$and": [{"$gt": ["$updated_at", EPOCH]}, {"$lt": ["$updated_at", LAST_MOMENT]}]}
    later = {"$cond": [known, {"$add": ["$updated_at", 1]}, now]}
    return {"$max": [now, later]}


def _to_running(claim: Claim) -> list[Document]:
    """Return what a claim writes."""
    moment = moment_of_claim(claim.now)
    return [
        {
            "$set": {
                "status": "running",
                "worker_id": claim.worker_id,
                "updated_at": moment,
                "started_at": {"$ifNull": ["$started_at", moment]},
            }
        }
    ]


def _details(error: OperationFailure) -> Mapping[str, Any]:
    return {"errmsg": reason(error), **(error.details or {}), "code": error.code}


def _due_but(now: datetime, leaving_out: Collection[str]) -> Document:
    """Match what is due, but for some names."""
    due: Document = {
        "type": {"$in": JOB_TYPES},
        "status": {"$in": WAITING_STATUSES},
        "scheduled_for": {"$lte": now},
    }
    return {**due, "name": {"$nin": list(leaving_out)}} if leaving_out else due


def _ready_but(now: datetime, leaving_out: Collection[str]) -> Document:
    """Match what is in line and ready, but for some names."""
    ready: Document = {
        "line": {"$exists": True},
        "status": {"$in": WAITING_STATUSES},
        "ready": {"$lte": now},
    }
    return {**ready, "name": {"$nin": list(leaving_out)}} if leaving_out else ready


def _due_pipelines(
    names: Iterable[str], now: datetime, cap: int, *, in_line: bool
) -> Iterator[list[Document]]:
    """Give a pipeline for each name, of what is due, and one of what is ready `in_line`."""
    for name in names:
        due = {"name": name, "scheduled_for": {"$lte": now}}
        ready = {"line": {"$in": lines_of([name])}, "ready": {"$lte": now}}
        for matching in (due, ready) if in_line else (due,):
            yield [
                {"$match": {**matching, "status": {"$in": WAITING_STATUSES}}},
                {"$limit": cap},
                {"$group": {"_id": {"$literal": name}, "count": {"$sum": 1}}},
            ]


def _still_due(claim: Claim, ids: Sequence[ObjectId]) -> Document:
    return {
        "_id": {"$in": list(ids)} if len(ids) > 1 else ids[0],
        "status": {"$in": WAITING_STATUSES},
        "scheduled_for": {"$lte": claim.now},
    }


def _without(ids: Sequence[ObjectId]) -> Document:
    return {"_id": {"$nin": list(ids)}} if ids else {}


def _order(claim: Claim) -> list[tuple[str, int]]:
    return _ORDER if claim.overdue_since is None else _ORDER[1:]


def _ordered(documents: Iterable[Mapping[str, Any]], claim: Claim) -> list[Job]:
    """Return the jobs in the order of the queue, which an update does not keep."""
    by_time = claim.overdue_since is not None

    def place(document: Mapping[str, Any]) -> tuple[int, datetime, ObjectId]:
        priority = 0 if by_time else whole(document.get("priority"), 0)
        return -priority, moment(document["scheduled_for"]) or EPOCH, document["_id"]

    written = {"status": "running", "worker_id": claim.worker_id}
    return [to_job({**each, **written}) for each in sorted(documents, key=place)]
