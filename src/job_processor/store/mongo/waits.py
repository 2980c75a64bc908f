"""Jobs that come after others: what they wait for is an index over their own documents.

Each write is of one document and guarded by what it waits for. So whoever ends something looks
afterwards who waits, and whoever makes a job wait looks afterwards what has ended.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import UpdateMany, UpdateOne
from pymongo.errors import BulkWriteError

from job_processor.clock import FAR
from job_processor.models import FOR_A_PARENT, JobStatus, RelatedJob
from job_processor.store.desks.waits import Waits
from job_processor.store.lenient import (
    fields_of,
    id_of,
    status_of,
    text_of,
    text_or_none,
    texts_of,
)
from job_processor.store.mongo.desks import MongoDesk, translated
from job_processor.store.mongo.documents import (
    ACTIVE_STATUSES,
    HAS_LANE,
    LEAVES_GROUP,
    LINE,
    OUT_OF_LANE,
    REJOINS_GROUP,
    TRUE_TIME,
    WAITING_STATUSES,
    Document,
)
from job_processor.store.mongo.errors import DUPLICATE_KEY, write_errors
from job_processor.store.mongo.features import AFTER as AFTER_OTHERS
from job_processor.store.mongo.features import FLOWS, if_used
from job_processor.store.mongo.handles import Collection as Jobs
from job_processor.store.mongo.hinting import IndexHint
from job_processor.store.mongo.indexes import AFTER, NEWEST_BY_FLOW, WAITING_FOR
from job_processor.store.mongo.intake import check_session
from job_processor.store.mongo.selections import IS_JOB, selected
from job_processor.store.plain import plain_output
from job_processor.store.requests import JobQuery
from job_processor.store.waits import End, Node, Released, end_of, is_skipped, skipped_output, stays

_WALKED_AT_ONCE = 1000
"""Documents read at a time in a walk along what is waited for."""

_WAITING: Document = {"$in": WAITING_STATUSES}
_TOLD: Document = {"waiting_for": 1, "on_parent_failure": 1, "followed": 1, "group": 1}
_OF_NODE = dict.fromkeys(("name", "status", "after", "group", "flow_name"), 1)
_NOTHING_LEFT: Document = {"$eq": ["$waiting_for", []]}


@translated(but="follow_in")
class MongoWaits(MongoDesk, Waits):
    """Finds who waits by the index of `waiting_for`, and writes what becomes of them."""

    async def _follow(self, job_ids: Collection[ObjectId]) -> dict[ObjectId, JobStatus]:
        """Active → followed; then look."""
        return await _mark_and_look(self._jobs, self._last, job_ids)

    async def follow_in(
        self, session: Any, job_ids: Collection[ObjectId]
    ) -> dict[ObjectId, JobStatus]:
        """Do the same in the caller's transaction, which sees what it has written itself."""
        check_session(session, self._handles, self.address)
        return await _mark_and_look(self._jobs, self._jobs, job_ids, session=session)

    @if_used(AFTER_OTHERS, Released)
    async def _release(self, ends: Sequence[End], now: datetime, limit: int) -> Released:
        """Look who waits, write what becomes of them, then look whose followers are next."""
        by_tag = {end.tag: end for end in ends}
        found = await self._waiting(ends, limit)
        skipped: dict[str, list[Document]] = {}
        going: dict[bool, list[ObjectId]] = {}
        for each in found:
            rule = each.get("on_parent_failure")
            over = [by_tag[tag] for tag in texts_of(each["waiting_for"]) if tag in by_tag]
            culprit = next((end for end in over if is_skipped(rule, end)), None)
            if culprit is not None:
                skipped.setdefault(culprit.tag, []).append(each)
            else:
                going.setdefault(rule == "wait", []).append(each["_id"])
        firm = [end.tag for end in ends if not stays("wait", end)]
        writes = [_go_on(ids, firm if waits else list(by_tag)) for waits, ids in going.items()]
        writes += [_skip(by_tag[tag], jobs, now) for tag, jobs in skipped.items()]
        if writes:
            await self._jobs.bulk_write(writes, ordered=False)
        gone = [each for jobs in skipped.values() for each in jobs]
        followed = [each["_id"] for each in gone if each.get("followed")]
        return Released(
            freed=sum(map(len, going.values())),
            skipped=[each["_id"] for each in gone],
            ends=await self._ends(followed),
            groups={each["group"] for each in gone if "group" in each},
            more=len(found) >= limit,
        )

    async def _waiting(self, ends: Sequence[End], limit: int) -> list[Document]:
        """Return who waits for what has ended so, but for those that go on waiting all the same."""
        every = [end.tag for end in ends if not stays("wait", end)]
        failed = [end.tag for end in ends if stays("wait", end)]
        found = await self._who_waits(every, {}, limit)
        known = {each["_id"] for each in found}
        not_so: Document = {"on_parent_failure": {"$ne": "wait"}}
        more = await self._who_waits(failed, not_so, limit - len(found))
        return [*found, *(each for each in more if each["_id"] not in known)]

    async def _who_waits(self, tags: list[str], rule: Document, limit: int) -> list[Document]:
        if not tags or limit < 1:
            return []
        waiting: Document = {"waiting_for": {"$in": tags}, "status": _WAITING, **rule}

        async def read(hint: IndexHint) -> list[Document]:
            found = self._last.find(waiting, _TOLD, limit=limit, batch_size=limit)
            return await (found if hint is None else found.hint(hint)).to_list()

        return await self._hinting.walk(WAITING_FOR, read)

    async def _ends(self, job_ids: Collection[ObjectId]) -> list[End]:
        """Return the ends of those of these jobs that have ended."""
        if not job_ids:
            return []
        states = await _look(self._last, job_ids)
        ends = (end_of(job_id, states.get(job_id)) for job_id in job_ids)
        return [end for end in ends if end is not None]

    @if_used(AFTER_OTHERS, list[str])
    async def _waited_for(self, behind: str, limit: int) -> list[str]:
        """Return what is waited for, as the index has it: its first entry of a job counts."""
        tags: list[str] = []
        while len(tags) < limit:
            last = tags[-1] if tags else behind
            page = await self._page_of_waits(last)
            firsts = [_behind(each, last)[0] for each in page]
            if len(page) < _WALKED_AT_ONCE:
                tags += sorted({tag for each in page for tag in _behind(each, last)})
                break
            tags += sorted(set(firsts))
        return tags[:limit]

    async def _page_of_waits(self, last: str) -> list[Document]:
        waiting: Document = {"waiting_for": {"$gt": last}, "status": _WAITING}

        async def walk(hint: IndexHint) -> list[Document]:
            found = self._last.find(waiting, {"_id": 0, "waiting_for": 1}, limit=_WALKED_AT_ONCE)
            # In the order of the index: a sort by a list would have to read all of it.
            return await (found if hint is None else found.hint(hint)).to_list()

        return await self._hinting.walk(WAITING_FOR, walk)

    @if_used(AFTER_OTHERS, list[ObjectId])
    async def _followers(self, tag: str, limit: int) -> list[ObjectId]:
        async def walk(hint: IndexHint) -> list[Document]:
            found = self._last.find({"after": tag}, {"_id": 1}, sort=[("_id", 1)], limit=limit)
            return await (found if hint is None else found.hint(hint)).to_list()

        return [each["_id"] for each in await self._hinting.walk(AFTER, walk)]

    async def _parents(self, job_ids: Collection[ObjectId]) -> list[RelatedJob]:
        wanted = {"_id": {"$in": list(job_ids)}, **IS_JOB}
        found = self._jobs.find(wanted, {"name": 1, "status": 1, "output.error": 1})
        return [
            RelatedJob(
                each["_id"],
                text_of(each.get("name", "")),
                status_of(each["status"]),
                text_or_none(fields_of(each.get("output")).get("error")),
            )
            async for each in found
        ]

    @if_used(FLOWS, list[ObjectId])
    async def _flows(self, below: ObjectId | None, limit: int) -> list[ObjectId]:
        """Jump along the index from one flow to the one before it, however many jobs they have."""
        flows: list[ObjectId] = []
        while len(flows) < limit:
            last = flows[-1] if flows else below
            bound: Document = {"$exists": True} if last is None else {"$lt": last, "$exists": True}

            async def read(hint: IndexHint, bound: Document = bound) -> list[Document]:
                order = [("flow", -1)]
                found = self._jobs.find(
                    {"flow": bound}, {"flow": 1}, sort=order, limit=1, hint=hint
                )
                return await found.to_list()

            page = await self._hinting.walk(NEWEST_BY_FLOW, read)
            if not page:
                break
            flows.append(page[0]["flow"])
        return flows

    @if_used(FLOWS, list[Node])
    async def _graph(self, flow: ObjectId, limit: int, *, newest: bool) -> list[Node]:
        query = JobQuery(flow=flow)
        order = [("_id", -1 if newest else 1)]

        async def walk(hint: IndexHint) -> list[Document]:
            found = self._jobs.find(selected(query), _OF_NODE, sort=order, limit=limit, hint=hint)
            return await found.to_list()

        return sorted(map(_node, await self._hinting.walk(NEWEST_BY_FLOW, walk)))

    @if_used(FLOWS, dict[str, dict[JobStatus, int]])
    async def counts_of_flow(self, flow: ObjectId) -> dict[str, dict[JobStatus, int]]:
        """Count the jobs of a flow by name and state."""
        pipeline: list[Document] = [
            {"$match": {"flow": flow}},
            {"$group": {"_id": {"name": "$name", "status": "$status"}, "count": {"$sum": 1}}},
        ]
        counts: defaultdict[str, dict[JobStatus, int]] = defaultdict(dict)
        async for each in await self._jobs.aggregate(pipeline):
            key = each["_id"]
            counts[text_of(key["name"])][status_of(key["status"])] = each["count"]
        return dict(counts)

    @if_used(AFTER_OTHERS, dict[ObjectId, tuple[str, ...]])
    async def bring_back(
        self, tag: str, now: datetime, limit: int
    ) -> dict[ObjectId, tuple[str, ...]]:
        """Skipped because of this → waiting for all that they come after."""
        skipped: Document = {"after": tag, "status": "skipped", "waiting_for": tag}
        found = await self._last.find(skipped, {"after": 1}, limit=limit).to_list()
        if not found:
            return {}
        change = _to_waiting(now)
        writes = [UpdateOne({**skipped, "_id": each["_id"]}, change) for each in found]
        refused: set[int] = set()
        try:
            await self._jobs.bulk_write(writes, ordered=False)
        except BulkWriteError as error:
            errors = write_errors(error)
            if any(each["code"] != DUPLICATE_KEY for each in errors):
                raise
            refused = {each["index"] for each in errors}
        return {
            each["_id"]: texts_of(each["after"])
            for index, each in enumerate(found)
            if index not in refused
        }


def _node(document: Document) -> Node:
    return Node(
        document["_id"],
        text_of(document.get("name", "")),
        status_of(document.get("status")),
        texts_of(document.get("after")),
        id_of(document.get("group")),
        text_or_none(document.get("flow_name")),
    )


async def _mark_and_look(
    jobs: Jobs, last: Jobs, job_ids: Collection[ObjectId], session: Any = None
) -> dict[ObjectId, JobStatus]:
    active: Document = {
        "_id": {"$in": list(job_ids)},
        "status": {"$in": ACTIVE_STATUSES},
        "followed": None,
    }
    await jobs.update_many(active, {"$set": {"followed": True}}, session=session)
    return await _look(last, job_ids, session)


async def _look(
    jobs: Jobs, job_ids: Collection[ObjectId], session: Any = None
) -> dict[ObjectId, JobStatus]:
    wanted = {"_id": {"$in": list(job_ids)}, **IS_JOB}
    found = jobs.find(wanted, {"status": 1}, session=session)
    return {each["_id"]: status_of(each["status"]) async for each in found}


def _behind(each: Mapping[str, Any], last: str) -> list[str]:
    return sorted(tag for tag in texts_of(each["waiting_for"]) if tag > last)


def _go_on(ids: Sequence[ObjectId], ended: Sequence[str]) -> UpdateMany:
    """Take what has ended off these jobs; one that has nothing left is free to start."""
    free = {"$and": [_NOTHING_LEFT, {"$not": [HAS_LANE]}]}
    in_line = {"$and": [_NOTHING_LEFT, HAS_LANE]}
    moved = {
        "scheduled_for": {"$cond": [free, "$due", "$scheduled_for"]},
        "due": {"$cond": [free, "$$REMOVE", "$due"]},
        "ready": {"$cond": [in_line, "$due", "$$REMOVE"]},
        "line": {"$cond": [in_line, LINE, "$$REMOVE"]},
        "parked": {"$cond": [_NOTHING_LEFT, "$$REMOVE", "$parked"]},
        "waiting_for": {"$cond": [_NOTHING_LEFT, "$$REMOVE", "$waiting_for"]},
    }
    left = {"$setDifference": ["$waiting_for", {"$literal": list(ended)}]}
    return UpdateMany(
        _still_waiting(ids, ended), [{"$set": {"waiting_for": left}}, {"$set": moved}]
    )


def _skip(end: End, jobs: Iterable[Document], now: datetime) -> UpdateMany:
    """End these jobs because of what has ended so."""
    skipped = {
        "status": JobStatus.SKIPPED.value,
        "ended_at": now,
        "updated_at": {"$max": ["$updated_at", now]},
        "output": {"$literal": plain_output(skipped_output(end, now))},
        **TRUE_TIME,
        **LEAVES_GROUP,
    }
    ids = [each["_id"] for each in jobs]
    change: list[Document] = [{"$set": skipped}, OUT_OF_LANE, {"$unset": "open_in"}]
    change.append({"$set": {"waiting_for": [end.tag]}})
    return UpdateMany(_still_waiting(ids, [end.tag]), change)


def _still_waiting(ids: Sequence[ObjectId], tags: Sequence[str]) -> Document:
    return {"_id": {"$in": list(ids)}, "waiting_for": {"$in": list(tags)}, "status": _WAITING}


def _to_waiting(now: datetime) -> list[Document]:
    """Return what makes a job wait again that was skipped because of another."""
    waiting = {
        "status": JobStatus.PENDING.value,
        "updated_at": {"$max": ["$updated_at", now]},
        "due": "$scheduled_for",
        "scheduled_for": FAR,
        "parked": FOR_A_PARENT,
        "waiting_for": "$after",
        "ended_at": None,
        "worker_id": None,
        "output": None,
        **REJOINS_GROUP,
    }
    return [{"$set": waiting}, {"$unset": ["expires_at", "failed_in"]}]
