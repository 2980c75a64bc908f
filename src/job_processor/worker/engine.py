"""The parts that run jobs in this process, alive for as long as something needs them.

`run_worker` and `run_job` share one engine, so a processor has one registration.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any, Self

from bson import ObjectId

from job_processor.errors import WorkerStateError
from job_processor.handlers.abort import AbortReason
from job_processor.models import Job, WorkerInfo
from job_processor.parts import Parts
from job_processor.settings import LEAVE_TIMEOUT
from job_processor.tasks import cancel, set_within
from job_processor.version import version
from job_processor.worker.clock_watch import ClockWatch
from job_processor.worker.executor import Executor
from job_processor.worker.gate import Gate
from job_processor.worker.hooks import Hooks
from job_processor.worker.job_log import JobLog
from job_processor.worker.kill_listener import KillListener
from job_processor.worker.lease import Lease
from job_processor.worker.loop_watch import LoopWatch
from job_processor.worker.notebook import Scribe
from job_processor.worker.reporter import Reporter
from job_processor.worker.resources import Resources
from job_processor.worker.runs import Run, Runs
from job_processor.worker.settler import RunSettlement, Settler
from job_processor.worker.stopping import Budget
from job_processor.worker.tally import Tally


class Engine:
    """Registered, beating, settling and obeying kills while anyone is inside `async with`."""

    def __init__(self, parts: Parts, resources: Resources) -> None:
        self.parts = parts
        self.resources = resources
        self.store = parts.store
        self.registry = parts.registry
        self.settings = parts.settings
        self.clock = parts.clock
        self.events = parts.events
        self.logger = parts.logger
        self.runs = Runs()
        self.gate = Gate()
        self.tally = Tally(parts.store, parts.logger, parts.registry)
        self.hooks = Hooks(parts.scopes, parts.logger, resources)
        self._job_log = JobLog(parts.logger)
        self.reporter = Reporter(parts, self.tally, self.hooks, self._job_log)
        self.settler = Settler(
            parts, self.gate, self.runs, self._report, self.reporter.count_together
        )
        self.scribe = Scribe(parts, self.gate, resources)
        self.executor = Executor(parts, self.runs, self.settler, self.scribe, resources)
        self.clock_watch = ClockWatch(parts.store, parts.clock, parts.logger)
        self.lease = Lease(
            parts,
            self._worker_info,
            self.runs,
            self.gate,
            self.executor.ladder,
            self.clock_watch,
        )
        self._kill_listener = KillListener(parts, self.runs, self.executor.ladder)
        self._users = 0
        self._unused = asyncio.Event()
        """Set while nobody is inside."""
        self._unused.set()
        self._starting = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._settling: asyncio.Task[None] | None = None
        self._died: asyncio.Future[None] | None = None
        self._loop_watch: LoopWatch | None = None

    @property
    def worker_id(self) -> ObjectId:
        """The id that this process is registered under at present."""
        return self.lease.id

    @property
    def place(self) -> str:
        """Where this process runs, as `host:pid`."""
        return self._worker_info(self.worker_id).place

    async def start(self) -> None:
        """Register and begin to work, unless another user of the engine did.

        Raises StoreUnavailableError. Each start needs its `stop`.
        """
        async with self._starting:
            if self._users == 0:
                await self._register()
                self._loop_watch = LoopWatch(self.runs, self.logger, self._look_at_runs)
                self._loop_watch.start()
                self._died = asyncio.get_running_loop().create_future()
                self._settling = self._watched("settler", self.settler.run())
                self._tasks = [
                    self._watched("scribe", self.scribe.run()),
                    self._watched("tally", self.tally.run()),
                    self._watched("kill listener", self._kill_listener.run()),
                ]
            self._users += 1
            self._unused.clear()

    async def stop(self, within: float = LEAVE_TIMEOUT) -> None:
        """Unregister and end, unless another user of the engine needs it on.

        within: seconds after which it ends all the same.
        """
        async with self._starting:
            self._users -= 1
            if self._users == 0:
                try:
                    await self._stop(within)
                finally:
                    self._unused.set()

    def settle_on(self) -> None:
        """Begin to settle again where that has ended: it died, or its program cancelled all tasks.

        For whoever stops, and has ends to write.
        """
        settling = self._settling
        if settling is not None and (settling.done() or settling.cancelling()):
            self._settling = self._watched("settler", self.settler.run())

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def finish(self, run: Run) -> Job | None:
        """Return the job as the run wrote it; None when it was taken away.

        Cancelling this interrupts the run and waits for its end. Raises WorkerStateError.
        """
        assert run.done is not None  # noqa: S101  # run_job sets it
        assert self._died is not None  # noqa: S101  # only called between start and stop
        try:
            ends: list[asyncio.Future[Any]] = [run.done, self._died]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self.interrupt(run)
            raise
        if self._died.done():
            self._died.result()
        return run.done.result()

    async def interrupt(self, run: Run) -> None:
        """End a run of `run_job` by force, and wait for its end, but not longer than a stop."""
        assert run.done is not None  # noqa: S101  # run_job sets it
        budget = Budget.forced(self.settings)
        self.executor.ladder.abort(run, AbortReason.SHUTDOWN, grace=0)
        self.settle_on()
        await asyncio.wait([run.done], timeout=budget.for_runs)
        if not run.done.done():
            self.executor.ladder.give_up(run)
            await asyncio.wait([run.done], timeout=budget.for_writes)

    async def died(self) -> None:
        """Raise WorkerStateError as soon as one of the engine's background tasks has died."""
        assert self._died is not None  # noqa: S101  # only called inside `async with`
        await asyncio.shield(self._died)

    async def end(self) -> None:
        """Interrupt what `run_job` runs, and give the threads back: the processor is closed."""
        await asyncio.gather(*(self.interrupt(run) for run in self.runs if not run.of_worker))
        await set_within(self._unused, LEAVE_TIMEOUT)
        self.close()

    def close(self) -> None:
        """Give the threads back."""
        self.executor.close()
        self.hooks.close()

    async def _register(self) -> None:
        try:
            await self.lease.register()
        except asyncio.CancelledError:  # it may have happened all the same
            await self._leave(1.0)
            raise

    async def _stop(self, within: float) -> None:
        deadline = time.monotonic() + within
        left = partial(_until, deadline)
        await self.hooks.stop(left())
        if self._loop_watch is not None:
            await self._loop_watch.stop(left())
        tasks, self._tasks = self._tasks, []
        if self._settling is not None:
            tasks.append(self._settling)
            self._settling = None
        await cancel(tasks, left())
        if self._died is not None and self._died.done():
            self._died.exception()  # it was reported; without a look it would be logged again
        await self._leave(left())
        with contextlib.suppress(TimeoutError):  # for charts only
            async with asyncio.timeout(left()):
                await self.tally.flush()
        self.settler.forget()
        self.runs.forget()

    async def _leave(self, within: float) -> None:
        """Take the registration away, for others to know that what ran here does not."""
        try:  # a job that others may take up may still be run by a thread of this process
            await self.lease.leave(unregister=not self.runs.left_running, within=within)
        except Exception as error:  # noqa: BLE001  # whatever it is, the process is to end
            why = str(error) or f"no answer within {within:.1f} s"
            self.logger.warning("could not unregister (%s); the registration times out", why)

    def _watched(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._died is None or self._died.done():
            return
        error = task.exception()
        self.logger.critical("the %s died", task.get_name(), exc_info=error)
        failure = WorkerStateError(f"the {task.get_name()} died: {error!r}")
        failure.__cause__ = error
        self._died.set_exception(failure)

    async def _report(self, settled: Sequence[RunSettlement]) -> None:
        heard = self.reporter.count_unheard(settled)
        if not heard:
            return
        reported = [
            (each.run.definition, each.run.job, each.written(), each.run.error) for each in heard
        ]
        await self.reporter.report(reported, self.worker_id)
        for each in heard:
            each.run.error = None  # its traceback holds the run, which holds it

    def _look_at_runs(self) -> None:
        self._job_log.look(self.runs)

    def _worker_info(self, worker_id: ObjectId) -> WorkerInfo:
        settings, now = self.settings, self.clock.now()
        return WorkerInfo(
            id=worker_id,
            hostname=socket.gethostname(),
            last_seen=now,
            tags=settings.worker_tags,
            timeout_s=settings.worker_timeout,
            service=settings.service,
            names=tuple(name for name, _ in self.registry),
            limits=tuple(name for name, _ in self.registry if self.registry.limited(name)),
            rates=tuple(name for name, _ in self.registry if self.registry.keyed_rate(name)),
            crons={
                name: cron.fingerprint(settings.timezone)
                for name, cron in self.registry.crons.items()
            },
            pid=os.getpid(),
            version=version(),
            concurrency=settings.concurrency,
            started_at=now,
            clock_ahead=self.clock_watch.ahead,
        )


def _until(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.0)
