"""Does what a process that died has owed to those that wait: in lanes, and after other jobs.

Whoever frees a slot hands it over, in a write of its own: between the two it may die, or may not
know the limit. So once per `worker_timeout` one of the workers, whoever wins the write of a
setting, walks along the lanes in which anything waits, a bounded number of them, from where the
last one stopped. Two that do so at once harm nobody.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Sequence
from datetime import timedelta

from job_processor.handlers.lanes import group_of
from job_processor.models import Registrations
from job_processor.node.rules import refuses_own_fields
from job_processor.store.lanes import Bounds
from job_processor.tasks import Trouble, set_within
from job_processor.worker.engine import Engine
from job_processor.worker.limits import LimitWatch
from job_processor.worker.pauses import PauseWatch
from job_processor.worker.releasing import Releasing
from job_processor.worker.token_sweep import TokenSweep
from job_processor.worker.turns import Turn

LANES_AT_ONCE = 1000
"""Lanes of one pass."""

_PART = 100
"""Lanes of one statement."""

EXPIRED_AT_ONCE = 1000
"""Jobs that leave their lanes in one pass, since they have expired."""


class Sweeper:
    """Admits what waits where a slot is free, and takes slots back that nobody will use."""

    def __init__(self, engine: Engine, pauses: PauseWatch, limits: LimitWatch) -> None:
        self._engine = engine
        self._pauses = pauses
        self._limits = limits
        self._news = asyncio.Event()
        self._turn = Turn(engine, "lanes")
        self._releasing = Releasing(engine, self._news.set)
        engine.store.lanes.book.names = pauses.unpaused
        engine.store.tokens.book.names = pauses.unpaused
        self._tokens = TokenSweep(engine, self._claimable)
        for watch in (pauses, limits):
            watch.on_changed(self._news.set)

    async def run(self) -> None:
        """Sweep now and then, until cancelled."""
        trouble = Trouble(self._engine.logger, "checking waiting jobs")
        interval = self._engine.settings.worker_timeout
        await set_within(self._news, interval * random.uniform(0.1, 0.5))
        while True:
            look = self.admit if self._news.is_set() or self._limits.changed else self.sweep
            self._news.clear()
            if await trouble.attempt(look):
                await set_within(self._news, interval * random.uniform(0.4, 0.6))

    async def admit(self) -> None:
        """Let go on what may since names were resumed or limits were set; raises StoreError."""
        await self._releasing.go_on()
        desk = self._engine.store.lanes
        for group in list(self._limits.changed):
            await self._follow(Bounds.of_keys(group))
            self._limits.changed.discard(group)
        if desk.book:
            await desk.hand_over(await desk.waiting("", LANES_AT_ONCE))
        await self._tokens.admit()

    async def _follow(self, bounds: Bounds) -> None:
        """Let all lanes of a group whose limit was set have as many slots as it says now."""
        desk, lanes = self._engine.store.lanes, [bounds.above]
        while lanes:
            found = await desk.waiting(lanes[-1], LANES_AT_ONCE)
            lanes = [lane for lane in found if bounds.below is None or lane < bounds.below]
            for start in range(0, len(lanes), _PART):
                part = lanes[start : start + _PART]
                await desk.retract(part)
                await desk.hand_over(part)

    async def sweep(self) -> bool:
        """Look after what waits, unless somebody did so; raises StoreError.

        True where something may be due by that.
        """
        done = (
            await self._releasing.go_on(),
            await self._sweep_lanes(),
            await self._tokens.sweep(),
            await self._releasing.sweep(),
        )
        return any(done)

    async def _sweep_lanes(self) -> bool:
        """Walk along some of the lanes, unless somebody did so."""
        engine = self._engine
        if not await engine.store.lanes.waiting("", 1):
            return False
        registrations = await engine.store.workers.registrations()
        position = await self._turn.win(registrations.now)
        if position is None:
            return False
        await engine.store.lanes.expire(engine.clock.now(), EXPIRED_AT_ONCE)
        lanes = await engine.store.lanes.waiting(position, LANES_AT_ONCE)
        claimable = self._claimable(registrations)
        for start in range(0, len(lanes), _PART):
            await self._look_after(lanes[start : start + _PART], claimable, registrations)
        await self._turn.note(lanes[-1] if len(lanes) == LANES_AT_ONCE else "")
        return True

    def _claimable(self, registrations: Registrations) -> set[str]:
        """Return the names that some living worker claims, and that are not paused."""
        names = {
            name
            for worker in registrations.workers
            if not worker.is_dead(registrations.now)
            for name in worker.names
        }
        registry = self._engine.registry
        return {
            name
            for name in names
            if (definition := registry.get(name)) is None
            or not self._pauses.is_paused(name, definition)
        }

    async def _look_after(
        self, lanes: Sequence[str], claimable: Collection[str], registrations: Registrations
    ) -> None:
        """Take back what nobody uses, let go what nothing limits any more, admit what may run."""
        engine = self._engine
        desk = engine.store.lanes
        if refuses_own_fields(engine.store):
            await self._let_go(lanes)
            return
        before = engine.clock.now() - timedelta(seconds=engine.settings.worker_timeout)
        await desk.withdraw(lanes, before, claimable)
        await desk.hand_over(lanes)
        unknown = [lane for lane in lanes if group_of(lane) not in engine.registry.limits]
        await desk.dissolve(unknown, self._unlimited(registrations), LANES_AT_ONCE)

    async def _let_go(self, lanes: Sequence[str]) -> None:
        """Take jobs out of their lanes, which they could not leave otherwise: nothing stands."""
        registry = self._engine.registry
        names = [*registry.jobs, *registry.crons]
        count = await self._engine.store.lanes.dissolve(lanes, names, LANES_AT_ONCE)
        if count:
            self._engine.logger.warning(
                "the Node package works on this database, and its validator refuses what a limit "
                "needs: %d jobs have left their lanes, and run without a limit",
                count,
            )

    def _unlimited(self, registrations: Registrations) -> set[str]:
        """Return the names that have no limit here, and none at any living worker."""
        limited = {
            name
            for worker in registrations.workers
            if not worker.is_dead(registrations.now)
            for name in worker.limits
        }
        registry = self._engine.registry
        return {name for name, _ in registry if not registry.limited(name)} - limited
