"""What dead workers left, where nobody works but in bursts: each burst looks once.

A worker that goes on watches the others all the time. A burst is over too soon for that, so it
waits for no longer than it takes a living worker to show twice that it lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from bson import ObjectId

from job_processor.handlers.abort import AbortSignal
from job_processor.models import WorkerInfo
from job_processor.settings import NODE_HEARTBEAT_INTERVAL
from job_processor.worker.engine import Engine
from job_processor.worker.rescuer import Look, Rescuer


class BurstRescue:
    """Suspects at the beginning, by the database's clock; decides at the end, by its own."""

    def __init__(self, engine: Engine, rescuer: Rescuer) -> None:
        self._engine = engine
        self._rescuer = rescuer
        self._suspects: set[ObjectId] = set()
        self._patience = 0.0
        self._until = 0.0

    async def look(self) -> None:
        """Find who seems dead, and watch them from now on; raises StoreError."""
        look = await self._rescuer.look()
        self._suspects = look.seem_dead - {self._engine.worker_id}
        if not self._suspects:
            return
        self._patience = self._needed(look)
        self._until = time.monotonic() + self._patience
        self._engine.logger.warning(
            "%d workers seem dead; this burst watches them for %.1f s before it takes up what they "
            "left: %s",
            len(self._suspects),
            self._patience,
            ", ".join(str(each) for each in sorted(self._suspects)[:10]),
        )

    async def rescue(self, stop: AbortSignal) -> int:
        """Take up what those left that have shown no heartbeat; return how many runs.

        Waits for the rest of the time, if there is a suspect at all. Raises StoreError.
        """
        if not self._suspects:
            return 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(self._until - time.monotonic(), 0.0)):
                await stop.wait()
        if stop.aborted:
            return 0
        look = await self._rescuer.look()
        dead = self._rescuer.silent(look, self._patience) & self._suspects
        self._suspects = set()
        return await self._rescuer.bury(look, dead)

    def _needed(self, look: Look) -> float:
        """Return the seconds in which each of the suspects, if it lives, sends two heartbeats."""
        ours = 2 * self._engine.settings.heartbeat_interval
        registered = [each for each in look.registrations.workers if each.id in self._suspects]
        return max([ours, *(self._two_heartbeats(each, ours) for each in registered)])

    def _two_heartbeats(self, worker: WorkerInfo, ours: float) -> float:
        if worker.timeout_s is None:
            return 2 * NODE_HEARTBEAT_INTERVAL
        # What is set as we are beats as we do; of another one it is only known that its timeout is
        # at least two of its intervals.
        return ours if worker.timeout_s == self._engine.settings.worker_timeout else worker.timeout
