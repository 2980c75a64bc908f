"""Runs a handler and decides what its end means: begin → call → classify → settle.

A run begins in `start`, goes its way in `_execute`, and has one end, in `conclude`, from wherever
it got to: its handler returned or raised, its task was cancelled before the first step, the ladder
gave it up, or what surrounds its handler failed. From there on the settler owns what is to be
written. What a handler says after that comes too late, and is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from job_processor.events import Event, EventKind
from job_processor.handlers import current
from job_processor.handlers.abort import AbortReason
from job_processor.handlers.around import Managers
from job_processor.handlers.callables import attempt
from job_processor.handlers.definitions import Definition
from job_processor.handlers.steps import suspension_of
from job_processor.hooks import Call
from job_processor.models import Job, JobStatus, make
from job_processor.parts import Parts
from job_processor.store.requests import Outcome, skipped
from job_processor.tasks import start_task
from job_processor.values import copied, kept
from job_processor.worker.batches import Batches
from job_processor.worker.ladder import Ladder
from job_processor.worker.notebook import Scribe
from job_processor.worker.outcomes import (
    Ending,
    check_ran,
    classify,
    finished,
    unreadable,
)
from job_processor.worker.resources import Resources
from job_processor.worker.runs import Run, Runs
from job_processor.worker.sealed import sealed_error
from job_processor.worker.settler import Settler

if TYPE_CHECKING:  # imported with the first that needs it
    from job_processor.worker.processes.pool import Processes

_NOT_BEGUN = Ending(error=asyncio.CancelledError())
"""The ending of a handler that was not called, or that would not stop: as if it was cancelled."""

_SPARE_THREADS = 1000  # hung threads keep theirs; the slots are what bounds the living ones


class Executor:
    """Runs jobs that are ours already, each in a task of its own."""

    def __init__(
        self,
        parts: Parts,
        runs: Runs,
        settler: Settler,
        scribe: Scribe,
        resources: Resources,
    ) -> None:
        self.ladder = Ladder(parts.settings.kill_grace, self._give_up, parts.logger)
        self._runs = runs
        self._settler = settler
        self._scribe = scribe
        self._resources = resources
        self._events = parts.events
        self._scopes = parts.scopes
        self._clock = parts.clock
        self._logger = parts.logger
        self._processes: Processes | None = None
        self._starting: list[Run] = []
        """Runs whose tasks have not begun when they were looked at last."""
        self.batches = Batches(self, parts, runs, settler, scribe, resources)
        self.claimer: asyncio.Task[Any] | None = None
        """The task of the worker that claims, while there is one."""
        self._threads = ThreadPoolExecutor(parts.settings.concurrency + _SPARE_THREADS, "job")

    def close(self) -> None:
        """Let the idle threads end; one that hangs is left to the end of the process."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def start(self, job: Job, definition: Definition, *, of_worker: bool = True) -> Run:
        """Begin a run of a job that is `running` under our id, and return at once."""
        if definition.batch is not None:
            return self.batches.add(job, definition, of_worker=of_worker)
        run = Run(job, definition, of_worker=of_worker)
        self._runs.add(run)
        run.task = start_task(self._execute(run), job.name)
        if not run.begun:
            self._see_begun(run)
        return run

    def skip(self, job: Job, definition: Definition, told: str | None = None) -> None:
        """Settle a job that is `running` under our id, and too late, as skipped, without a run."""
        self.settle_unbegun(job, definition, skipped("other", self._clock.now(), told=told))

    def settle_unbegun(self, job: Job, definition: Definition, outcome: Outcome) -> None:
        """Settle a job that is `running` under our id without a run."""
        run = Run(job, definition, of_worker=True)
        run.begun = True
        run.ends_as = outcome.status
        self._runs.add(run)
        self._runs.conclude(run)
        self._settler.add(run, outcome)

    async def _execute(self, run: Run) -> None:
        """Run a handler to its end, and see that the run has an outcome, wherever that fails.

        Where integrations surround handlers, their scopes learn how the run ends, which is known
        before it is written.
        """
        if run.task is None:  # it begins before `start` has it
            run.task = asyncio.current_task()
        try:
            payload = getattr(run.job, "payload", None)
            run.given = self.given(run, payload) if payload else run.job
            current.begin(run.given)
            if not self._begin(run):
                self._end(run, _NOT_BEGUN)
            elif (payload or run.job.steps) and (sealed := sealed_error(run.job)) is not None:
                self._end(run, Ending(error=sealed))
            elif self._scopes.around.all:
                entered = self._scopes.enter(run.job)
                ending = await self._call(run)
                self._end(run, ending)
                entered.leave(run.ends_as, ending.error, run.error)
            elif run.is_direct and not self._scopes.wrappers.all:
                # Most jobs. It is what `_call` does, without a coroutine of its own.
                bound = run.definition.bound
                try:
                    arguments, keywords = self._arguments(run)
                    ending = Ending(await bound.function(*arguments, **keywords))
                except BaseException as error:  # noqa: BLE001  # it is the handler's
                    ending = self._raised(run, error)
                self._end(run, ending)
            else:
                self._end(run, await self._call(run))
        except BaseException as error:
            if isinstance(error, GeneratorExit) and not _is_stepping(run):
                raise  # this is being closed, its loop is gone: there is nobody to settle for
            self._on_failure(run, error)

    def _end(self, run: Run, ending: Ending) -> None:
        if run.abandoned:
            self._drop_late(run, ending)
        else:
            self.conclude(run, ending)

    def _see_begun(self, run: Run) -> None:
        """Look at a run in the next turn of the loop, in which its task begins."""
        if not self._starting:
            asyncio.get_running_loop().call_soon(self._conclude_unbegun)
        self._starting.append(run)

    def _conclude_unbegun(self) -> None:
        """Conclude the runs whose tasks were cancelled from outside, before they ran a step.

        One look for all that was started together costs less than a callback of each task.
        """
        starting, self._starting = self._starting, []
        for run in starting:
            if run.begun or run.concluded:
                continue
            if run.task is not None and run.task.done():
                run.reason = run.reason or AbortReason.SHUTDOWN
                self.conclude(run, _NOT_BEGUN)
            else:
                self._see_begun(run)

    def _on_failure(self, run: Run, error: BaseException) -> None:
        """Conclude a run that failed around its handler, or say that it did when it is over."""
        if not run.handed_over:
            self.conclude(run, Ending(error=error))
        elif not isinstance(error, asyncio.CancelledError):
            self._logger.error(
                "job %r (%s): what surrounds its handler failed",
                run.job.name,
                run.job.id,
                exc_info=error,
            )

    def given(self, run: Run, payload: Any) -> Job:
        """Return the job for its handler: what that does to the payload is its own affair.

        Hooks, events and `run_job` get the payload as it is stored. Where there is nobody to see
        another one, nothing is copied; a process has its own anyway.
        """
        job, definition = run.job, run.definition
        seen = (
            definition.on_job_exited is not None
            or self._events.listeners.all
            or self._scopes.around.all
            or not run.of_worker
        )
        if not seen or definition.executor == "process":
            return job
        return make(type(job), {**job.__dict__, "payload": copied(payload)})

    def _begin(self, run: Run) -> bool:
        run.begun = True
        limit = run.definition.limit_seconds
        if run.reason is not None:
            return False
        run.started = time.monotonic()
        if limit is not None:
            abort = partial(self.ladder.abort, run, AbortReason.MAX_RUNTIME)
            run.arm(asyncio.get_running_loop().call_later(limit, abort))
        if self._events.listeners.all:
            self._events.emit(Event(EventKind.STARTED, run.job.worker_id, run.job))
        return True

    async def _call(self, run: Run) -> Ending:
        """Call the handler. Whatever it raises is its ending, SystemExit and the like included."""
        bound = run.definition.bound
        try:
            context = await self._scribe.context(run) if bound.wants_context else None
            if run.definition.executor == "process":
                return await self._in_process(run, None if context is None else context.state)
            arguments, keywords = self._arguments(run, context)
            call: Call = partial(bound.function, *arguments, **keywords)
            if self._scopes.wrappers.all:
                call = self._scopes.wrapped(call, bound.is_async)
            if run.definition.arounds:
                arounds, asking = run.definition.arounds, run.definition.asking
                managers = Managers.of(arounds, run.given, self._resources.value, asking)
                return Ending(await managers.hold(partial(self._held, run, call, managers)))
            if bound.is_async:
                return Ending(await call())
            answer, error = await self._in_thread(run, call)
            if error is not None:
                return Ending(error=error)
            return Ending(await answer if inspect.isawaitable(answer) else answer)
        except BaseException as error:  # noqa: BLE001  # it is the handler's
            return self._raised(run, error)

    def _arguments(self, run: Run, context: Any = None) -> tuple[list[Any], dict[str, Any]]:
        bound = run.definition.bound
        signal = run.controller.signal if bound.wants_signal else None
        return bound.arguments(run.given, signal, context, self._resources.value)

    def _raised(self, run: Run, error: BaseException) -> Ending:
        """Return the ending of a handler that raised."""
        if isinstance(error, GeneratorExit) and not _is_stepping(run):
            raise error  # this is being closed, its loop is gone: there is nobody to settle for
        if run.reason is None and self.is_cancelled_with_all(error):
            run.reason = AbortReason.SHUTDOWN
        return Ending(error=error)

    async def _held(self, run: Run, call: Call, managers: Managers) -> Any:
        """Return what the handler returns inside of the plain managers; raise what it raises."""
        if run.definition.bound.is_async:
            return await managers.run_async(call)
        answer, error = await self._in_thread(run, partial(managers.run, call))
        if error is not None:
            raise error
        return await answer if inspect.isawaitable(answer) else answer

    async def _in_process(self, run: Run, state: Any) -> Ending:
        if self._processes is None:  # few need them, and importing the pool takes a while
            from job_processor.worker.processes.pool import Processes  # noqa: PLC0415  # see above

            self._processes = Processes(self._scopes, self._logger, self._resources)
        return await self._processes.run(run, state)

    async def _in_thread(
        self, run: Run, function: Callable[[], Any]
    ) -> tuple[Any, BaseException | None]:
        return await self.in_thread([run], function)

    async def in_thread(
        self, runs: Sequence[Run], function: Callable[[], Any]
    ) -> tuple[Any, BaseException | None]:
        """Call a function in the thread of these runs; return what it returns, or raises."""
        context = contextvars.copy_context()

        def call() -> tuple[Any, BaseException | None]:
            for run in runs:
                run.thread_id = threading.get_ident()
            try:
                return attempt(partial(context.run, function))
            finally:
                for run in runs:
                    run.thread_id = None

        thread = self._threads.submit(call)
        for run in runs:
            run.thread = thread
        return await asyncio.wrap_future(thread)

    def conclude(self, run: Run, ending: Ending) -> None:
        """Decide the outcome, and only then call the run concluded; hand it on to be written.

        Whatever raises while the ending is read is an ending, too: results and exceptions are the
        handler's, and reading one runs its code.
        """
        at, elapsed = self._clock.now(), time.monotonic() - run.started
        try:
            outcome = self._outcome(run, ending, at, elapsed)
        except BaseException as error:  # noqa: BLE001  # see above
            outcome = self._of_unreadable(run, error, at, elapsed)
        self._runs.conclude(run)
        if run.timers:
            run.disarm()
        if outcome is None:
            if run.reason is AbortReason.SHUTDOWN:
                self._runs.left_running.add(run.job.id)
            self._settler.drop(run)
        else:
            run.ends_as = outcome.status
            self._settler.add(run, outcome)
        self._runs.changed()

    def _of_unreadable(
        self, run: Run, error: BaseException, at: datetime, elapsed: float
    ) -> Outcome | None:
        """Return what to write where an ending raised this when it was read."""
        try:
            return self._outcome(run, Ending(error=error), at, elapsed)
        except BaseException as failure:  # noqa: BLE001  # its own code again
            return unreadable(failure, at, elapsed)

    def _outcome(self, run: Run, ending: Ending, at: datetime, elapsed: float) -> Outcome | None:
        if ending.error is None and run.notebook is None and run.reason is None:  # most runs
            outcome = finished(run.definition, ending.result, at=at, elapsed=elapsed)
            has_result = outcome.output is not None and outcome.output.result is not None
            return self._storable(run, outcome) if has_result else outcome
        ending = self._left(run, ending)
        sleeps = suspension_of(ending.error) is not None
        run.error = ending.error if run.reason is None and not sleeps else None
        classified = classify(
            run.job,
            run.definition,
            ending,
            run.reason,
            at=at,
            elapsed=elapsed,
            lives_on=ending.error is not None and run.lives_on,
        )
        return None if classified is None else self._storable(run, classified)

    def _left(self, run: Run, ending: Ending) -> Ending:
        """Return how a handler ended; one that was to leave, and returned all the same, has left.

        What it returned is not what it would after its sleep, or with its message.
        """
        left = run.notebook.left if run.notebook is not None else None
        if left is None or ending.error is not None:
            return ending
        verb, then = (
            ("receive", "with the message") if left.topics else ("sleep", "after the sleep")
        )
        self._logger.warning(
            "job %r (%s): its handler went on after context.%s() had left it; what it returned "
            "is dropped, and it runs again %s. Let what %s raises pass: catch "
            "Exception, neither BaseException nor everything, and return from no `finally`",
            run.job.name,
            run.job.id,
            verb,
            then,
            verb,
        )
        return Ending(error=left)

    def _storable(self, run: Run, outcome: Outcome) -> Outcome:
        """Return the outcome with what the run told, and a result that the store can hold.

        A result that it cannot hold gives way to its description. Raises DefinitionError for one
        that means that the handler has not run.
        """
        if run.notebook is not None:
            outcome = replace(outcome, notes=run.notebook.news())
        output = outcome.output
        if output is None or output.result is None or outcome.status is not JobStatus.FINISHED:
            return outcome
        result, reason = kept(output.result, "result")
        if reason is not None:
            check_ran(run.definition.bound.function, output.result)
            self._logger.warning(
                "job %r (%s) returned what cannot be stored (%s); stored is its description",
                run.job.name,
                run.job.id,
                reason,
            )
        return replace(outcome, output=replace(output, result=result))

    def _give_up(self, run: Run) -> None:
        """Settle a run whose handler would not stop; its late ending is dropped.

        Its job is held: this process does not claim it again while the handler lives.
        """
        if run.batch is not None and run.batch.is_open:
            self.batches.leave(run)
            return
        run.abandoned = True
        if run.lives_on:
            self._runs.held.add(run.job.id)
            loop = asyncio.get_running_loop()
            if run.thread is not None:
                release = partial(self._from_thread, loop, run)
                run.thread.add_done_callback(lambda _: release())
            if run.task is not None:
                run.task.add_done_callback(lambda _: self._runs.release(run))
        self.conclude(run, _NOT_BEGUN)

    def _from_thread(self, loop: asyncio.AbstractEventLoop, run: Run) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nothing is claimed any more
            loop.call_soon_threadsafe(self._runs.release, run)

    def is_cancelled_with_all(self, error: BaseException) -> bool:
        """True when all tasks of the loop are being cancelled, as `asyncio.run` does at its end.

        A handler that raises a CancelledError, or cancels its own task, is cancelled by itself
        alone: the task that claims goes on.
        """
        task, claimer = asyncio.current_task(), self.claimer
        if not isinstance(error, asyncio.CancelledError) or task is None or not task.cancelling():
            return False
        return claimer is None or claimer.done() or claimer.cancelling() > 0

    def _drop_late(self, run: Run, ending: Ending) -> None:
        self._logger.warning(
            "job %r (%s): its handler ended after the end of its run; %s is dropped",
            run.job.name,
            run.job.id,
            "its result" if ending.error is None else f"its {type(ending.error).__name__}",
        )


def _is_stepping(run: Run) -> bool:
    """True while the event loop runs the run's task: then what is raised is its handler's.

    Somebody else closes a coroutine whose loop has ended, the garbage collector for example.
    """
    try:
        return asyncio.current_task() is run.task
    except RuntimeError:  # no loop runs here
        return False
