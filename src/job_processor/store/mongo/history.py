"""All jobs, for people and for those who wait; and what is done with those that ended.

Each read is an index walk of bounded length.
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterable,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    Sequence,
)
from datetime import UTC, datetime
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError, ExecutionTimeout, OperationFailure

from job_processor.clock import FAR
from job_processor.errors import JobConflictError, SearchLimitError, StoreRefusedError
from job_processor.models import Job, JobStatus, JobType
from job_processor.redaction import Redaction
from job_processor.settings import LOOK_SECONDS
from job_processor.store.desks.history import Gone, History, State
from job_processor.store.desks.lazily import Lazily
from job_processor.store.lenient import list_of
from job_processor.store.mongo.counting import count_pipelines, state_pipelines
from job_processor.store.mongo.desks import MongoDesk, Plumbing, translated
from job_processor.store.mongo.documents import (
    ACTIVE_STATUSES,
    HAS_LANE,
    JOB_STATUSES,
    JOB_TYPES,
    LINE,
    REJOINS_GROUP,
    SETTLED_STATUSES,
    WAITING_STATUSES,
    Document,
    to_job,
)
from job_processor.store.mongo.errors import VALIDATOR_ADVICE, is_away, is_refused_by_validator
from job_processor.store.mongo.hinting import IndexHint
from job_processor.store.mongo.indexes import is_conflict, not_ours
from job_processor.store.mongo.modifying import update_then_find
from job_processor.store.mongo.pruning import end_killed, remove_old
from job_processor.store.mongo.selections import (
    IS_JOB,
    features_of,
    index_of_ids,
    is_job,
    is_of_a_group,
    looked_through,
    reached,
    selected,
    walks,
    within,
)
from job_processor.store.mongo.summaries import bare_fields, shown_fields, to_summary
from job_processor.store.mongo.whole import aggregate_whole, find_one_whole, find_whole
from job_processor.store.requests import JobQuery, NameCount
from job_processor.store.summaries import JobSummary

if TYPE_CHECKING:
    from job_processor.store.mongo.groups import MongoGroups
    from job_processor.store.mongo.kills import MongoKills
    from job_processor.store.mongo.rollups import MongoRollups

_TYPES: tuple[JobType, ...] = ("cron_task", "simple")
_WHAT_IS_SHOWN = {"state": 0}
"""A saved state may be large, and is for the next run only."""

_OF_AN_EXPRESSION = 14_000
"""The codes of errors of an expression begin about here; those of the server are lower."""

_NAMES_AT_ONCE = 25
"""Names whose newest jobs are read in one statement."""

_NAMES_IN_COUNT = 50
"""Names in one pipeline, of 7 stages each: MongoDB takes at most 1000 stages."""


@translated()
class MongoHistory(MongoDesk, History):
    """Finds and counts jobs; lets what ended wait again, and removes it.

    The time to live stays as the Node package makes it, whatever `history_days` says: with another
    one a Node process refuses to start.
    """

    _kills: Lazily[MongoKills] = Lazily("kills")
    _rollups: Lazily[MongoRollups] = Lazily("rollups")
    _groups: Lazily[MongoGroups] = Lazily("groups")

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        self._days = plumbing.days

    async def get(self, job_id: ObjectId) -> Job | None:
        """Return a job or cron task, None when there is none of this id."""
        # By its id alone, which needs no plan; what it is is seen here.
        document = await find_one_whole(self._jobs, {"_id": job_id}, _WHAT_IS_SHOWN)
        return to_job(document) if document is not None and is_job(document) else None

    async def _get_many(self, job_ids: Collection[ObjectId]) -> list[Job]:
        """Return those of the jobs and cron tasks that exist, in no order."""
        wanted = {"_id": {"$in": list(job_ids)}, **IS_JOB}
        return [to_job(each) for each in await find_whole(self._jobs, wanted, _WHAT_IS_SHOWN)]

    async def _states_of(self, job_ids: Collection[ObjectId]) -> dict[ObjectId, State]:
        """Return the states of those that exist."""
        wanted = {"_id": {"$in": list(job_ids)}, **IS_JOB}
        found = self._jobs.find(wanted, {"status": 1, "attempt": 1})
        return {
            each["_id"]: State(JobStatus(each["status"]), each.get("attempt") or 1)
            async for each in found
        }

    async def _find(self, query: JobQuery) -> list[Job]:
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

    async def _summaries(self, query: JobQuery, redaction: Redaction | None) -> list[JobSummary]:
        """Return what a list shows of a selection."""
        return await self._show(partial(self._found, query), redaction)

    async def _summaries_of(
        self, job_ids: Collection[ObjectId], redaction: Redaction | None
    ) -> list[JobSummary]:
        """Return what a list shows of the jobs of these ids that exist."""
        wanted = {"_id": {"$in": list(job_ids)}, **IS_JOB}
        return await self._show(partial(find_whole, self._jobs, wanted), redaction)

    async def _show(
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

    async def _latest(
        self, names: Sequence[tuple[JobType, str]], limit: int, redaction: Redaction | None
    ) -> list[list[JobSummary]]:
        """Return what a list shows of the newest jobs of each name: one statement for many."""
        found: dict[tuple[str, str], list[JobSummary]] = {}
        for start in range(0, len(names), _NAMES_AT_ONCE):
            some = names[start : start + _NAMES_AT_ONCE]
            for summary in await self._show(partial(self._latest_of, some, limit), redaction):
                found.setdefault((summary.type, summary.name), []).append(summary)
        return [found.get(name, []) for name in names]

    async def _latest_of(
        self, names: Sequence[tuple[JobType, str]], limit: int, shown: Document
    ) -> list[Document]:
        parts: list[list[Document]] = [
            [
                {"$match": selected(JobQuery(type=type, name=name))},
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
        if not await self._may_have(query):
            return []
        if not _is_looked_through(query):
            return await self._walked(query, shown)
        return await self._look(query, [{"$limit": query.limit}, {"$project": shown}])

    async def _may_have(self, query: JobQuery) -> bool:
        """Return False where nobody has used what the jobs of a selection use."""
        return all([await self.features.is_used(each) for each in features_of(query)])

    async def _look(self, query: JobQuery, stages: list[Document]) -> list[Document]:
        """Return what stages make of the jobs that are found by looking at each."""
        return await self._timed([*looked_through(query), *stages])

    async def _timed(self, pipeline: list[Document]) -> list[Document]:
        """Return what a pipeline gives; raises SearchLimitError when that takes too long."""
        try:
            return await aggregate_whole(self._jobs, pipeline, maxTimeMS=int(LOOK_SECONDS * 1000))
        except ExecutionTimeout as error:
            told = f"the search took longer than {LOOK_SECONDS:g} s; ask for less"
            raise SearchLimitError(told) from error

    async def _walked(self, query: JobQuery, shown: Document) -> list[Document]:
        """Return a page, merged from those of groups of names where there are many names."""
        page: list[Document] = []
        for group in walks(query):
            part = within(group, [document["_id"] for document in page])
            found = await self._hinting.walk(index_of_ids(query), partial(self._walk, part, shown))
            page = sorted(page + found, key=itemgetter("_id"), reverse=not query.oldest_first)
            del page[query.limit :]
        return page

    async def _walk(self, query: JobQuery, shown: Document, hint: IndexHint) -> list[Document]:
        order = [("_id", 1 if query.oldest_first else -1)]
        return await find_whole(
            self._jobs, selected(query), shown, sort=order, limit=query.limit, hint=hint
        )

    async def count_states(self, cap: int) -> dict[JobStatus, int]:
        """Count all jobs in each state, up to `cap`."""
        found = await self._jobs.aggregate(self._united(state_pipelines(cap)))
        return {JobStatus(each["_id"]): each["count"] async for each in found}

    async def count_matching(self, query: JobQuery, cap: int) -> int:
        """Count a selection, up to `cap`."""
        if not await self._may_have(query):
            return 0
        if not _is_looked_through(query):
            return await self._jobs.count_documents(selected(query), limit=cap)
        counted = await self._look(query, [{"$limit": cap}, {"$count": "count"}])
        return sum(document["count"] for document in counted)

    async def reach(self, query: JobQuery) -> ObjectId | None:
        """Return the last job that is looked at, where there are more."""
        if not await self._may_have(query):
            return None
        last = await self._timed(reached(query))
        return last[0]["_id"] if len(last) > 1 else None

    async def find_active(self, type: JobType, name: str) -> Job | None:
        """Return a pending, running or paused one of this name; an exclusive one before others.

        Reads what the primary has last, as the unique index that refuses an insert does.
        """
        active = {"type": type, "name": name, "status": {"$in": ACTIVE_STATUSES}}
        for selection in ({**active, "concurrency.mode": "exclusive"}, active):
            document = await find_one_whole(self._last, selection)
            if document is not None:
                return to_job(document)
        return None

    async def _names(self, limit: int) -> list[tuple[JobType, str]]:
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
        return names[:limit]

    async def _count(
        self,
        names: Sequence[tuple[JobType, str]],
        cap: int,
        statuses: Collection[JobStatus] | None,
    ) -> list[NameCount]:
        """Count the jobs of each name in each state up to `cap`; empty states are left out."""
        wanted = JOB_STATUSES if statuses is None else [status.value for status in statuses]
        counts = []
        for start in range(0, len(names), _NAMES_IN_COUNT):
            parts = list(count_pipelines(names[start : start + _NAMES_IN_COUNT], wanted, cap))
            async for each in await self._jobs.aggregate(self._united(parts)):
                key = each["_id"]
                status = JobStatus(key["status"])
                counts.append(NameCount(key["name"], key["type"], status, each["count"]))
        return counts

    async def _requeue(
        self,
        job_id: ObjectId,
        now: datetime,
        at: datetime,
        from_beginning: bool,
        from_step: str | None,
    ) -> Job | None:
        """Settled → pending, due at a time; None when it is not settled."""
        settled: Document = {
            "_id": job_id,
            "type": {"$in": JOB_TYPES},
            "status": {"$in": SETTLED_STATUSES},
        }
        change = _to_waiting(now, at, from_beginning)
        if from_step is not None:
            last = await self._jobs.find_one(settled, {"steps.name": 1, "updated_at": 1})
            names = (
                [] if last is None else [each.get("name") for each in list_of(last.get("steps"))]
            )
            if last is None or from_step not in names:
                return None
            settled["updated_at"] = last.get("updated_at")  # it has not run since
            change[0]["$set"]["steps"] = _only(names[: names.index(from_step)])
        try:
            document = await update_then_find(self._jobs, settled, change)
        except DuplicateKeyError as error:
            if not is_conflict(_details(error)):
                told = f"job {job_id} cannot be retried: {not_ours(error.details or {})}"
                raise StoreRefusedError(told) from error
            raise JobConflictError.of(job_id) from error
        except OperationFailure as error:
            if is_refused_by_validator(error):
                told = f"job {job_id} cannot be retried: {VALIDATOR_ADVICE}"
                raise StoreRefusedError(told) from error
            raise
        return None if document is None else to_job(document)

    async def _delete(self, job_ids: Collection[ObjectId]) -> dict[ObjectId, Gone]:
        """Present and not running → absent; return which are gone now and were there.

        What waits may be followed by now without having been when it was read.
        """
        at_rest = {
            "_id": {"$in": list(job_ids)},
            "type": {"$in": JOB_TYPES},
            "status": {"$ne": "running"},
        }
        told = {"_id": 1, "status": 1, "followed": 1, "open_in": 1}
        there = {
            each["_id"]: Gone(
                bool(each.get("followed")) or each["status"] in WAITING_STATUSES,
                each.get("open_in"),
            )
            async for each in self._last.find(at_rest, told)
        }
        if not there:
            return {}
        await self._jobs.delete_many({**at_rest, "_id": {"$in": list(there)}})
        left = self._last.find({"_id": {"$in": list(there)}}, {"_id": 1})
        kept = {document["_id"] async for document in left}
        return {job_id: was for job_id, was in there.items() if job_id not in kept}

    async def _prune(
        self, before: datetime, limit: int, errored_before: datetime | None
    ) -> tuple[int, list[ObjectId]]:
        """Settled before this time → absent, where the database would keep them longer."""
        await self._rollups.prune(datetime.now(UTC))
        await self._kills.prune()
        await self._groups.prune(min(before, errored_before or before))
        await end_killed(self._jobs, limit)
        statuses, removed, followed = set(SETTLED_STATUSES), 0, list[ObjectId]()
        if errored_before is not None:
            statuses.remove("errored")
            removed, followed = await remove_old(self._jobs, ["errored"], errored_before, limit)
        if self._days.ours >= self._days.of_database:  # which removes them by itself
            return removed, followed
        others, more = await remove_old(self._jobs, sorted(statuses), before, limit - removed)
        return removed + others, [*followed, *more]


async def _texts(groups: AsyncIterable[Document]) -> list[str]:
    """Return the keys of groups that are texts; a name that is none is no name of ours."""
    return [each["_id"] async for each in groups if isinstance(each["_id"], str)]


def _is_looked_through(query: JobQuery) -> bool:
    return query.looks_through or (query.is_of_a_time and not is_of_a_group(query))


def _to_waiting(now: datetime, at: datetime, from_beginning: bool) -> list[Document]:
    """Return what makes a settled job as new; the planned time of an occurrence is kept."""
    is_occurrence = {"$eq": ["$type", "cron_task"]}
    planned = {"$ifNull": ["$planned_for", "$scheduled_for"]}
    is_done = {"$eq": ["$status", "finished"]}
    steps = {"$cond": [is_done, "$$REMOVE", {"$ifNull": ["$steps", "$$REMOVE"]}]}
    stopped = {"$and": [{"$eq": ["$ordered", "stop"]}, {"$eq": ["$status", "errored"]}]}
    return [
        {
            "$set": {
                "status": "pending",
                "updated_at": {"$max": ["$updated_at", now]},
                "scheduled_for": {"$cond": [HAS_LANE, FAR, at]},
                "due": {"$cond": [HAS_LANE, at, "$$REMOVE"]},
                "ready": {"$cond": [HAS_LANE, at, "$$REMOVE"]},
                "line": {"$cond": [HAS_LANE, LINE, "$$REMOVE"]},
                "slots": {"$cond": [stopped, "$slots", "$$REMOVE"]},
                **REJOINS_GROUP,
                "started_at": None,
                "ended_at": None,
                "worker_id": None,
                "output": None,
                "planned_for": {"$cond": [is_occurrence, planned, "$$REMOVE"]},
                "sync": {"$cond": [is_occurrence, "$$REMOVE", False]},
                "steps": "$$REMOVE" if from_beginning else steps,
            }
        },
        {
            "$unset": [
                *("attempt", "crashes", "expires_at", "notes", "state", "state_saved"),
                *("waiting_for", "failed_in"),
            ]
        },
    ]


def _only(names: Sequence[str]) -> Any:
    """Return the steps of these names, with what came of them: a wait has an entry for its end."""
    if not names:
        return "$$REMOVE"
    is_one = {"$in": ["$$each.name", {"$literal": list(names)}]}
    return {"$filter": {"input": "$steps", "as": "each", "cond": is_one}}


def _details(error: OperationFailure) -> Mapping[str, Any]:
    return {**(error.details or {}), "code": error.code}
