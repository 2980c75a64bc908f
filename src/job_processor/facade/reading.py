"""Jobs, one or a page of them, and how the whole stands."""

from __future__ import annotations

from typing import Any

from bson import ObjectId

from job_processor import monitoring
from job_processor.errors import InvalidArgumentError
from job_processor.facade.base import Base
from job_processor.models import Job, JobPage, JobQuery, JobStatus, JobType, object_id
from job_processor.settings import check_int, check_name, check_positive
from job_processor.waiting import wait_for_job

PAGE_LIMIT = 1000
"""Jobs in one page of `find_jobs` at the most."""


class Reading(Base):
    """What changes nothing."""

    async def get_job(self, job_id: ObjectId | str) -> Job | None:
        """Return a job or cron task, None when there is none of this id."""
        self._ready()
        return await self._store.get(object_id(job_id))

    async def find_jobs(
        self,
        name: str | None = None,
        status: JobStatus | str | None = None,
        type: JobType | None = None,
        limit: int = 50,
        after: ObjectId | str | None = None,
    ) -> JobPage:
        """Return a page of jobs and cron tasks, newest first; pass its `next` as `after`."""
        self._ready()
        check_int("limit", limit, minimum=1)
        if limit > PAGE_LIMIT:
            raise InvalidArgumentError("limit", limit, f"allowed are at most {PAGE_LIMIT}")
        if name is not None:
            check_name("name", name)
        query = JobQuery(
            name=name,
            status=_status(status),
            type=_type(type),
            limit=limit + 1,
            after=object_id(after, "after") if after is not None else None,
        )
        jobs = await self._store.find(query)
        more = len(jobs) > limit
        return JobPage(tuple(jobs[:limit]), str(jobs[limit - 1].id) if more else None)

    async def wait_for_job(self, job_id: ObjectId | str, timeout: float | None = None) -> Job:
        """Return a job once it is settled.

        Raises JobNotFoundError, and JobTimeoutError after `timeout` seconds (None: never).
        """
        self._ready()
        if timeout is not None:
            check_positive("timeout", timeout, zero=True)
        return await wait_for_job(
            self._store, object_id(job_id), timeout, self.settings.poll_interval
        )

    async def get_status(self) -> dict[str, Any]:
        """Return workers, queue, jobs and crons in plain JSON values, in bounded time and size."""
        self._ready()
        return await monitoring.get_status(self._store)

    async def get_healthcheck(self) -> dict[str, Any]:
        """Return `{now, workers, queue}` in plain JSON values."""
        self._ready()
        return await monitoring.get_healthcheck(self._store)


def _status(status: JobStatus | str | None) -> JobStatus | None:
    try:
        return JobStatus(status) if status is not None else None
    except ValueError as error:
        allowed = ", ".join(repr(each.value) for each in JobStatus)
        raise InvalidArgumentError("status", status, f"allowed are {allowed}") from error


def _type(type: JobType | None) -> JobType | None:
    if type not in (None, "simple", "cron_task"):
        raise InvalidArgumentError("type", type, "allowed are 'simple' and 'cron_task'")
    return type
