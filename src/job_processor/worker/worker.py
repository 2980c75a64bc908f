"""A worker: an engine whose slots a claim loop fills, with the upkeep that each worker does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from job_processor.abort import AbortController, AbortReason, AbortSignal
from job_processor.cancelling import cancel
from job_processor.errors import StoreError
from job_processor.events import Event, EventKind
from job_processor.pauses import KIND, worker_key
from job_processor.worker.engine import Engine
from job_processor.worker.history import HistoryKeeper
from job_processor.worker.loop import ClaimLoop
from job_processor.worker.pauses import PauseWatch
from job_processor.worker.persistence import persist
from job_processor.worker.reconciler import Reconciler
from job_processor.worker.rescuer import Rescuer
from job_processor.worker.scheduler import Scheduler


class Worker:
    """Runs jobs and crons until it is told to stop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pauses = PauseWatch(engine)
        self._scheduler = Scheduler(engine, self._pauses)
        self._rescuer = Rescuer(engine)
        self._reconciler = Reconciler(engine)
        self._history = HistoryKeeper(engine)
        self._loop = ClaimLoop(engine, self._pauses, self._reconciler)

    async def run(self, stop: AbortSignal, *, burst: bool) -> None:
        """Work until `stop` is aborted (then stop gracefully) or, with `burst`, nothing is due.

        Cancelling this is a forced stop: handlers are cancelled at once, their ends still written.
        Raises WorkerStateError when a background task died.
        """
        asked = AbortController()
        forget_stop = stop.on_abort(lambda: asked.abort(stop.reason))

        def look() -> None:
            if self._pauses.stops_us:
                asked.abort("asked to stop")

        self._pauses.on_changed(look)
        try:
            await self._run(asked.signal, burst=burst)
        finally:
            forget_stop()

    async def _run(self, stop: AbortSignal, *, burst: bool) -> None:
        engine = self._engine
        await persist(engine.start, engine.logger, "registration")
        self._emit(EventKind.WORKER_STARTED)
        upkeep: list[asyncio.Task[None]] = []
        try:
            await persist(self._pauses.look, engine.logger, "pauses")
            if burst:
                await persist(self._scheduler.schedule, engine.logger, "scheduling crons")
            upkeep = self._start_upkeep(burst)
            loop = self._task("claim loop", self._loop.run(stop, burst=burst))
            await self._until_first_ends(loop, upkeep)
            if stop.aborted:
                await self._stop_gracefully()
            await engine.reporter.hooks_ended()
        except BaseException:
            await asyncio.shield(self._stop_by_force())
            raise
        finally:
            await cancel(upkeep)
            self._emit(EventKind.WORKER_STOPPED)
            if self._pauses.stops_us:
                await self._forget_the_request()
            await engine.stop()

    def _start_upkeep(self, burst: bool) -> list[asyncio.Task[None]]:
        tasks = [
            self._task("engine watch", self._engine.died()),
            self._task("reconciler", self._reconciler.run()),
            self._task("pauses", self._pauses.run()),
        ]
        if not burst:
            tasks += [
                self._task("scheduler", self._scheduler.run()),
                self._task("rescuer", self._rescuer.run()),
                self._task("history", self._history.run()),
            ]
        return tasks

    async def _until_first_ends(
        self, main: asyncio.Task[None], upkeep: list[asyncio.Task[None]]
    ) -> None:
        """Return when the main task ends; raise what any of them raises, loudly."""
        try:
            done, _ = await asyncio.wait([main, *upkeep], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if task.exception() is not None:
                    self._engine.logger.critical(
                        "the %s died; the worker stops", task.get_name(), exc_info=task.exception()
                    )
                task.result()
        finally:
            await cancel([main])

    async def _stop_gracefully(self) -> None:
        """Ask resumable handlers to stop at once, the others after `shutdown_grace`."""
        engine = self._engine
        patient = []
        for run in engine.runs:
            if run.of_worker and run.definition.resumable:
                engine.executor.ladder.abort(run, AbortReason.SHUTDOWN)
            elif run.of_worker:
                patient.append(run)
        if patient:
            await self._wait_for_end(engine.settings.shutdown_grace)
            for run in patient:
                engine.executor.ladder.abort(run, AbortReason.SHUTDOWN)
        await self._wait_for_end(None)
        await self._settle_the_rest()

    async def _stop_by_force(self) -> None:
        engine = self._engine
        for run in engine.runs:
            if run.of_worker:
                engine.executor.ladder.abort(run, AbortReason.SHUTDOWN, grace=0)
        await self._wait_for_end(None)
        await self._settle_the_rest()

    async def _wait_for_end(self, timeout: float | None) -> None:
        """Wait until every handler of the worker's runs has ended or was given up."""

        def ended() -> bool:
            return all(run.concluded for run in self._engine.runs if run.of_worker)

        try:
            async with asyncio.timeout(timeout):
                await self._engine.runs.wait_until(ended)
        except TimeoutError:
            pass

    async def _settle_the_rest(self) -> None:
        """Wait for the last settlements and hooks, but not for a database that stays away."""
        engine = self._engine
        try:
            async with asyncio.timeout(engine.settings.shutdown_grace + engine.settings.kill_grace):
                await engine.settler.drained()
                await engine.reporter.hooks_ended()
                await self._reconciler.reconcile(adopt=False)
        except Exception as error:  # noqa: BLE001  # whatever it is, the process is to end
            unsettled = [str(run.job.id) for run in engine.runs if run.of_worker]
            engine.logger.error(  # noqa: TRY400  # the run ids matter, not where it happened
                "stopping without a confirmed end of %d runs (%r): they are left to the rescue: %s",
                len(unsettled),
                error,
                ", ".join(unsettled[:20]),
            )

    async def _forget_the_request(self) -> None:
        """Remove what asked us to stop; left behind it harms nobody, ids do not come again."""
        with contextlib.suppress(StoreError):
            await self._engine.store.remove_setting(KIND, worker_key(self._engine.worker_id))

    def _emit(self, kind: EventKind) -> None:
        self._engine.events.emit(Event(kind, self._engine.worker_id))

    @staticmethod
    def _task(name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(work, name=name)
