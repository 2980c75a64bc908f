"""How a job is killed from outside, wherever it stands and however it moves meanwhile."""

from __future__ import annotations

from bson import ObjectId

from job_processor.clock import Clock
from job_processor.errors import JobNotFoundError
from job_processor.events import Event, EventBus, EventKind
from job_processor.models import Job
from job_processor.store import Store


async def kill_job(store: Store, job_id: ObjectId, clock: Clock, events: EventBus) -> Job:
    """Kill a waiting job at once, ask the worker of a running one; return it as it then stands.

    It is read again after the request was left, and everything repeated if it moved meanwhile.
    A settled job stays as it ended. Raises JobNotFoundError.
    """
    requested = False
    while True:
        job = await store.get(job_id)
        if job is None:
            raise JobNotFoundError(job_id)
        if job.settled:
            if requested:
                await store.acknowledge_kills([job_id])
            return job
        if job.worker_id is None:
            killed = await store.kill_waiting(job_id, clock.now())
            if killed is not None:
                await store.acknowledge_kills([job_id])
                if events.has_listeners:
                    events.emit(Event(EventKind.KILLED, None, killed))
                return killed
            continue
        await store.request_kill(job_id, job.worker_id, clock.now())
        requested = True
        again = await store.get(job_id)
        if again is not None and not again.settled and again.worker_id == job.worker_id:
            return again
