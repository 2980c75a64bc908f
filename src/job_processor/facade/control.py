"""What is done to jobs that are there already."""

from __future__ import annotations

from bson import ObjectId

from job_processor.errors import JobNotFoundError, JobStateError
from job_processor.facade.base import Base
from job_processor.killing import kill_job
from job_processor.models import Job, object_id


class Control(Base):
    """Killing and sending round again."""

    async def kill_job(self, job_id: ObjectId | str) -> Job:
        """Kill a waiting job at once, ask the worker of a running one to stop it.

        Returns the job as it then stands; a settled one stays as it ended. Raises
        JobNotFoundError.
        """
        self._ready()
        return await kill_job(self._store, object_id(job_id), self._clock)

    async def retry_job(self, job_id: ObjectId | str) -> Job:
        """Send a settled job round again, now, with all its attempts; return it pending.

        Raises JobNotFoundError, JobStateError when it is not settled, and JobConflictError when it
        is exclusive and another one of its name is active.
        """
        self._ready()
        id = object_id(job_id)
        while True:
            job = await self._store.get(id)
            if job is None:
                raise JobNotFoundError(id)
            if not job.settled:
                raise JobStateError(f"job {id} is {job.status}; only a settled one can be retried")
            await self._store.acknowledge_kills([id])  # they were meant for the run that has ended
            waiting = await self._store.requeue(id, self._clock.now())
            if waiting is not None:
                return waiting
