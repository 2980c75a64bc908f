"""Who comes after what: all jobs are looked through."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any

from bson import ObjectId

from job_processor.errors import InvalidArgumentError
from job_processor.models import ACTIVE, FOR_A_PARENT, WAITING, Job, JobStatus, RelatedJob
from job_processor.store.desks.waits import Waits
from job_processor.store.waits import (
    End,
    Node,
    Released,
    end_of,
    is_skipped,
    skipped_output,
    stays,
    without,
)
from tests.store.dictionaries.tables import OnTables, Tables, TakenError


class DictionaryWaits(OnTables, Waits):
    """Does each pass of a release while nobody else is there."""

    async def _follow(self, job_ids: Collection[ObjectId]) -> dict[ObjectId, JobStatus]:
        async with self._connection as tables:
            found = [tables.jobs[job_id] for job_id in job_ids if job_id in tables.jobs]
            for job in found:
                if job.status in ACTIVE:
                    tables.jobs.write(replace(job, followed=True))
            return {job.id: job.status for job in found}

    async def follow_in(
        self, session: Any, job_ids: Collection[ObjectId]
    ) -> dict[ObjectId, JobStatus]:
        """Refuse every session: dictionaries have no transactions of a caller's."""
        raise InvalidArgumentError("session", session, "allowed is none: this database has none")

    async def _release(self, ends: Sequence[End], now: datetime, limit: int) -> Released:
        done = Released()
        by_tag = {end.tag: end for end in ends}
        async with self._connection as tables:
            moving = list(islice(_moving(tables, by_tag), limit))
            for job in moving:
                _move(tables, job, by_tag, now, done)
            done.more = len(moving) == limit
        return done

    async def _waited_for(self, behind: str, limit: int) -> list[str]:
        async with self._connection as tables:
            tags = {tag for job in _waiting(tables) for tag in job.waiting_for if tag > behind}
            return sorted(tags)[:limit]

    async def _followers(self, tag: str, limit: int) -> list[ObjectId]:
        async with self._connection as tables:
            return sorted(job.id for job in tables.jobs.values() if tag in job.after)[:limit]

    async def _parents(self, job_ids: Collection[ObjectId]) -> list[RelatedJob]:
        async with self._connection as tables:
            found = [tables.jobs[job_id] for job_id in job_ids if job_id in tables.jobs]
            return [
                RelatedJob(job.id, job.name, job.status, job.output.error if job.output else None)
                for job in found
            ]

    async def _flows(self, below: ObjectId | None, limit: int) -> list[ObjectId]:
        async with self._connection as tables:
            flows = {job.flow for job in tables.jobs.values() if job.flow is not None}
            older = (flow for flow in flows if below is None or flow < below)
            return sorted(older, reverse=True)[:limit]

    async def _graph(self, flow: ObjectId, limit: int, *, newest: bool) -> list[Node]:
        async with self._connection as tables:
            nodes = sorted(
                Node(job.id, job.name, job.status, job.after, job.group, job.flow_name)
                for job in tables.jobs.values()
                if job.flow == flow
            )
            return nodes[-limit:] if newest else nodes[:limit]

    async def counts_of_flow(self, flow: ObjectId) -> dict[str, dict[JobStatus, int]]:
        """Count the jobs of a flow by name and state."""
        counts: dict[str, dict[JobStatus, int]] = {}
        async with self._connection as tables:
            for job in tables.jobs.values():
                if job.flow == flow:
                    of_name = counts.setdefault(job.name, {})
                    of_name[job.status] = of_name.get(job.status, 0) + 1
        return counts

    async def bring_back(
        self, tag: str, now: datetime, limit: int
    ) -> dict[ObjectId, tuple[str, ...]]:
        """Let those wait again that were skipped because of this."""
        back: dict[ObjectId, tuple[str, ...]] = {}
        async with self._connection as tables:
            for job in list(tables.jobs.values()):
                skipped = job.status is JobStatus.SKIPPED and job.waiting_for == (tag,)
                if not skipped or tag not in job.after or len(back) == limit:
                    continue
                changes: dict[str, Any] = {
                    **dict.fromkeys(("ended_at", "worker_id", "output", "expires_at")),
                    "status": JobStatus.PENDING,
                    "updated_at": max(job.updated_at, now),
                    "parked": FOR_A_PARENT,
                    "waiting_for": job.after,
                }
                try:
                    tables.jobs.write(replace(job, **changes))
                except TakenError:
                    continue
                back[job.id] = job.after
        return back


def _waiting(tables: Tables) -> Iterator[Job]:
    return (job for job in list(tables.jobs.values()) if job.status in WAITING and job.parked)


def _moving(tables: Tables, by_tag: dict[str, End]) -> Iterator[Job]:
    """Give the jobs that do not go on waiting as they are."""
    for job in _waiting(tables):
        over = [by_tag[tag] for tag in job.waiting_for if tag in by_tag]
        if any(not stays(job.on_parent_failure, end) for end in over):
            yield job


def _move(tables: Tables, job: Job, by_tag: dict[str, End], now: datetime, done: Released) -> None:
    rule = job.on_parent_failure
    over = [by_tag[tag] for tag in job.waiting_for if tag in by_tag]
    culprit = next((end for end in over if is_skipped(rule, end)), None)
    if culprit is None:
        left = without(job.waiting_for, [end.tag for end in over if not stays(rule, end)])
        parked = job.parked if left else None
        tables.jobs.write(replace(job, waiting_for=left, parked=parked))
        done.freed += not left
        return
    changes: dict[str, Any] = {
        "status": JobStatus.SKIPPED,
        "ended_at": now,
        "updated_at": max(job.updated_at, now),
        "output": skipped_output(culprit, now),
        "parked": None,
        "waiting_for": (culprit.tag,),
    }
    tables.jobs.write(replace(job, **changes))
    done.skipped.append(job.id)
    done.groups |= set() if job.group is None else {job.group}
    own = end_of(job.id, JobStatus.SKIPPED) if job.followed else None
    done.ends += [own] if own is not None else []
