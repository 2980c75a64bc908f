"""Aborts the runs of this process that somebody asked to kill; it never writes a job."""

from __future__ import annotations

import asyncio

from job_processor.handlers.abort import AbortReason
from job_processor.parts import Parts
from job_processor.store.hints import Hint
from job_processor.tasks import Trouble, set_within
from job_processor.worker.ladder import Ladder
from job_processor.worker.runs import Runs


class KillListener:
    """Asks for kill requests after each hint and, while anything runs, each `poll_interval`."""

    def __init__(self, parts: Parts, runs: Runs, ladder: Ladder) -> None:
        self._store = parts.store
        self._runs = runs
        self._ladder = ladder
        self._interval = parts.settings.poll_interval
        self._logger = parts.logger
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Listen until cancelled."""
        forget = self._store.subscribe(self._on_hint, ends=False)
        trouble = Trouble(self._logger, "kill requests")
        try:
            while True:
                await trouble.attempt(self._look)
                await self._pause()
        finally:
            forget()

    def _on_hint(self, hint: Hint) -> None:
        if hint & Hint.KILL:
            self._wake.set()

    async def _look(self) -> None:
        running = [held.id for held in self._runs.held_jobs() if not held.concluded]
        if not running:
            return
        requested = await self._store.kills.requested(running)
        for job_id in requested:
            run = self._runs.get(job_id)
            if run is not None and run.reason is not AbortReason.KILL:
                self._logger.info("job %r (%s) is to be killed", run.job.name, job_id)
                self._ladder.abort(run, AbortReason.KILL)

    async def _pause(self) -> None:
        await set_within(self._wake, self._interval)
        self._wake.clear()
