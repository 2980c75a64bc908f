"""What is done to jobs by hand: kill, retry, delete; one way each, for one job and for many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bson import ObjectId

from job_processor.clock import Clock
from job_processor.errors import (
    JobConflictError,
    JobNotFoundError,
    JobProcessorError,
    JobStateError,
)
from job_processor.events import EventBus
from job_processor.killing import kill_job, obey_kills
from job_processor.models import CronTask, Job, JobStatus
from job_processor.store import Store
from job_processor.worker.ownership import cancel_standing


@dataclass(frozen=True, slots=True)
class Did:
    """What became of an action on one job."""

    job: Job | None = None
    """As it then stands; None where it is gone, or the action was refused."""
    refusal: JobProcessorError | None = None
    """Why nothing was done."""


class Actions:
    """Does something to jobs; each is guarded on its own, and an answer is given for each."""

    def __init__(self, store: Store, clock: Clock, events: EventBus) -> None:
        self._store = store
        self._clock = clock
        self._events = events

    async def kill(self, job_ids: Sequence[ObjectId]) -> list[Did]:
        """Kill those that wait, ask the workers of those that run; a settled one stays."""
        return [await self._kill(job_id) for job_id in job_ids]

    async def retry(self, job_ids: Sequence[ObjectId]) -> list[Did]:
        """Send settled ones round again, now, with all their attempts.

        What was asked of the run that has ended is done with; what is asked from then on holds, and
        a kill that comes in between wins: the job is then returned as killed.
        """
        await self._store.acknowledge_kills(job_ids)
        did = [await self._requeue(job_id) for job_id in job_ids]
        waiting = [each.job for each in did if each.job is not None]
        self._events.tell_stored(waiting)
        late = await obey_kills(self._store, [job.id for job in waiting], self._clock, self._events)
        killed = {job.id: job for job in late}
        return [Did(killed.get(each.job.id, each.job)) if each.job else each for each in did]

    async def delete(self, job_ids: Sequence[ObjectId]) -> list[Did]:
        """Remove those that do not run, for good, and what was asked of them."""
        await cancel_standing(self._store, job_ids)
        gone = await self._store.delete(job_ids)
        await self._store.acknowledge_kills(gone)
        left = [job_id for job_id in job_ids if job_id not in gone]
        there = {job.id for job in await self._store.get_many(left)} if left else set()
        return [_deleted(job_id, gone, there) for job_id in job_ids]

    async def _kill(self, job_id: ObjectId) -> Did:
        before = await self._store.get(job_id)
        if before is None:
            return Did(refusal=JobNotFoundError(job_id))
        if before.settled:
            return Did(before, JobStateError(f"job {job_id} is {before.status} already"))
        try:
            job = await kill_job(self._store, job_id, self._clock, self._events)
        except JobNotFoundError as error:
            return Did(refusal=error)
        if isinstance(job, CronTask) and job.status is JobStatus.KILLED:
            await cancel_standing(self._store, [job_id])
        return Did(job)

    async def _requeue(self, job_id: ObjectId) -> Did:
        try:
            waiting = await self._store.requeue(job_id, self._clock.now())
        except JobConflictError as error:
            return Did(refusal=error)
        if waiting is not None:
            return Did(waiting)
        found = await self._store.get(job_id)
        if found is None:
            return Did(refusal=JobNotFoundError(job_id))
        text = f"job {job_id} is {found.status}; only a settled one can be retried"
        return Did(refusal=JobStateError(text))


def _deleted(job_id: ObjectId, gone: set[ObjectId], there: set[ObjectId]) -> Did:
    if job_id in gone:
        gone.remove(job_id)  # one that is named twice is deleted once
        return Did()
    if job_id in there:
        text = f"job {job_id} is running; kill it before you delete it"
        return Did(refusal=JobStateError(text))
    return Did(refusal=JobNotFoundError(job_id))
