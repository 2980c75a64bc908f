"""One action on many jobs, in bounded steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from bson import ObjectId

from job_processor.clock import Clock
from job_processor.errors import JobConflictError, JobNotFoundError
from job_processor.events import EventBus
from job_processor.killing import kill_job
from job_processor.queries import JobQuery
from job_processor.store import Store

Action: TypeAlias = Literal["retry", "kill", "delete"]
_STEP = 500


@dataclass(frozen=True, slots=True)
class Acted:
    """What became of an action on many jobs."""

    done: int
    """Jobs to which it was done."""
    left: int
    """Jobs to which it could not be done."""


class Acting:
    """Does one action to jobs; each is guarded on its own."""

    def __init__(self, store: Store, clock: Clock, events: EventBus, action: Action) -> None:
        self._store = store
        self._events = events
        self._clock = clock
        self._action = action

    async def on(self, job_ids: Sequence[ObjectId]) -> Acted:
        """Do it to these."""
        if self._action == "delete":
            done = len(await self._store.delete(job_ids))
        else:
            act = self._retry if self._action == "retry" else self._kill
            done = sum([await act(job_id) for job_id in job_ids])
        return Acted(done, len(job_ids) - done)

    async def on_all(self, query: JobQuery) -> Acted:
        """Do it to all of a selection, the newest first, as it was when this began."""
        acted, step = Acted(0, 0), replace(query, limit=_STEP, after=query.after)
        while jobs := await self._store.find(step):
            more = await self.on([job.id for job in jobs])
            acted = Acted(acted.done + more.done, acted.left + more.left)
            step = replace(step, after=jobs[-1].id)
        return acted

    async def _retry(self, job_id: ObjectId) -> bool:
        await self._store.acknowledge_kills([job_id])
        try:
            return await self._store.requeue(job_id, self._clock.now()) is not None
        except JobConflictError:
            return False

    async def _kill(self, job_id: ObjectId) -> bool:
        try:
            before = await self._store.get(job_id)
            if before is None or before.settled:
                return False
            await kill_job(self._store, job_id, self._clock, self._events)
        except JobNotFoundError:
            return False
        return True
