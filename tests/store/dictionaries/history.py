"""Jobs in any state, for people: found, counted, retried, removed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from heapq import nsmallest
from itertools import islice
from typing import Any

from bson import ObjectId

from job_processor.errors import JobConflictError
from job_processor.models import (
    ACTIVE,
    SETTLED,
    WAITING,
    CronTask,
    Job,
    JobStatus,
    JobType,
    SimpleJob,
)
from job_processor.redaction import Redaction
from job_processor.settings import LOOK_THROUGH
from job_processor.store.desks.history import Gone, History, State
from job_processor.store.error_groups import ERRORS_KEPT
from job_processor.store.lanes import stops
from job_processor.store.requests import JobQuery, NameCount
from job_processor.store.rollups import KEPT
from job_processor.store.summaries import JobSummary
from tests.store.dictionaries.kills import is_active
from tests.store.dictionaries.summaries import summaries_of
from tests.store.dictionaries.tables import OnTables, Tables, TakenError, own


class DictionaryHistory(OnTables, History):
    """Looks through all jobs, newest first."""

    async def get(self, job_id: ObjectId) -> Job | None:
        """Return a job by its id."""
        found = await self._get_many([job_id])
        return found[0] if found else None

    async def _get_many(self, job_ids: Collection[ObjectId]) -> list[Job]:
        async with self._connection as tables:
            return [own(tables.jobs[job_id]) for job_id in job_ids if job_id in tables.jobs]

    async def _states_of(self, job_ids: Collection[ObjectId]) -> dict[ObjectId, State]:
        async with self._connection as tables:
            found = (tables.jobs[job_id] for job_id in job_ids if job_id in tables.jobs)
            return {job.id: State(job.status, job.attempt) for job in found}

    async def _find(self, query: JobQuery) -> list[Job]:
        async with self._connection as tables:
            found = islice(_selected(tables, query), query.limit)
            return [own(job) for job in _within(query.max_bytes, found)]

    async def _summaries(self, query: JobQuery, redaction: Redaction | None) -> list[JobSummary]:
        async with self._connection as tables:
            return summaries_of(islice(_selected(tables, query), query.limit), redaction)

    async def _summaries_of(
        self, job_ids: Collection[ObjectId], redaction: Redaction | None
    ) -> list[JobSummary]:
        async with self._connection as tables:
            found = [tables.jobs[each] for each in job_ids if each in tables.jobs]
            return summaries_of(found, redaction)

    async def _latest(
        self, names: Sequence[tuple[JobType, str]], limit: int, redaction: Redaction | None
    ) -> list[list[JobSummary]]:
        queries = [JobQuery(type=type, name=name, limit=limit) for type, name in names]
        return [await self.summaries(query, redaction) for query in queries]

    async def reach(self, query: JobQuery) -> ObjectId | None:
        """Return the last job that is looked at, where there are more."""
        async with self._connection as tables:
            last = list(islice(_in_order(tables, query), LOOK_THROUGH - 1, LOOK_THROUGH + 1))
            return last[0].id if len(last) > 1 else None

    async def find_active(self, type: JobType, name: str) -> Job | None:
        """Return one that waits or runs, the exclusive one where there is one."""
        async with self._connection as tables:
            active = [
                job
                for job in tables.jobs.values()
                if (job.type, job.name) == (type, name) and job.status in ACTIVE
            ]
            found = max(active, key=lambda job: job.exclusive, default=None)
            return None if found is None else own(found)

    async def _names(self, limit: int) -> list[tuple[JobType, str]]:
        async with self._connection as tables:
            return nsmallest(limit, {(job.type, job.name) for job in tables.jobs.values()})

    async def _count(
        self,
        names: Sequence[tuple[JobType, str]],
        cap: int,
        statuses: Collection[JobStatus] | None,
    ) -> list[NameCount]:
        async with self._connection as tables:
            counts = Counter(
                (job.type, job.name, job.status)
                for job in tables.jobs.values()
                if (job.type, job.name) in names and (statuses is None or job.status in statuses)
            )
        return [
            NameCount(name, type, status, min(count, cap))
            for (type, name, status), count in counts.items()
        ]

    async def count_states(self, cap: int) -> dict[JobStatus, int]:
        """Count all jobs in each state."""
        async with self._connection as tables:
            queries = {each: JobQuery(status=each, planned=False) for each in JobStatus}
            return {
                status: sum(1 for _ in islice(_selected(tables, query), cap))
                for status, query in queries.items()
            }

    async def count_matching(self, query: JobQuery, cap: int) -> int:
        """Count a selection."""
        async with self._connection as tables:
            return sum(1 for _ in islice(_selected(tables, query), cap))

    async def _requeue(
        self,
        job_id: ObjectId,
        now: datetime,
        at: datetime,
        from_beginning: bool,
        from_step: str | None,
    ) -> Job | None:
        async with self._connection as tables:
            job = tables.jobs.get(job_id)
            if job is None or job.status not in SETTLED:
                return None
            fresh = replace(_as_new(job, now), scheduled_for=at)
            names = [step.name for step in job.steps]
            if from_step is not None:
                if from_step not in names:
                    return None
                fresh = replace(fresh, steps=job.steps[: names.index(from_step)])
            elif from_beginning or job.status is JobStatus.FINISHED:
                fresh = replace(fresh, steps=())
            try:
                tables.jobs.write(fresh)
            except TakenError as error:
                raise JobConflictError.of(job_id) from error
            tables.states.pop(job_id, None)
            return own(fresh)

    async def _delete(self, job_ids: Collection[ObjectId]) -> dict[ObjectId, Gone]:
        async with self._connection as tables:
            jobs = [tables.jobs[job_id] for job_id in set(job_ids) if job_id in tables.jobs]
            return _removed(tables, [job for job in jobs if job.status is not JobStatus.RUNNING])

    async def _prune(
        self, before: datetime, limit: int, errored_before: datetime | None
    ) -> tuple[int, list[ObjectId]]:
        """Remove what was settled before a time, and kill requests and rollups of no use."""
        async with self._connection as tables:
            tables.kills = {job_id for job_id in tables.kills if is_active(tables, job_id)}
            now, errored = self._connection.now(), errored_before or before
            for group in list(tables.groups.values()):
                ended = group.completed_at
                if not group.unfinished and ended is not None and ended < min(before, errored):
                    del tables.groups[group.id]
            for seconds, start in list(tables.rollups):
                if start < now - KEPT[seconds]:
                    del tables.rollups[seconds, start]
            for key in list(tables.name_rollups):
                if key[2] < now - KEPT[key[1]]:
                    del tables.name_rollups[key]
            for hour in list(tables.errors):
                if hour[0] < now - ERRORS_KEPT:
                    del tables.errors[hour]
            settled = [
                job
                for job in tables.jobs.values()
                if job.status in SETTLED
                and job.ended_at is not None
                and job.ended_at < (errored if job.status is JobStatus.ERRORED else before)
            ]
            gone = _removed(tables, settled[:limit])
            return len(gone), [job_id for job_id, was in gone.items() if was.followed]


def _removed(tables: Tables, jobs: Sequence[Job]) -> dict[ObjectId, Gone]:
    for job in jobs:
        tables.jobs.remove(job.id)
        tables.states.pop(job.id, None)
    return {job.id: Gone(job.followed, job.open_in) for job in jobs}


def _as_new(job: Job, now: datetime) -> Job:
    """Return a settled job as if it had never run, but for its history of attempts."""
    changes: dict[str, Any] = {
        **dict.fromkeys(("started_at", "ended_at", "worker_id", "output", "notes", "state_saved")),
        "status": JobStatus.PENDING,
        "attempt": 1,
        "crashes": 0,
        "scheduled_for": now,
        "updated_at": max(job.updated_at, now),
        "slot": job.slot if stops(job) else None,
        "parked": None,
        "waiting_for": (),
        "topics": (),
    }
    if isinstance(job, CronTask):
        changes["planned_for"] = job.planned_for or job.scheduled_for
    else:
        changes |= {"sync": False, "expires_at": None}
    return replace(job, **changes)


def _selected(tables: Tables, query: JobQuery) -> Iterator[Job]:
    """Give the jobs of a selection, in its order."""
    looked_at = islice(_in_order(tables, query), LOOK_THROUGH if query.looks_through else None)
    return (job for job in looked_at if _holds(job, query))


def _in_order(tables: Tables, query: JobQuery) -> Iterator[Job]:
    """Give what indexes tell of a selection, in its order."""
    ids = sorted(tables.jobs, reverse=not query.oldest_first)
    found = (tables.jobs[job_id] for job_id in ids if _is_between(job_id, query))
    return (job for job in found if _is_named(job, query))


def _is_between(job_id: ObjectId, query: JobQuery) -> bool:
    return (query.after is None or job_id < query.after) and (
        query.above is None or job_id > query.above
    )


def _is_named(job: Job, query: JobQuery) -> bool:
    return (
        query.name in (None, job.name)
        and (query.names is None or job.name in query.names)
        and query.status in (None, job.status)
        and query.type in (None, job.type)
        and query.lane in (None, job.lane)
        and query.group in (None, job.group)
        and query.flow in (None, job.flow)
        and set(query.labels) <= set(job.labels)
        and _ended_within(job, query)
        and (query.planned or job.type != "cron_task" or job.status not in WAITING)
    )


def _ended_within(job: Job, query: JobQuery) -> bool:
    if not query.is_of_a_time:
        return True
    first, behind = query.ended_from, query.ended_to
    return (
        job.ended_at is not None
        and (first is None or job.ended_at >= first)
        and (behind is None or job.ended_at < behind)
    )


def _holds(job: Job, query: JobQuery) -> bool:
    """Tell whether a job is as it is asked for where no index tells."""
    error = job.output.error if job.output is not None else None
    return (
        query.worker_id in (None, job.worker_id)
        and str(job.id).endswith(query.id_end or "")
        and (query.error is None or query.error.lower() in (error or "").lower())
        and (query.payload is None or _at(job, query.payload[0]) == query.payload[1])
    )


def _at(job: Job, path: Sequence[str]) -> str | None:
    """Return the text of what stands at a path of a payload; None where nothing does."""
    value: Any = job.payload if isinstance(job, SimpleJob) else None
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)


def _within(max_bytes: int | None, jobs: Iterator[Job]) -> Iterator[Job]:
    """Give as many jobs as have no more bytes together, but one at least."""
    total = 0
    for n, job in enumerate(jobs):
        total += len(str((getattr(job, "payload", None), job.output)))
        if max_bytes is not None and total > max_bytes and n > 0:
            return
        yield job
