"""Kill requests: at once for a job that waits, kept until its end for one that runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Collection
from datetime import datetime

from bson import ObjectId

from job_processor.models import Job
from job_processor.store.desks.desk import Desk
from job_processor.store.hints import Hint
from job_processor.store.waits import ends_of


class Kills(Desk, ABC):
    """Kill requests: at once for a job that waits, kept until its end for one that runs."""

    async def kill_waiting(self, job_id: ObjectId, now: datetime) -> Job | None:
        """Pending, paused or running under no worker → killed, with its end; None in other states.

        What runs under nobody's id (another writer left it so) nobody else would ever end.
        """
        killed = await self._kill_waiting(job_id, now)
        if killed is not None:
            self._tell(Hint.SETTLED, [job_id])
            await self._pass_on([killed.lane if killed.slot is not None else None])
            await self._let_go(ends_of([killed]))
            await self._let_follow([killed.rate_lane])
            await self._left([killed.group])
        return killed

    @abstractmethod
    def _kill_waiting(self, job_id: ObjectId, now: datetime) -> Awaitable[Job | None]: ...

    async def request(self, job_id: ObjectId, worker_id: ObjectId, now: datetime) -> None:
        """Leave a kill request for a running job; twice is harmless.

        It stands until it is acknowledged, however long that takes.
        """
        await self._request(job_id, worker_id, now)
        self._tell(Hint.KILL, None)

    @abstractmethod
    def _request(
        self, job_id: ObjectId, worker_id: ObjectId, now: datetime
    ) -> Awaitable[object]: ...

    async def requested(self, job_ids: Collection[ObjectId]) -> set[ObjectId]:
        """Return those of the jobs that have an unacknowledged kill request."""
        return await self._requested(job_ids) if job_ids else set()

    @abstractmethod
    def _requested(self, job_ids: Collection[ObjectId]) -> Awaitable[set[ObjectId]]: ...

    async def acknowledge(self, job_ids: Collection[ObjectId]) -> None:
        """Mark the kill requests of those of these jobs that are settled or gone as done.

        One of a job that is pending, running or paused stands, also when the job has begun anew
        since it was settled: only what was asked before a moment at which it was settled is done.
        """
        if job_ids:
            await self._acknowledge(job_ids)

    @abstractmethod
    def _acknowledge(self, job_ids: Collection[ObjectId]) -> Awaitable[object]: ...
