"""Who this process is in the database: one registration a processor, kept alive and renewed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from bson import ObjectId

from job_processor.abort import AbortReason
from job_processor.cancelling import cancel
from job_processor.models import WorkerInfo
from job_processor.store import Store
from job_processor.worker.gate import Gate
from job_processor.worker.heartbeat import Heartbeat
from job_processor.worker.ladder import Ladder
from job_processor.worker.persistence import persist
from job_processor.worker.runs import Runs


class Registration:
    """Registers, beats, and when the registration is gone registers anew and moves the runs.

    `info` makes the document under a new id.
    """

    def __init__(
        self,
        store: Store,
        info: Callable[[ObjectId], WorkerInfo],
        runs: Runs,
        gate: Gate,
        ladder: Ladder,
        heartbeat_interval: float,
        worker_timeout: float,
        logger: logging.Logger,
    ) -> None:
        self._store = store
        self._info = info
        self._runs = runs
        self._gate = gate
        self._ladder = ladder
        self._interval = heartbeat_interval
        self._timeout = worker_timeout
        self._logger = logger
        self._heartbeat: Heartbeat | None = None
        self._renewal: asyncio.Task[None] | None = None
        self.id = ObjectId()
        self.former: set[ObjectId] = set()
        """The id that it gives up, while it moves the runs: not the prey of its own rescuer."""

    async def register(self) -> None:
        """Write the registration and begin to beat; raises StoreUnavailableError."""
        self.id = ObjectId()
        await self._store.register(self._info(self.id))
        if self._store.needs_heartbeat:
            self._heartbeat = Heartbeat(
                self._store,
                lambda: self.id,
                self._on_lost,
                self._interval,
                self._timeout,
                self._logger,
            )
            self._heartbeat.start()

    async def refresh(self) -> None:
        """Write the registration anew, under the same id, after a definition was added."""
        await self._store.register(self._info(self.id))

    async def leave(self, *, unregister: bool) -> None:
        """End the heartbeat and remove the registration.

        With `unregister` False it stays, to time out: what still runs under it must not be taken
        up by others before this process is gone.
        """
        if self._heartbeat is not None:
            await self._heartbeat.stop()
            self._heartbeat = None
        if self._renewal is not None:
            await cancel([self._renewal])
            self._renewal = None
        if unregister:
            await self._store.unregister(self.id)

    def unbroken_for(self) -> float:
        """Return for how many seconds our own heartbeats have been confirmed without a break."""
        if not self._store.needs_heartbeat:
            return float("inf")
        return self._heartbeat.unbroken_for() if self._heartbeat is not None else 0.0

    def _on_lost(self, worker_id: ObjectId) -> None:
        if worker_id == self.id and (self._renewal is None or self._renewal.done()):
            self._renewal = asyncio.get_running_loop().create_task(
                self._renew(), name="renew registration"
            )

    async def _renew(self) -> None:
        """Register under a new id and move our runs there; cancel those that did not move."""
        old, new = self.id, ObjectId()
        self._logger.warning("registration %s is gone; registering anew as %s", old, new)
        self.former.add(old)
        async with self._gate.exclusive():
            info = self._info(new)
            await persist(lambda: self._store.register(info), self._logger, "registration")
            moved = await persist(
                lambda: self._store.move_runs(old, new), self._logger, "moving runs"
            )
            self.id = new
            lost = [run for run in self._runs if not run.concluded and run.job.id not in moved]
            for run in self._runs:
                if run.job.id in moved:
                    run.job = replace(run.job, worker_id=new)
        self.former.discard(old)
        for run in lost:
            self._logger.warning("job %r (%s) was taken away", run.job.name, run.job.id)
            self._ladder.abort(run, AbortReason.LOST, grace=0)
