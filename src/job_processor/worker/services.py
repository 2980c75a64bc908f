"""Lists the names that this worker defines as its service's, as long as it lives."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from job_processor.jobs.services import LIST_AGAIN, list_names
from job_processor.tasks import Trouble
from job_processor.worker.engine import Engine


class NameKeeper:
    """Lists the names when a worker starts, and again now and then."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def run(self) -> None:
        """List until cancelled."""
        trouble = Trouble(self._engine.logger, "listing the names of this service")
        kept = timedelta(days=self._engine.settings.history_days)
        while True:
            if await trouble.attempt(self.list):
                await asyncio.sleep(min(LIST_AGAIN, kept / 4).total_seconds())

    async def list(self) -> None:
        """List once; raises StoreError."""
        engine = self._engine
        await list_names(engine.store, engine.registry, engine.settings)
