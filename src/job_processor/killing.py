"""How a job is killed from outside, wherever it stands and however it moves meanwhile.

What decides is its state. A job that waits is killed at once. For one that runs a request is left,
which stands until the job is settled or gone: whoever runs it looks for it, whoever lets it wait
again looks for it after that write, and so does whoever claims it again before it begins.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Collection

from bson import ObjectId

from job_processor.clock import Clock
from job_processor.errors import JobNotFoundError
from job_processor.events import Event, EventBus, EventKind
from job_processor.models import Job, JobStatus
from job_processor.settings import KILL_LOOKS
from job_processor.store import Store

_PAUSE = 0.005  # seconds after the first look at a job that moved away; it doubles


async def kill_job(store: Store, job_id: ObjectId, clock: Clock, events: EventBus) -> Job:
    """Kill a waiting job at once, ask the worker of a running one; return it as it then stands.

    It is read again after the request was left, and everything repeated if it moved meanwhile; one
    that goes on moving is left to its request. A settled job stays as it ended. Raises
    JobNotFoundError.
    """
    asked: ObjectId | None = None
    for look in itertools.count():
        job = await store.get(job_id)
        if job is None or job.settled:
            if asked is not None:
                await store.acknowledge_kills([job_id])
            if job is None:
                raise JobNotFoundError(job_id)
            return job
        held = job.status is JobStatus.RUNNING and job.worker_id is not None
        if held and job.worker_id == asked:
            return job
        if held or look == KILL_LOOKS:
            asked = job.worker_id or job_id
            await store.request_kill(job_id, asked, clock.now())
            if look >= KILL_LOOKS:
                return job
            continue
        killed = await store.kill_waiting(job_id, clock.now())
        if killed is not None:
            await store.acknowledge_kills([job_id])
            _tell(events, [killed])
            return killed
        await asyncio.sleep(_PAUSE * 2**look)
    raise AssertionError("counting ends")


async def obey_kills(
    store: Store, job_ids: Collection[ObjectId], clock: Clock, events: EventBus
) -> list[Job]:
    """Kill those of these jobs that wait although somebody asked to kill them; return them.

    For whoever let them wait: the request may have come before that write.
    """
    asked = await store.kill_requests(job_ids)
    if not asked:
        return []
    found = [await store.kill_waiting(job_id, clock.now()) for job_id in asked]
    killed = [job for job in found if job is not None]
    await store.acknowledge_kills(asked)
    _tell(events, killed)
    return killed


def _tell(events: EventBus, killed: list[Job]) -> None:
    if events.has_listeners:
        for job in killed:
            events.emit(Event(EventKind.KILLED, None, job))
