"""A worker: an engine whose slots a claim loop fills, with the upkeep that each worker does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from bson import ObjectId

from job_processor.crons.dispatcher import Dispatcher
from job_processor.crons.scheduler import Scheduler
from job_processor.errors import LifespanError, StoreError
from job_processor.events import Event, EventKind
from job_processor.handlers.abort import AbortController, AbortReason, AbortSignal
from job_processor.jobs.pauses import KIND, worker_key
from job_processor.models import Job, SimpleJob
from job_processor.node.crons import neighbour_of
from job_processor.settings import graceful_stop_seconds
from job_processor.tasks import cancel, persist
from job_processor.worker import serving
from job_processor.worker.burst_rescue import BurstRescue
from job_processor.worker.engine import Engine
from job_processor.worker.group_sweeper import GroupSweeper
from job_processor.worker.history import HistoryKeeper
from job_processor.worker.limits import LimitWatch
from job_processor.worker.loop import ClaimLoop
from job_processor.worker.messages import MessageWatch
from job_processor.worker.outcomes import is_resumable
from job_processor.worker.pauses import PauseWatch
from job_processor.worker.rate_watch import RateWatch
from job_processor.worker.reconciler import Reconciler
from job_processor.worker.rescuer import Rescuer
from job_processor.worker.runs import Run
from job_processor.worker.services import NameKeeper
from job_processor.worker.stopping import Budget
from job_processor.worker.sweeper import Sweeper

_CANCELLED_WITHIN = 1.0  # seconds that a cancelled task of ours has for its own end

T = TypeVar("T")


class Worker:
    """Runs jobs and crons until it is told to stop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pauses = PauseWatch(engine)
        self._scheduler = Scheduler(engine, self._pauses, neighbour_of(engine))
        engine.reporter.on_settled = self._scheduler.on_settled
        self._dispatcher = Dispatcher(engine, self._pauses)
        self._rescuer = Rescuer(engine)
        self._reconciler = Reconciler(engine)
        self._burst_rescue = BurstRescue(engine, self._rescuer)
        self._names = NameKeeper(engine)
        self._history = HistoryKeeper(engine)
        self._rates = RateWatch(engine)
        self._loop = ClaimLoop(engine, self._pauses, self._rates, self._reconciler)
        self._limits = LimitWatch(engine)
        self._limits.on_changed(self._loop.on_limits_changed)
        self._sweeper = Sweeper(engine, self._pauses, self._limits)
        self._messages = MessageWatch(engine)
        self._group_sweeper = GroupSweeper(engine)
        self._tasks: set[asyncio.Task[None]] = set()
        self._main: asyncio.Task[None] | None = None
        """The claim loop."""
        self._registered = False
        self._holds = False
        """True once it has asked for the resources."""
        self._told = asyncio.Event()
        """Set once it is to stop, one way or the other."""
        self._forced = False
        self._event_loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()

    async def run(self, stop: AbortSignal, *, burst: bool) -> None:
        """Work until `stop` is aborted (then stop gracefully) or, with `burst`, nothing is due.

        Cancelling this is a forced stop: handlers are cancelled at once, their ends still written.
        Raises WorkerStateError when a background task died.
        """
        self._event_loop = asyncio.get_running_loop()
        asked = AbortController()
        forget_stop = stop.on_abort(lambda: asked.abort(stop.reason))
        forget_told = asked.signal.on_abort(self._tell_from_any_thread())

        def look() -> None:
            if self._pauses.stops_us:
                asked.abort("asked to stop")

        self._pauses.on_changed(look)
        try:
            await self._run(asked.signal, burst=burst)
        finally:
            forget_stop()
            forget_told()
            self._ended.set()

    async def leave(self) -> None:
        """Stop by force, without a cancellation of whoever waits for `run`; return at the end.

        One whose event loop has ended is no more.
        """
        if self._event_loop is not asyncio.get_running_loop():
            return
        self._forced = True
        self._told.set()
        await self._ended.wait()

    async def _run(self, stop: AbortSignal, *, burst: bool) -> None:
        budget: Budget | None = None
        try:
            await self._work(stop, burst=burst)
            if not self._told.is_set():
                await self._until_first_ends(self._task("hooks", self._until_hooks_end()))
            if self._forced:
                budget = await self._stop_by_force()
            elif stop.aborted:
                budget = await self._stop_gracefully()
        except BaseException:
            budget = await self._stop_by_force()
            raise
        finally:  # what ended by itself has all its time for that
            await self._leave(budget or Budget.graceful(self._engine.settings))

    async def _work(self, stop: AbortSignal, *, burst: bool) -> None:
        """Begin and work until the burst is over or this is told to stop.

        Told while the database is away, it stops too.
        """
        beginning = self._task("beginning", self._begin(burst))
        await self._until_first_ends(beginning)
        if not beginning.done():
            return
        upkeep = self._start_upkeep(burst)
        work = self._burst(stop) if burst else self._loop.run(stop, burst=False)
        self._main = self._task("claim loop", work)
        await self._until_first_ends(self._main, *upkeep)

    async def _begin(self, burst: bool) -> None:
        engine = self._engine
        self._holds = True
        await engine.resources.hold()  # nothing is registered, and nothing claimed, before
        await persist(self._start_engine, engine.logger, "registration")
        self._tell_what_it_serves()
        self._emit(EventKind.WORKER_STARTED)
        await persist(self._pauses.look, engine.logger, "pauses")
        await persist(self._rates.look, engine.logger, "rates")
        await persist(self._limits.look, engine.logger, "limits")
        if burst:
            await persist(self._scheduler.schedule, engine.logger, "scheduling crons")
            await persist(self._dispatcher.dispatch, engine.logger, "schedules")
            await self._once("looking for crashed workers", self._burst_rescue.look)
            await self._once("listing the names of this service", self._names.list)

    def _tell_what_it_serves(self) -> None:
        for line in serving.lines(self._engine.parts, self._engine.worker_id):
            self._engine.logger.info("%s", line)

    async def _start_engine(self) -> None:
        await self._engine.start()
        self._registered = True

    async def _burst(self, stop: AbortSignal) -> None:
        """Work until nothing is due; so too for what dead workers left, and remove old history."""
        await self._once("looking for messages", self._messages.look)
        await self._once("sweeping the messages", self._messages.sweep)
        await self._loop.run(stop, burst=True)
        if await self._once("rescue", partial(self._burst_rescue.rescue, stop)):
            await self._loop.run(stop, burst=True)
        if not stop.aborted:
            await self._once("removing old history", self._history.prune_a_part)
            if await self._once("looking after groups", self._group_sweeper.sweep):
                await self._loop.run(stop, burst=True)
            while await self._once("checking waiting jobs", self._sweeper.sweep):
                await self._loop.run(stop, burst=True)

    async def _once(self, what: str, call: Callable[[], Awaitable[T]]) -> T | None:
        """Do what the next burst will do as well where this one cannot."""
        try:
            return await call()
        except StoreError as error:
            self._engine.logger.warning("%s: %s; left to the next burst", what, error)
            return None

    def _start_upkeep(self, burst: bool) -> list[asyncio.Task[None]]:
        tasks = [
            self._task("engine watch", self._engine.died()),
            self._task("reconciler", self._reconciler.run()),
            self._task("pauses", self._pauses.run()),
            self._task("rates", self._rates.run()),
            self._task("limits", self._limits.run()),
        ]
        if self._engine.parts.lifespan is not None:
            tasks.append(self._task("lifespan", self._engine.resources.broken()))
        if not burst:
            tasks += [
                self._task("scheduler", self._scheduler.run()),
                self._task("dispatcher", self._dispatcher.run()),
                self._task("rescuer", self._rescuer.run()),
                self._task("names", self._names.run()),
                self._task("history", self._history.run()),
                self._task("sweeper", self._sweeper.run()),
                self._task("messages", self._messages.run()),
                self._task("group sweeper", self._group_sweeper.run()),
            ]
        return tasks

    async def _until_first_ends(self, *tasks: asyncio.Task[None]) -> None:
        """Return when one of them ends, or this is told to stop; raise what it raises, loudly."""
        self._tasks.update(tasks)
        told = self._task("told", self._wait_to_be_told())
        try:
            done, _ = await asyncio.wait([told, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
        for task in done:
            error = task.exception()
            if isinstance(error, LifespanError):
                text = "%s; the worker does not start"
                self._engine.logger.critical(text, error, exc_info=error.__cause__)
            elif error is not None:
                text = "the %s died; the worker stops"
                self._engine.logger.critical(text, task.get_name(), exc_info=error)
            task.result()

    async def _wait_to_be_told(self) -> None:
        await self._told.wait()

    def _tell_from_any_thread(self) -> Callable[[], object]:
        loop = asyncio.get_running_loop()
        return lambda: loop.call_soon_threadsafe(self._told.set)

    # --- stopping -------------------------------------------------------------------------------

    async def _stop_gracefully(self) -> Budget:
        """Ask resumable handlers to stop at once, the others after `shutdown_grace`.

        They are asked before anything is waited for.
        """
        settings = self._engine.settings
        budget = Budget.graceful(settings)
        self._ask(lambda run: is_resumable(run.job, run.definition))
        later = asyncio.get_running_loop().call_later(settings.shutdown_grace, self._ask)
        try:
            await self._end_claiming(within=settings.kill_grace)
            await self._until_runs_end(budget)
        finally:
            later.cancel()
        await self._write_the_rest(budget)
        return budget

    async def _stop_by_force(self) -> Budget:
        budget = Budget.forced(self._engine.settings)
        self._ask(grace=0)
        await self._end_claiming(within=0)
        await self._until_runs_end(budget)
        await self._write_the_rest(budget)
        return budget

    async def _until_hooks_end(self) -> None:
        """Wait for the hooks of what this worker ran; those of `run_job` are not its own."""
        within = graceful_stop_seconds(self._engine.settings)
        await self._engine.hooks.ended(_is_of_worker, within)

    def _ask(self, which: Callable[[Run], bool] | None = None, grace: float | None = None) -> None:
        for run in self._engine.runs:
            if run.of_worker and (which is None or which(run)):
                self._engine.executor.ladder.abort(run, AbortReason.SHUTDOWN, grace=grace)

    async def _end_claiming(self, within: float) -> None:
        """Let a claim that is on its way come back; one that does not is cancelled.

        The upkeep ends at once: it would take up runs, or hold the gate.
        """
        others = self._tasks - {self._main}
        for task in others:
            task.cancel()
        if self._main is not None and not self._main.done():
            await asyncio.wait([self._main], timeout=within)
        await cancel(self._tasks, _CANCELLED_WITHIN)

    async def _until_runs_end(self, budget: Budget) -> None:
        """Wait until every handler of the worker's runs has ended or is given up."""

        def ended() -> bool:
            return all(run.concluded for run in self._engine.runs if run.of_worker)

        try:
            async with asyncio.timeout(budget.for_runs):
                await self._engine.runs.wait_until(ended)
        except TimeoutError:
            for run in self._engine.runs:
                if run.of_worker:
                    self._engine.executor.ladder.give_up(run)

    async def _write_the_rest(self, budget: Budget) -> None:
        """Wait for the last settlements and hooks, but not for a database that stays away."""
        engine = self._engine
        if not self._registered:
            return
        engine.settle_on()
        try:
            async with asyncio.timeout(budget.for_writes):
                await engine.settler.drained()
                await persist(self._give_back, engine.logger, "giving back")
                await engine.settler.drained()
        except Exception as error:  # noqa: BLE001  # whatever it is, the process is to end
            unsettled = [f"{run.job.name!r} ({run.job.id})" for run in engine.runs if run.of_worker]
            engine.logger.error(  # noqa: TRY400  # the run ids matter, not where it happened
                "stopping without the database's word (%s): %s",
                "no answer in time" if isinstance(error, TimeoutError) else repr(error),
                f"left to the rescue are {', '.join(unsettled[:20])}"
                if unsettled
                else "nothing of what ran is left, perhaps a claim that was under way",
            )
        await engine.hooks.ended(_is_of_worker, budget.for_writes)

    async def _give_back(self) -> None:
        await self._reconciler.reconcile(adopt=False)

    async def _leave(self, budget: Budget) -> None:
        living = await cancel(self._tasks, _CANCELLED_WITHIN)
        for task in living:
            self._engine.logger.error("the %s does not end; it is left alone", task.get_name())
        self._emit(EventKind.WORKER_STOPPED)
        worker_id = self._engine.worker_id
        self._engine.logger.info("worker stopped %s", worker_id)
        if self._registered:
            await self._engine.stop(budget.for_leaving)
        if self._holds:
            await self._engine.resources.release(budget.for_lifespan)
        if self._pauses.stops_us:
            await self._forget_the_request(worker_id, budget.for_leaving)

    async def _forget_the_request(self, worker_id: ObjectId, within: float) -> None:
        """Remove what asked us to stop; left behind it harms nobody, ids do not come again."""
        with contextlib.suppress(StoreError, TimeoutError):
            async with asyncio.timeout(within):
                await self._engine.store.settings.remove(KIND, worker_key(worker_id))

    def _emit(self, kind: EventKind) -> None:
        self._engine.events.emit(Event(kind, self._engine.worker_id))

    @staticmethod
    def _task(name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(work, name=name)


def _is_of_worker(job: Job) -> bool:
    return not (isinstance(job, SimpleJob) and job.sync)
