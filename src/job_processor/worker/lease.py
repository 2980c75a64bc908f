"""The lease of a process: its registration, which others believe in while its heartbeats come.

A rescuer declares a worker dead that has shown the same heartbeat for `worker_timeout`. So whoever
claims only while its last confirmed one is younger than that claims nothing that is taken away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from bson import ObjectId

from job_processor.errors import StoreUnavailableError
from job_processor.handlers.abort import AbortReason
from job_processor.models import WorkerInfo
from job_processor.parts import Parts
from job_processor.tasks import cancel, persist
from job_processor.worker.clock_watch import ClockWatch
from job_processor.worker.gate import Gate
from job_processor.worker.heartbeat import Beats, Heartbeat, resident_memory
from job_processor.worker.ladder import Ladder
from job_processor.worker.runs import Run, Runs
from job_processor.worker.stopwatch import Moment

_YOUNG = 0.75
"""The part of `worker_timeout` during which a heartbeat is young: a claim has the rest of it."""

_ENDS_WITHIN = 0.5
"""Seconds that the heartbeat's thread, and a renewal, have for their own end."""


class Lease:
    """Registers, beats, and when the registration is gone registers anew and moves the runs.

    `info` makes the document under a new id. One process has one lease, and one id at a time.
    """

    def __init__(
        self,
        parts: Parts,
        info: Callable[[ObjectId], WorkerInfo],
        runs: Runs,
        gate: Gate,
        ladder: Ladder,
        clock_watch: ClockWatch,
    ) -> None:
        self._store = parts.store
        self._info = info
        self._runs = runs
        self._gate = gate
        self._ladder = ladder
        self._clock_watch = clock_watch
        self._interval = parts.settings.heartbeat_interval
        self._timeout = parts.settings.worker_timeout
        self._logger = parts.logger
        self._beats = self._no_beats()
        self._heartbeat: Heartbeat | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._left = False
        """True from when it is given up: that it is gone then is no reason to register anew."""
        self.id = ObjectId()
        self.former: set[ObjectId] = set()
        """The id that it gives up, while it moves the runs: not the prey of its own rescuer."""

    async def register(self) -> None:
        """Write the registration and begin to beat; raises StoreUnavailableError."""
        self.id, self._beats, self._left = ObjectId(), self._no_beats(), False
        if self._store.abilities.needs_heartbeat:
            await self._clock_watch.look()
        await self._register(self.id)
        if self._store.abilities.needs_heartbeat:
            self._heartbeat = Heartbeat(
                self._store,
                self._beats,
                lambda: self.id,
                lambda: self._clock_watch.ahead,
                self._on_lost,
                self.beat,
                self._interval,
                self._logger,
            )
            self._heartbeat.start()

    async def leave(self, *, unregister: bool, within: float) -> None:
        """End the heartbeat and remove the registration; raises StoreError and TimeoutError.

        With `unregister` False it stays, to time out: what still runs under it must not be taken
        up by others before this process is gone.
        """
        heartbeat, self._heartbeat = self._heartbeat, None
        self._left = True
        if heartbeat is not None:
            heartbeat.stop()
        try:
            async with asyncio.timeout(within):
                if self._renewal is not None:
                    await cancel([self._renewal], _ENDS_WITHIN)
                    self._renewal = None
                if unregister:
                    await self._store.workers.unregister(self.id)
        finally:
            if heartbeat is not None:
                await heartbeat.ended(_ENDS_WITHIN)

    @property
    def is_held(self) -> bool:
        """True while nobody can have declared this process dead, with time left for a claim."""
        return not self._store.abilities.needs_heartbeat or self._beats.is_young(
            self._timeout * _YOUNG
        )

    async def hold(self) -> None:
        """Return when it is held, so that something may be claimed; raises StoreError.

        Beats where the last heartbeat is too old, and registers anew where that was too late.
        """
        if self.is_held:
            return
        await self.beat()
        if self._renewal is not None:
            await asyncio.shield(self._renewal)
        self.check()

    def check(self) -> None:
        """Raise StoreUnavailableError unless it is held."""
        if not self.is_held:
            raise StoreUnavailableError("no heartbeat was confirmed in time")

    async def beat(self) -> None:
        """Beat once, through the connection of the event loop; raises StoreError."""
        worker_id, sent = self.id, Moment.now()
        if await self._store.workers.beat(worker_id, resident_memory(), self._clock_watch.ahead):
            self._beats.confirm(sent)
        else:
            self._beats.broken()
            self._on_lost(worker_id)

    def unbroken_since(self) -> float | None:
        """Return from when on, by the monotonic clock, all our heartbeats have been confirmed.

        None when the last one is too long ago.
        """
        return self._beats.unbroken_since() if self._store.abilities.needs_heartbeat else 0.0

    def unbroken_for(self) -> float:
        """Return for how many seconds our own heartbeats have been confirmed without a break."""
        return self._beats.unbroken_for() if self._store.abilities.needs_heartbeat else float("inf")

    def _no_beats(self) -> Beats:
        return Beats(self._interval, self._timeout, self._logger)

    async def _register(self, worker_id: ObjectId) -> None:
        """Write the registration under an id; it is as good as a heartbeat."""
        sent = Moment.now()
        await self._store.workers.register(self._info(worker_id))
        self._beats.confirm(sent)

    def _on_lost(self, worker_id: ObjectId) -> None:
        if self._left:
            return
        if worker_id == self.id and (self._renewal is None or self._renewal.done()):
            self._renewal = asyncio.get_running_loop().create_task(
                self._renew(), name="renew registration"
            )

    async def _renew(self) -> None:
        """Register under a new id and move our runs there; cancel those that did not move.

        Where that fails, the next heartbeat finds no registration again.
        """
        old, new = self.id, ObjectId()
        self._logger.warning("registration %s is gone; registering again as %s", old, new)
        self.former.add(old)
        try:
            async with self._gate.exclusive():
                lost = await self._move(old, new)
        except Exception:
            self._logger.exception("registering again failed; trying again with the next heartbeat")
            return
        finally:
            self.former.discard(old)
        for run in lost:
            self._runs.held.add(run.job.id)
            self._logger.warning("job %r (%s) was taken away", run.job.name, run.job.id)
            self._ladder.abort(run, AbortReason.LOST, grace=0)

    async def _move(self, old: ObjectId, new: ObjectId) -> list[Run]:
        """Register as `new` and take the runs along; return those that were taken away."""
        await persist(lambda: self._register(new), self._logger, "registration")
        moved = await persist(lambda: self._store.runs.move(old, new), self._logger, "moving runs")
        self.id = new
        lost = [
            run
            for run in self._runs
            if not run.concluded
            and run.job.id not in moved
            and run.reason is not AbortReason.LOST  # it is ending; once more would hurt its cleanup
        ]
        for run in self._runs:
            if run.job.id in moved:
                run.job = replace(run.job, worker_id=new)
        return lost
