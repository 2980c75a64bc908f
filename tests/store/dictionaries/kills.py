"""Kills: at once for what waits, a request for what runs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

from bson import ObjectId

from job_processor.models import ACTIVE, WAITING, Job, JobStatus
from job_processor.store.desks.kills import Kills
from tests.store.dictionaries.tables import OnTables, Tables, own


class DictionaryKills(OnTables, Kills):
    """Keeps the ids of the jobs that are to be killed, until they are settled or gone."""

    async def _kill_waiting(self, job_id: ObjectId, now: datetime) -> Job | None:
        async with self._connection as tables:
            job = tables.jobs.get(job_id)
            if job is None or not _is_unheld(job):
                return None
            at = max(job.updated_at, now)
            gone: Any = {"parked": None, "topics": (), "waiting_for": ()}
            killed = replace(job, status=JobStatus.KILLED, updated_at=at, ended_at=now, **gone)
            tables.jobs.write(killed)
            return own(killed)

    async def _request(self, job_id: ObjectId, worker_id: ObjectId, now: datetime) -> None:
        async with self._connection as tables:
            tables.kills.add(job_id)

    async def _requested(self, job_ids: Collection[ObjectId]) -> set[ObjectId]:
        async with self._connection as tables:
            return tables.kills & set(job_ids)

    async def _acknowledge(self, job_ids: Collection[ObjectId]) -> None:
        async with self._connection as tables:
            tables.kills -= {job_id for job_id in job_ids if not is_active(tables, job_id)}


def is_active(tables: Tables, job_id: ObjectId) -> bool:
    """Tell whether there is such a job that waits or runs."""
    job = tables.jobs.get(job_id)
    return job is not None and job.status in ACTIVE


def _is_unheld(job: Job) -> bool:
    return job.status in WAITING or (job.status is JobStatus.RUNNING and job.worker_id is None)
