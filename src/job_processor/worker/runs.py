"""The runs that a process holds, from the claim to the confirmed settlement."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from bson import ObjectId

from job_processor.handlers.abort import AbortController, AbortReason
from job_processor.handlers.definitions import Definition
from job_processor.listeners import Listeners
from job_processor.models import Job, JobStatus
from job_processor.settings import SETTLE_BATCH
from job_processor.store.fresh import Fresh

if TYPE_CHECKING:  # a notebook is of a run
    from job_processor.worker.batch import Batch
    from job_processor.worker.notebook import Notebook


class Run:
    """One run of a job by this process.

    What is not so yet stands with the class: one is made for each job, and most have little to say.
    """

    given: Job
    """The job for its handler, which may change the payload that it is given; from its begin on."""
    reason: AbortReason | None = None
    """Why it was asked to stop; a kill or a max runtime overrides a shutdown."""
    ends_as: JobStatus | None = None
    """The state that its outcome writes; None while it has none, or nothing is written."""
    error: BaseException | None = None
    """What its handler raised, where that is why it failed, until it is reported."""
    begun: bool = False
    concluded: bool = False
    """True once its outcome is decided: nothing may change it any more."""
    handed_over: bool = False
    """True once the settler has its outcome, or knows that it has none."""
    abandoned: bool = False
    """True when it was settled without its handler, which would not stop."""
    cleared: bool = False
    """True once it saved a state: what crashed it before is behind it."""
    task: asyncio.Task[None] | None = None
    thread: concurrent.futures.Future[Any] | None = None
    thread_id: int | None = None
    notebook: Notebook | None = None
    """What its handler tells, where it has a context."""
    batch: Batch | None = None
    """Those that one call of its handler is for, where that takes several."""
    timers: tuple[asyncio.TimerHandle, ...] = ()
    done: asyncio.Future[Job | None] | None = None
    """Resolved with the job as this run wrote it (None: it was taken away), for `run_job`."""

    def __init__(self, job: Job, definition: Definition, *, of_worker: bool) -> None:
        self.job = job
        self.definition = definition
        self.of_worker = of_worker
        """False for `run_job`, which a worker's shutdown leaves alone."""
        self.started = time.monotonic()

    @cached_property
    def controller(self) -> AbortController:
        """Sets off the signal of its handler."""
        return AbortController()

    @property
    def is_direct(self) -> bool:
        """True for an asynchronous handler that nothing stands around, and that runs here."""
        definition = self.definition
        is_here = definition.bound.is_async and definition.executor != "process"
        return is_here and not definition.bound.wants_context and not definition.arounds

    @property
    def is_suspect(self) -> bool:
        """True while it runs apart from others of its kind: it took a worker down before."""
        return self.job.crashes > 0 and not self.concluded and not self.cleared

    @property
    def has_living_thread(self) -> bool:
        """True while a plain handler occupies its thread."""
        return self.thread is not None and not self.thread.done()

    @property
    def lives_on(self) -> bool:
        """True while a handler goes on that would not stop: its job must not run beside it.

        A thread, or a task that swallows its cancellation.
        """
        task_lives = self.abandoned and self.task is not None and not self.task.done()
        return task_lives or self.has_living_thread

    def arm(self, timer: asyncio.TimerHandle) -> None:
        """Take over a timer, of its abort ladder or its max runtime."""
        self.timers += (timer,)

    def disarm(self) -> None:
        """Stop its timers."""
        for timer in self.timers:
            timer.cancel()
        self.timers = ()


class Held(NamedTuple):
    """What is told of a run without its being made."""

    id: ObjectId
    name: str
    definition: Definition
    concluded: bool


class Runs:
    """The table of this process's runs, by job id."""

    def __init__(self) -> None:
        self._runs: dict[ObjectId, Run] = {}
        self._packed: list[Batch] = []
        """Batches of which nobody has asked for a run yet, so that there is none."""
        self._of_worker = 0
        self._active = 0
        self._shared = 0
        """Active ones that need no slot: another one of their batch has it."""
        self._listeners: Listeners[Callable[[], object]] = Listeners()
        self.on_begun: Callable[[], object] = lambda: None
        """Called with each run that is held from now on."""
        self.held: set[ObjectId] = set()
        """Jobs that must not be claimed again yet: a settlement that would make them claimable is
        not confirmed, they were taken away while their handlers run, or a handler lives on."""
        self.left_running: set[ObjectId] = set()
        """Resumable jobs that a shutdown left `running`, for the rescue, since their handlers live
        on, it may be until this process ends."""

    def __len__(self) -> int:
        return len(self._runs) + sum(map(len, self._packed))

    def __iter__(self) -> Iterator[Run]:
        for batch in list(self._packed):
            self.unpack(batch)
        return iter(list(self._runs.values()))

    def __contains__(self, job_id: ObjectId) -> bool:
        return job_id in self._runs or self._batch_of(job_id) is not None

    @property
    def of_worker(self) -> int:
        """How many of the worker's runs it holds, those whose end is not yet confirmed too."""
        return self._of_worker

    def free_slots(self, concurrency: int) -> int:
        """Return how many runs the worker may begin.

        A slot is free when its handler has ended, while that end is being written; but no more
        than `SETTLE_BATCH` ends may wait to be written. A batch has one slot.
        """
        unwritten = self._of_worker - self._active
        active = self._active - self._shared
        return min(concurrency - active, concurrency + SETTLE_BATCH - unwritten)

    def ids(self) -> list[ObjectId]:
        """Return the ids of all held jobs."""
        return [held.id for held in self.held_jobs()]

    def held_jobs(self) -> list[Held]:
        """Return what is held, and make no run for that; other threads may ask."""
        found = [
            Held(run.job.id, run.job.name, run.definition, run.concluded)
            for run in list(self._runs.values())
        ]
        for batch in list(self._packed):
            ids = [] if (fresh := batch.packed) is None else fresh.ids()
            name, concluded = batch.name, batch.concluded
            found += [Held(job_id, name, batch.definition, concluded) for job_id in ids]
        return found

    def get(self, job_id: ObjectId) -> Run | None:
        """Return the run of a job, None when this process holds none."""
        run = self._runs.get(job_id)
        if run is not None or not self._packed:  # this is asked of each job that is claimed
            return run
        if (batch := self._batch_of(job_id)) is None:
            return None
        self.unpack(batch)
        return self._runs[job_id]

    def _batch_of(self, job_id: ObjectId) -> Batch | None:
        """Return the batch that has a job and no runs yet."""
        for batch in self._packed:
            if batch.packed is not None and job_id.binary in batch.packed.key_set:
                return batch
        return None

    def holds_any(self, fresh: Fresh) -> bool:
        """True where one of these jobs is held, or must not be claimed again yet."""
        keys = fresh.key_set
        packed = [batch.packed.key_set for batch in self._packed if batch.packed is not None]
        if not all(map(keys.isdisjoint, packed)):
            return True
        return any(job_id.binary in keys for job_id in (*self._runs, *self.held))

    @property
    def has_suspect(self) -> bool:
        """True while one runs that took a worker down before."""
        return any(run.is_suspect for run in self._runs.values())

    def add(self, run: Run) -> None:
        """Hold a run. Raises ValueError when one of its job is held already."""
        if self._packed:
            self.get(run.job.id)
        if self._runs.setdefault(run.job.id, run) is not run:
            raise ValueError(f"job {run.job.id} is being run by this process already")
        self.on_begun()
        self._of_worker += run.of_worker
        self._active += run.of_worker
        if run.batch is not None and run.of_worker:
            self._shared += run.batch.active > 0
            run.batch.active += 1

    def conclude(self, run: Run) -> None:
        """Free the slot of a run whose outcome is decided, or that has none to decide."""
        run.concluded = True
        self._active -= run.of_worker
        if run.batch is not None and run.of_worker:
            run.batch.active -= 1
            self._shared -= run.batch.active > 0

    def add_packed(self, batch: Batch) -> None:
        """Hold the runs of a batch, which are made once somebody asks for one of them.

        None of its jobs may be held already.
        """
        self._packed.append(batch)
        self.on_begun()
        count = batch.active = len(batch)
        self._of_worker += count
        self._active += count
        self._shared += count - 1

    def conclude_packed(self, batch: Batch) -> None:
        """Free the slot of a batch of which no run was asked for, and whose outcome is decided."""
        batch.concluded = True
        self._active -= batch.active
        self._shared -= batch.active - 1
        batch.active = 0

    def remove_packed(self, batch: Batch) -> None:
        """Let a batch go of which no run was asked for, after its settlement is confirmed."""
        self._packed.remove(batch)
        self._of_worker -= len(batch)
        self.changed()

    def unpack(self, batch: Batch) -> None:
        """Make the runs of a batch: from now on each is one like any other."""
        if batch.packed is not None:
            self._packed.remove(batch)
            self._runs.update((run.job.id, run) for run in batch.unpack())

    def remove(self, *runs: Run) -> None:
        """Let runs go, after their settlement is confirmed or they were taken away."""
        for run in runs:
            removed = self._runs.pop(run.job.id, None)
            if removed is run:
                self._of_worker -= run.of_worker
            elif removed is not None:
                self._runs[run.job.id] = removed
        self.changed()

    def release(self, run: Run) -> None:
        """Let a job be claimed again, once its run is let go and its handler has ended."""
        if self.held and run.job.id not in self._runs and not run.lives_on:
            self.held.discard(run.job.id)

    def forget(self) -> None:
        """Let all runs go when the process leaves: what is not settled is left to the rescue.

        A job whose handler still runs stays held.
        """
        gone = list(self)
        for run in gone:
            if not run.concluded:
                run.abandoned = True
                self.conclude(run)
        self.remove(*gone)
        for run in gone:
            self.release(run)

    def changed(self) -> None:
        """Tell the listeners that a run was let go, or that its outcome is decided."""
        for listener in self._listeners.all:
            listener()

    def on_changed(self, listener: Callable[[], object]) -> Callable[[], None]:
        """Call `listener` at each such change; returns a function that ends it."""
        return self._listeners.add(listener)

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Return when `condition`, looked at after each change, holds."""
        changed = asyncio.Event()
        forget = self.on_changed(changed.set)
        try:
            while not condition():
                changed.clear()
                await changed.wait()
        finally:
            forget()
