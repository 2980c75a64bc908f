"""Reads for people and for those who wait: each an index walk of bounded length."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterable, Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from operator import itemgetter
from typing import Any

from bson import ObjectId
from pymongo.errors import ExecutionTimeout, OperationFailure

from job_processor.clock import EPOCH
from job_processor.errors import SearchLimitError
from job_processor.models import Job, JobStatus, JobType
from job_processor.redaction import Redaction
from job_processor.settings import LOOK_SECONDS, LOOK_THROUGH
from job_processor.store.base import State
from job_processor.store.lenient import moment
from job_processor.store.mongo.documents import (
    ACTIVE_STATUSES,
    JOB_STATUSES,
    JOB_TYPES,
    WAITING_STATUSES,
    Document,
    to_job,
)
from job_processor.store.mongo.errors import is_away
from job_processor.store.mongo.handles import Handles
from job_processor.store.mongo.hinting import Hinting, IndexHint
from job_processor.store.mongo.indexes import NEWEST_BY_NAME, NEWEST_BY_TYPE, Index
from job_processor.store.mongo.summaries import bare_fields, shown_fields, to_summary
from job_processor.store.mongo.whole import aggregate_whole, find_one_whole, find_whole
from job_processor.store.requests import JobQuery, NameCount
from job_processor.store.summaries import JobSummary

_TYPES: tuple[JobType, ...] = ("cron_task", "simple")
_IS_JOB: Document = {"type": {"$in": JOB_TYPES}, "status": {"$in": JOB_STATUSES}}
"""Leaves out crons, and states of a later version."""

_WHAT_IS_SHOWN = {"state": 0}
"""A saved state may be large, and is for the next run only."""

_WALKS = 200
"""MongoDB merges so many walks of an index at most; with more it sorts in memory."""
_OF_AN_EXPRESSION = 14_000
"""The codes of errors of an expression begin about here; those of the server are lower."""

_NAMES_AT_ONCE = 25
"""Names whose newest jobs are read in one statement."""

_NAMES_IN_COUNT = 50
"""Names in one pipeline, of 7 stages each: MongoDB takes at most 1000 stages."""


class Reading:
    """Finds and counts jobs."""

    def __init__(self, handles: Handles, hinting: Hinting) -> None:
        self._jobs = handles.jobs
        self._latest = handles.latest_jobs
        self._hinting = hinting

    async def get(self, job_id: ObjectId) -> Job | None:
        """Return a job or cron task, None when there is none of this id."""
        # By its id alone, which needs no plan; what it is is seen here.
        document = await find_one_whole(self._jobs, {"_id": job_id}, _WHAT_IS_SHOWN)
        return to_job(document) if document is not None and _is_job(document) else None

    async def get_many(self, job_ids: Collection[ObjectId]) -> list[Job]:
        """Return those of the jobs and cron tasks that exist, in no order."""
        if not job_ids:
            return []
        wanted = {"_id": {"$in": list(job_ids)}, **_IS_JOB}
        return [to_job(each) for each in await find_whole(self._jobs, wanted, _WHAT_IS_SHOWN)]

    async def states_of(self, job_ids: Collection[ObjectId]) -> dict[ObjectId, State]:
        """Return the states of those that exist."""
        if not job_ids:
            return {}
        wanted = {"_id": {"$in": list(job_ids)}, **_IS_JOB}
        found = self._jobs.find(wanted, {"status": 1, "attempt": 1})
        return {
            each["_id"]: State(JobStatus(each["status"]), each.get("attempt") or 1)
            async for each in found
        }

    async def find(self, query: JobQuery) -> list[Job]:
        """Return a selection of jobs and cron tasks by id, newest first.

        A field that is not asked for stands as all of its values, so that two indexes, by name and
        by type, serve every combination as a merge of a few walks in the order of ids.
        """
        if query.max_bytes is not None:
            return await self._find_within(query, query.max_bytes)
        return [to_job(document) for document in await self._found(query, _WHAT_IS_SHOWN)]

    async def _find_within(self, query: JobQuery, max_bytes: int) -> list[Job]:
        """Return the first jobs of a selection that have no more bytes than this together."""
        sizes = await self._found(query, {"size": {"$bsonSize": "$$ROOT"}})
        ids: list[ObjectId] = []
        for each in sizes:
            max_bytes -= each["size"]
            if max_bytes < 0 and ids:
                break
            ids.append(each["_id"])
        by_id = {job.id: job for job in await self.get_many(ids)}
        return [by_id[id] for id in ids if id in by_id]

    async def find_summaries(
        self, query: JobQuery, redaction: Redaction | None
    ) -> list[JobSummary]:
        """Return what a list shows of a selection."""
        return await self._summaries(partial(self._found, query), redaction)

    async def _summaries(
        self, read: Callable[[Document], Awaitable[list[Document]]], redaction: Redaction | None
    ) -> list[JobSummary]:
        """Return what is shown of what `read` returns for a projection.

        Where a document holds what the server's own expressions fail at, nothing of payloads and
        results: no document takes a page down.
        """
        try:
            documents = await read(shown_fields(redaction))
        except OperationFailure as error:
            if is_away(error) or (error.code or 0) < _OF_AN_EXPRESSION:
                raise
            documents = await read(bare_fields())
        return [to_summary(document, redaction) for document in documents]

    async def latest(
        self, names: Sequence[tuple[JobType, str]], limit: int, redaction: Redaction | None
    ) -> list[list[JobSummary]]:
        """Return what a list shows of the newest jobs of each name: one statement for many."""
        found: dict[tuple[str, str], list[JobSummary]] = {}
        for start in range(0, len(names), _NAMES_AT_ONCE):
            some = names[start : start + _NAMES_AT_ONCE]
            for summary in await self._summaries(partial(self._latest_of, some, limit), redaction):
                found.setdefault((summary.type, summary.name), []).append(summary)
        return [found.get(name, []) for name in names]

    async def _latest_of(
        self, names: Sequence[tuple[JobType, str]], limit: int, shown: Document
    ) -> list[Document]:
        parts: list[list[Document]] = [
            [
                {"$match": _selection(JobQuery(type=type, name=name))},
                {"$sort": {"_id": -1}},
                {"$limit": limit},
                {"$project": shown},
            ]
            for type, name in names
        ]
        found = await self._jobs.aggregate(self._united(parts))
        return await found.to_list()

    async def _found(self, query: JobQuery, shown: Document) -> list[Document]:
        """Return what is shown of the first documents of a selection."""
        if query.limit < 1:
            return []
        if not query.looks_through:
            return await self._walked(query, shown)
        return await self._look(query, [{"$limit": query.limit}, {"$project": shown}])

    async def _look(self, query: JobQuery, stages: list[Document]) -> list[Document]:
        """Return what stages make of the jobs that are found by looking at each.

        Raises SearchLimitError when that takes too long.
        """
        pipeline = [*_look_through(query), *stages]
        try:
            return await aggregate_whole(self._jobs, pipeline, maxTimeMS=int(LOOK_SECONDS * 1000))
        except ExecutionTimeout as error:
            told = f"the search took longer than {LOOK_SECONDS:g} s; ask for less"
            raise SearchLimitError(told) from error

    def _united(self, parts: Sequence[list[Document]]) -> list[Document]:
        """Return a pipeline that gives what all of these give, one after the other."""
        others = [{"$unionWith": {"coll": self._jobs.name, "pipeline": part}} for part in parts[1:]]
        return [*parts[0], *others]

    async def _walked(self, query: JobQuery, shown: Document) -> list[Document]:
        """Return a page, merged from those of groups of names where there are many names."""
        page: list[Document] = []
        for group in walks(query):
            part = within(group, [document["_id"] for document in page])
            found = await self._hinting.walk(_index(query), partial(self._walk, part, shown))
            page = sorted(page + found, key=itemgetter("_id"), reverse=not query.oldest_first)
            del page[query.limit :]
        return page

    async def _walk(self, query: JobQuery, shown: Document, hint: IndexHint) -> list[Document]:
        order = [("_id", 1 if query.oldest_first else -1)]
        return await find_whole(
            self._jobs, _selection(query), shown, sort=order, limit=query.limit, hint=hint
        )

    async def count_matching(self, query: JobQuery, cap: int) -> int:
        """Count a selection, up to `cap`."""
        if not query.looks_through:
            return await self._jobs.count_documents(_selection(query), limit=cap)
        counted = await self._look(query, [{"$limit": cap}, {"$count": "count"}])
        return sum(document["count"] for document in counted)

    async def find_active(self, type: JobType, name: str) -> Job | None:
        """Return a pending, running or paused one of this name; an exclusive one before others.

        Reads what the primary has last, as the unique index that refuses an insert does.
        """
        active = {"type": type, "name": name, "status": {"$in": ACTIVE_STATUSES}}
        for selection in ({**active, "concurrency.mode": "exclusive"}, active):
            document = await find_one_whole(self._latest, selection)
            if document is not None:
                return to_job(document)
        return None

    async def queue(
        self,
        now: datetime,
        limit: int,
        leaving_out: Collection[str],
        redaction: Redaction | None,
    ) -> list[JobSummary]:
        """Return what a list shows of the due jobs and cron tasks, the earliest first."""
        if limit < 1:
            return []
        due, shown = _due(now, leaving_out), shown_fields(redaction)
        order = [("scheduled_for", 1)]
        found = await find_whole(self._jobs, due, shown, sort=order, limit=limit)
        return [to_summary(document, redaction) for document in found]

    async def summaries_of_runs(
        self, worker_id: ObjectId, limit: int, redaction: Redaction | None
    ) -> list[JobSummary]:
        """Return what a list shows of what runs under a worker's id."""
        if limit < 1:
            return []
        running = {"status": "running", "worker_id": worker_id}
        runs = await find_whole(self._jobs, running, shown_fields(redaction), limit=limit)
        return [to_summary(document, redaction) for document in runs]

    async def due_since(self, now: datetime, leaving_out: Collection[str]) -> datetime | None:
        """Return when the first due job was to begin; None: none is due."""
        first = await self._jobs.find_one(
            _due(now, leaving_out),
            {"_id": 0, "scheduled_for": 1},
            sort=[("scheduled_for", 1)],
        )
        return None if first is None else moment(first["scheduled_for"]) or EPOCH

    async def names(self, limit: int) -> list[tuple[JobType, str]]:
        """Return the distinct (type, name) of stored jobs, in their order.

        MongoDB jumps from one name to the next in the index (DISTINCT_SCAN).
        """
        names: list[tuple[JobType, str]] = []
        for type in _TYPES:
            # No `distinct`: the Stable API lacks it, and its one reply holds 16 MB at most.
            found = await self._jobs.aggregate(
                [{"$match": {"type": type}}, {"$group": {"_id": "$name"}}]
            )
            names += [(type, name) for name in sorted(await _texts(found))]
        return names[: max(limit, 0)]

    async def count(
        self,
        names: Sequence[tuple[JobType, str]],
        cap: int,
        statuses: Collection[JobStatus] | None = None,
    ) -> list[NameCount]:
        """Count the jobs of each name in each state up to `cap`; empty states are left out."""
        wanted = JOB_STATUSES if statuses is None else [status.value for status in statuses]
        counts = []
        for start in range(0, len(names), _NAMES_IN_COUNT):
            parts = list(_count_pipelines(names[start : start + _NAMES_IN_COUNT], wanted, cap))
            async for each in await self._jobs.aggregate(self._united(parts)):
                key = each["_id"]
                status = JobStatus(key["status"])
                counts.append(NameCount(key["name"], key["type"], status, each["count"]))
        return counts


def _due(now: datetime, leaving_out: Collection[str]) -> Document:
    """Match what is due, but for some names."""
    due: Document = {
        "type": {"$in": JOB_TYPES},
        "status": {"$in": WAITING_STATUSES},
        "scheduled_for": {"$lte": now},
    }
    return {**due, "name": {"$nin": list(leaving_out)}} if leaving_out else due


async def _texts(groups: AsyncIterable[Document]) -> list[str]:
    """Return the keys of groups that are texts; a name that is none is no name of ours."""
    return [each["_id"] async for each in groups if isinstance(each["_id"], str)]


def _count_pipelines(
    names: Sequence[tuple[JobType, str]], statuses: Collection[str], cap: int
) -> Iterator[list[Document]]:
    """Give a pipeline for each name and state that stops counting at `cap`."""
    for type, name in names:
        for status in statuses:
            key = {"type": type, "name": name, "status": status}
            yield [
                {"$match": key},
                {"$limit": cap},
                {"$group": {"_id": {"$literal": key}, "count": {"$sum": 1}}},
            ]


def walks(query: JobQuery) -> Iterator[JobQuery]:
    """Give a selection in parts that MongoDB can walk in the order of ids, without sorting.

    Each name and state is a walk of its own, and it merges at most `_WALKS` of them.
    """
    if query.name is not None or query.names is None:
        yield query
        return
    size = _WALKS // (1 if query.status else len(JOB_STATUSES))
    for start in range(0, len(query.names), size):
        yield replace(query, names=query.names[start : start + size])


def within(query: JobQuery, page: Sequence[ObjectId]) -> JobQuery:
    """Return what of a selection may still come into a page that is sorted already."""
    if len(page) < query.limit:
        return query
    if query.oldest_first:
        return replace(query, after=page[-1])
    return replace(query, above=page[-1])


def _index(query: JobQuery) -> Index:
    """Return the index that has the ids of each name or type in their order."""
    by_type = query.name is None and query.names is None
    return NEWEST_BY_TYPE if by_type else NEWEST_BY_NAME


def _is_job(document: Document) -> bool:
    """False for crons."""
    return document.get("type") in JOB_TYPES


def _selection(query: JobQuery) -> Document:
    """Return what indexes tell: a field that is not asked for stands as all of its values."""
    selection: Document = {
        "type": query.type or _IS_JOB["type"],
        "status": query.status.value if query.status else _IS_JOB["status"],
    }
    if query.name is not None:
        selection["name"] = query.name
    elif query.names is not None:
        selection["name"] = {"$in": list(query.names)}
    between: Document = {}
    if query.after is not None:
        between["$lt"] = query.after
    if query.above is not None:
        between["$gt"] = query.above
    return {**selection, "_id": between} if between else selection


def _look_through(query: JobQuery) -> list[Document]:
    """Return the stages that look at the first jobs of a selection, one by one."""
    condition: Document = {}
    if query.worker_id is not None:
        condition["worker_id"] = query.worker_id
    if query.error is not None:
        condition["output.error"] = {"$regex": re.escape(query.error), "$options": "i"}
    if query.payload is not None:
        path, value = query.payload
        condition[".".join(("payload", *path))] = {"$in": _values(value)}
    order = {"_id": 1 if query.oldest_first else -1}
    return [
        {"$match": _selection(query)},
        {"$sort": order},
        {"$limit": LOOK_THROUGH},
        {"$match": condition},
    ]


def _values(text: str) -> list[Any]:
    """Return the values that one may mean by a text."""
    values: list[Any] = [text]
    if ObjectId.is_valid(text):
        values.append(ObjectId(text))
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return values
    if not isinstance(value, dict | list) and not (isinstance(value, int) and abs(value) >> 63):
        values.append(value)
    return values
