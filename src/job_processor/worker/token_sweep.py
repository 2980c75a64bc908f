"""The same for rates with a key: lets those follow whom nobody has let, since a process died.

A lane of parked jobs has one in line. That one may be of a name that nobody claims, or whoever took
it may have died before it let another one follow.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta

from job_processor.handlers.lanes import group_of
from job_processor.models import Registrations
from job_processor.node.rules import refuses_own_fields
from job_processor.worker.engine import Engine
from job_processor.worker.turns import Turn

LANES_AT_ONCE = 1000
"""Lanes of one pass."""

_PART = 100
"""Lanes of one statement."""


class TokenSweep:
    """Walks along the lanes of rates."""

    def __init__(
        self, engine: Engine, claimable: Callable[[Registrations], Collection[str]]
    ) -> None:
        self._engine = engine
        self._claimable = claimable
        self._turn = Turn(engine, "rates")

    async def admit(self) -> None:
        """Let those follow whose names were resumed; raises StoreError."""
        desk = self._engine.store.tokens
        if desk.book:
            await desk.admit(await desk.waiting("", LANES_AT_ONCE))

    async def sweep(self) -> bool:
        """Walk along some of the lanes, unless somebody did so; raises StoreError."""
        desk = self._engine.store.tokens
        if not await desk.waiting("", 1):
            return False
        registrations = await self._engine.store.workers.registrations()
        position = await self._turn.win(registrations.now)
        if position is None:
            return False
        lanes = await desk.waiting(position, LANES_AT_ONCE)
        await self._recall({group_of(lane) for lane in lanes})
        claimable = self._claimable(registrations)
        for start in range(0, len(lanes), _PART):
            await self._look_after(lanes[start : start + _PART], registrations, claimable)
        await self._turn.note(lanes[-1] if len(lanes) == LANES_AT_ONCE else "")
        return True

    async def _recall(self, groups: Collection[str]) -> None:
        """Let what has a date ask anew where that is too far away: a clock was wrong."""
        desk, now = self._engine.store.tokens, self._engine.clock.now()
        for group, rate in desk.book.rates().items():
            if group in groups:
                after = now + timedelta(milliseconds=rate.pace.farthest)
                await desk.recall(group, after, now)

    async def _look_after(
        self, lanes: Sequence[str], registrations: Registrations, claimable: Collection[str]
    ) -> None:
        engine = self._engine
        desk, registry = engine.store.tokens, engine.registry
        if refuses_own_fields(engine.store):
            await self._let_go(lanes)
            return
        before = engine.clock.now() - timedelta(seconds=engine.settings.worker_timeout)
        await desk.withdraw(lanes, before, claimable)
        await desk.admit(lanes)
        unknown = [lane for lane in lanes if group_of(lane) not in registry.keyed_rates]
        await desk.dissolve(unknown, self._unrated(registrations), LANES_AT_ONCE)

    async def _let_go(self, lanes: Sequence[str]) -> None:
        """Take jobs out of their lanes, which they could not leave otherwise: nothing stands."""
        engine = self._engine
        names = [*engine.registry.jobs, *engine.registry.crons]
        count = await engine.store.tokens.dissolve(lanes, names, LANES_AT_ONCE)
        if count:
            engine.logger.warning(
                "the Node package works on this database, and its validator refuses what the key "
                "of a rate needs: %d jobs have left their lanes, and start without a rate",
                count,
            )

    def _unrated(self, registrations: Registrations) -> set[str]:
        """Return the names that have no rate with a key here, and none at any living worker."""
        rated = {
            name
            for worker in registrations.workers
            if not worker.is_dead(registrations.now)
            for name in worker.rates
        }
        registry = self._engine.registry
        return {name for name, _ in registry if not registry.keyed_rate(name)} - rated
