"""Removes old history where the database does not do so by itself."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from job_processor.settings import HISTORY_BATCH, HISTORY_INTERVAL
from job_processor.tasks import Trouble
from job_processor.worker.engine import Engine

_RESCUED_AFTER = 1.5
"""Times the `worker_timeout`, after which whoever was dead at our start has been found so."""


class HistoryKeeper:
    """Removes jobs that were settled, and schedules that ended, more than `history_days` ago.

    Errored jobs after `keep_errored_days`, where that is given.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def run(self) -> None:
        """Prune now and then, until cancelled: what dead workers left is rescued before."""
        trouble = Trouble(self._engine.logger, "removing old history")
        await asyncio.sleep(_RESCUED_AFTER * self._engine.settings.worker_timeout)
        while True:
            if await trouble.attempt(self.prune):
                await asyncio.sleep(HISTORY_INTERVAL)

    async def prune(self) -> int:
        """Remove what is too old, in batches; return how many jobs."""
        removed = 0
        while True:
            batch = await self.prune_a_part()
            removed += batch
            if batch < HISTORY_BATCH:
                return removed

    async def prune_a_part(self) -> int:
        """Remove one batch of what is too old; return how many jobs.

        By the earlier of two clocks: one that is ahead must not remove what is new.
        """
        engine = self._engine
        now = engine.clock.now()
        if (
            engine.store.abilities.needs_heartbeat
        ):  # else the only clock is ours, which a test may move
            now = min(now, await engine.store.ping())
        before = now - timedelta(days=engine.settings.history_days)
        errored = engine.settings.keep_errored_days
        errored_before = None if errored is None else now - timedelta(days=errored)
        await engine.store.schedules.prune(before, HISTORY_BATCH)
        return await engine.store.history.prune(before, HISTORY_BATCH, errored_before)
