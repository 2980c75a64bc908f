"""Batches: runs that one call of their handler is for, from their gathering to their ends.

Each job keeps a run of its own: its record, its kill, its retry and its end are those of any other.
What they share is a task, a slot, and the time that they have. A batch is open until it is full or
has waited long enough; what leaves it before was never begun.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from job_processor.clock import stored_duration
from job_processor.events import Event, EventKind
from job_processor.handlers import current
from job_processor.handlers.abort import AbortReason
from job_processor.handlers.batches import endings_of
from job_processor.handlers.context import BatchContext, Context
from job_processor.handlers.definitions import Definition
from job_processor.hooks import Call
from job_processor.models import Job, JobStatus, Output
from job_processor.parts import Parts
from job_processor.store.fresh import Fresh
from job_processor.store.requests import Outcome
from job_processor.values import is_sealed
from job_processor.worker.batch import Batch
from job_processor.worker.notebook import Scribe
from job_processor.worker.outcomes import Ending, give_back
from job_processor.worker.resources import Resources
from job_processor.worker.runs import Run, Runs
from job_processor.worker.sealed import sealed_error
from job_processor.worker.settler import Settler

if TYPE_CHECKING:  # whose batches they are
    from job_processor.worker.executor import Executor


class Batches:
    """Gathers runs of each name, and calls the handler for those that came together."""

    def __init__(
        self,
        executor: Executor,
        parts: Parts,
        runs: Runs,
        settler: Settler,
        scribe: Scribe,
        resources: Resources,
    ) -> None:
        self._executor = executor
        self._runs = runs
        self._settler = settler
        self._scribe = scribe
        self._resources = resources
        self._scopes = parts.scopes
        self._events = parts.events
        self._clock = parts.clock
        self._open: dict[str, Batch] = {}

    @property
    def any_open(self) -> bool:
        """True while one waits for more."""
        return bool(self._open)

    def room(self, name: str, size: int, slots: int) -> int:
        """Return how many jobs of a name may be claimed: into its open batch, or a new one."""
        batch = self._open.get(name)
        if batch is not None:
            return size - len(batch)
        return size if slots > 0 else 0

    def add(self, job: Job, definition: Definition, *, of_worker: bool) -> Run:
        """Put a job that is `running` under our id into a batch; one of `run_job` is alone."""
        run = Run(job, definition, of_worker=of_worker)
        batch = self._open.get(job.name) if of_worker else None
        run.batch = batch = batch or self._opened(job.name, definition, of_worker=of_worker)
        self._runs.unpack(batch)
        try:
            self._runs.add(run)
        finally:
            if run.job.id in self._runs:
                batch.runs.append(run)
        if not of_worker or len(batch.runs) >= (definition.batch or 1):
            self._begin(batch)
        return run

    def takes_packed(self, name: str, definition: Definition) -> bool:
        """True where nothing is done for each job of a batch, so that no run needs to be made."""
        bound = definition.bound
        given = {*bound.positional, *(argument for _, argument in bound.keywords)}
        return (
            name not in self._open
            and bound.is_async
            and given.isdisjoint(("jobs", "contexts"))
            and definition.limit_seconds is None
            and not self._events.listeners.all
            and not self._scopes.around.all
        )

    def add_packed(self, jobs: Fresh, definition: Definition) -> None:
        """Make a batch of jobs that are `running` under our id, none of which is held here."""
        batch = self._opened(jobs.name, definition, of_worker=True)
        batch.packed = jobs
        self._runs.add_packed(batch)
        if len(jobs) >= (definition.batch or 1):
            self._begin(batch)

    def begin_all(self) -> None:
        """Begin those that wait for more: none is to come."""
        for batch in list(self._open.values()):
            self._begin(batch)

    def give_back(self) -> None:
        """Let what waits in open batches wait in the queue again: nothing of it has begun."""
        for batch in list(self._open.values()):
            self._runs.unpack(batch)
            for run in list(batch.runs):
                self.leave(run)

    def leave(self, run: Run) -> None:
        """Take a run out of an open batch: to its end where it was killed, else given back."""
        assert run.batch is not None  # noqa: S101  # of an open batch
        run.batch.runs.remove(run)
        if not run.batch.runs:
            self._close(run.batch)
        if run.reason in (None, AbortReason.SHUTDOWN):
            self._settle(run, give_back(run.job, self._clock.now()))
            self._runs.changed()
        else:
            run.begun = True
            self._executor.conclude(run, Ending(error=asyncio.CancelledError()))

    def _opened(self, name: str, definition: Definition, *, of_worker: bool) -> Batch:
        batch, loop = Batch(name, definition), asyncio.get_running_loop()
        if of_worker:
            seconds = getattr(definition, "batch_seconds", 0.0)
            begin = partial(self._begin, batch)
            batch.timer = loop.call_later(seconds, begin) if seconds else loop.call_soon(begin)
            self._open[name] = batch
        return batch

    def _close(self, batch: Batch) -> None:
        """Let nothing more into a batch."""
        if batch.timer is not None:
            batch.timer.cancel()
        for name, other in list(self._open.items()):
            if other is batch:
                del self._open[name]

    def _begin(self, batch: Batch) -> None:
        self._close(batch)
        if batch.task is not None or not len(batch):
            return
        batch.task = asyncio.get_running_loop().create_task(self._execute(batch))
        batch.task.add_done_callback(partial(self._on_done, batch))
        for run in batch.runs:
            run.task = batch.task

    async def _execute(self, batch: Batch) -> None:
        """Call the handler for all that may begin, and end each."""
        current.begin(None)  # whoever calls `run_job` is another one
        if batch.packed is not None:
            if (packed := self._packed_payloads(batch, batch.packed)) is not None:
                await self._call_packed(batch, packed)
                return
            self._runs.unpack(batch)
        runs = [run for run in batch.runs if self._may_begin(run)]
        payloads = [self._payload(run) for run in runs]
        ready = [i for i, run in enumerate(runs) if not run.concluded]
        if not ready:
            return
        self._set_limit(batch)
        await self._call(batch, [runs[i] for i in ready], [payloads[i] for i in ready])

    def _packed_payloads(self, batch: Batch, jobs: Fresh) -> list[Any] | None:
        """Return what the handler gets; None where any of it is to fail by itself."""
        payloads, kind = jobs.payloads(), batch.definition.bound.payload_type
        if any(map(is_sealed, payloads)):
            return None
        if kind is None:
            return payloads
        try:
            return [kind.convert(payload) for payload in payloads]
        except BaseException:  # noqa: BLE001  # a class of the handler's own; see `_payload`
            return None

    async def _call_packed(self, batch: Batch, payloads: list[Any]) -> None:
        """Call the handler; where it has no more to say than that all is done, that is written."""
        batch.began = time.monotonic()
        try:
            returned = await self._returned(batch, (), payloads)
        except BaseException as error:  # noqa: BLE001  # what it raises is the end of each
            self._runs.unpack(batch)
            self._fail(batch.runs, error)
            return
        if batch.packed is None or returned is not None:
            self._runs.unpack(batch)
            self._end_each(batch.runs, returned)
            return
        outcome = self._finished(batch.began)
        self._runs.conclude_packed(batch)
        self._settler.add_packed(batch, outcome)
        self._runs.changed()

    def _end_each(self, runs: Sequence[Run], returned: object) -> None:
        try:
            endings = endings_of([run.job.id for run in runs], returned)
        except BaseException as error:  # noqa: BLE001  # reading it runs code of the handler's
            self._fail(runs, error)
        else:
            self._end(runs, endings)

    def _finished(self, began: float) -> Outcome:
        """Return the end of those without a result; they are written together by its identity."""
        duration = stored_duration(time.monotonic() - began)
        return Outcome(JobStatus.FINISHED, self._clock.now(), Output(duration))

    def _may_begin(self, run: Run) -> bool:
        """Begin a run; one that was asked to stop meanwhile ends here."""
        if run.concluded:
            return False
        run.begun, run.started = True, time.monotonic()
        if run.reason is not None:
            self._executor.conclude(run, Ending(error=asyncio.CancelledError()))
            return False
        payload = getattr(run.job, "payload", None)
        run.given = self._executor.given(run, payload) if payload else run.job
        if self._events.listeners.all:
            self._events.emit(Event(EventKind.STARTED, run.job.worker_id, run.job))
        return True

    def _payload(self, run: Run) -> Any:
        """Return what the handler gets; a payload that it cannot take is the end of its run."""
        payload, kind = getattr(run.given, "payload", None), run.definition.bound.payload_type
        if payload and (sealed := sealed_error(run.job)) is not None:
            self._executor.conclude(run, Ending(error=sealed))
            return None
        if kind is None:
            return payload
        try:
            return kind.convert(payload)
        except BaseException as error:  # noqa: BLE001  # a class of the handler's own
            self._executor.conclude(run, Ending(error=error))
            return None

    def _set_limit(self, batch: Batch) -> None:
        seconds = batch.definition.limit_seconds
        if seconds is None:
            return
        loop = asyncio.get_running_loop()
        for run in batch.runs:
            abort = partial(self._executor.ladder.abort, run, AbortReason.MAX_RUNTIME)
            run.arm(loop.call_later(seconds, abort))

    async def _call(self, batch: Batch, runs: Sequence[Run], payloads: list[Any]) -> None:
        """Call the handler, within the scopes of integrations, and take what it says of each."""
        entered = [self._scopes.enter(run.job) for run in runs] if self._scopes.around.all else []
        try:
            returned = await self._returned(batch, runs, payloads)
        except BaseException as error:  # noqa: BLE001  # what it raises is the end of each
            self._fail(runs, error)
        else:
            self._end_each(runs, returned)
        for each, run in zip(reversed(entered), reversed(runs), strict=True):
            each.leave(run.ends_as, run.error, run.error)

    async def _returned(self, batch: Batch, runs: Sequence[Run], payloads: list[Any]) -> Any:
        definition = batch.definition
        bound, resources = definition.bound, self._resources.value
        contexts = [await self._context(run) for run in runs] if bound.wants_context else []
        given = {
            "payloads": payloads,
            "jobs": [run.given for run in runs],
            "contexts": contexts,
            "signal": batch.controller.signal,
            "resources": resources,
        }
        keywords = {name: given[argument] for name, argument in bound.keywords}
        arguments = [given[name] for name in bound.positional]
        call: Call = partial(bound.function, *arguments, **keywords)
        if self._scopes.wrappers.all:
            call = self._scopes.wrapped(call, bound.is_async)
        if bound.is_async:
            return await call()
        answer, error = await self._executor.in_thread(runs, call)
        if error is not None:
            raise error
        return await answer if inspect.isawaitable(answer) else answer

    async def _context(self, run: Run) -> Context:
        return BatchContext.of(await self._scribe.context(run))

    def _fail(self, runs: Sequence[Run], error: BaseException) -> None:
        """End all that still go on with what their handler raised."""
        stopped = self._executor.is_cancelled_with_all(error)
        for run in runs:
            if run.reason is None and stopped:
                run.reason = AbortReason.SHUTDOWN
            if not run.concluded:
                self._executor.conclude(run, Ending(error=error))

    def _end(self, runs: Sequence[Run], endings: Sequence[object]) -> None:
        """End all that still go on with what was said of them."""
        finished = self._finished(runs[0].started)
        for run, ending in zip(runs, endings, strict=True):
            if run.concluded:
                continue
            if isinstance(ending, BaseException):
                self._executor.conclude(run, Ending(error=ending))
            elif ending is None and run.notebook is None and run.reason is None:
                self._settle(run, finished)  # most runs, which are written together by that
            else:
                self._executor.conclude(run, Ending(ending))
        self._runs.changed()

    def _settle(self, run: Run, outcome: Outcome) -> None:
        run.begun = True
        run.ends_as = outcome.status
        self._runs.conclude(run)
        run.disarm()
        self._settler.add(run, outcome)

    def _on_done(self, batch: Batch, task: asyncio.Task[None]) -> None:
        """End what is left of a batch whose task was cancelled before its first step, or failed."""
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if batch.concluded:
            return  # the settler has it
        self._runs.unpack(batch)
        for run in batch.runs:
            if not run.concluded:
                run.begun = True
                run.reason = run.reason or (AbortReason.SHUTDOWN if task.cancelled() else None)
                self._executor.conclude(run, Ending(error=error or asyncio.CancelledError()))
        batch.runs.clear()  # a cycle, which only the garbage collector would free
