"""Collects what the handlers of this process tell, and writes it at most once a second."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from bson import ObjectId

from job_processor.errors import AbortedError, NotSetUpError
from job_processor.events import Event, EventKind
from job_processor.handlers.abort import AbortReason
from job_processor.handlers.context import Context, Recorder
from job_processor.handlers.definitions import JobDef
from job_processor.handlers.parents import ParentResult
from job_processor.handlers.steps import Suspended
from job_processor.jobs.flows import FlowDesk
from job_processor.jobs.groups import GroupDesk
from job_processor.models import (
    Job,
    LogLine,
    Message,
    Notes,
    Output,
    Progress,
    RelatedJob,
    Step,
    with_step,
)
from job_processor.parts import Parts
from job_processor.settings import LOG_LINES, NOTES_INTERVAL
from job_processor.store.refusals import refuse
from job_processor.tasks import Trouble, is_of_input, persist
from job_processor.values import normalize
from job_processor.worker.gate import Gate
from job_processor.worker.resources import Resources
from job_processor.worker.runs import Run


class Scribe:
    """Gives runs their notebooks, and writes what is in them."""

    def __init__(self, parts: Parts, gate: Gate, resources: Resources) -> None:
        self.parts = parts
        self.store = parts.store
        self.registry = parts.registry
        self.gate = gate
        self._events = parts.events
        self._resources = resources
        self.clock = parts.clock
        self.logger = parts.logger
        self._changed: set[Notebook] = set()
        self._trouble = Trouble(parts.logger, "progress and logs")
        self._wake = asyncio.Event()

    async def context(self, run: Run) -> Context:
        """Return the context of a run that begins, with the state that an earlier one saved."""
        notebook = Notebook(self, run, asyncio.get_running_loop())
        run.notebook = notebook
        state = None
        if run.job.ran_before:
            read = partial(self.store.runs.state, run.job.id)
            state = await persist(read, self.logger, "saved state")
        notebook.parents = await self._parents(run.job)
        resources = self._resources.value
        return Context(
            run.given, run.controller.signal, state, notebook, resources, notebook.parents
        )

    async def _parents(self, job: Job) -> tuple[RelatedJob, ...]:
        """Return how the jobs stand that a job came after, in the order in which it names them."""
        if not job.parents:
            return ()
        read = partial(self.store.waits.parents, job.parents)
        found = {each.id: each for each in await persist(read, self.logger, "parents")}
        return tuple(found[job_id] for job_id in job.parents if job_id in found)

    def touch(self, notebook: Notebook) -> None:
        """Write a notebook soon."""
        self._changed.add(notebook)
        self._wake.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            changed, self._changed = self._changed, set()
            together = [each for each in changed if not each.alone]
            for part in (together, *([each] for each in changed if each.alone)):
                await self._write_or_put_back(part)
            await asyncio.sleep(NOTES_INTERVAL)

    async def _write_or_put_back(self, notebooks: list[Notebook]) -> None:
        """Write notes together; what fails by no error of the database is then written alone.

        What fails alone is dropped until its run tells more, or ends: its notes go with its end.
        """
        try:
            await self._write(notebooks)
        except NotSetUpError:
            raise
        except Exception as error:  # noqa: BLE001  # it is logged, and ends nothing
            by_itself = is_of_input(error)
            if by_itself and len(notebooks) == 1:
                job = notebooks[0].run.job
                self.logger.warning("job %r (%s): what it told is not written", job.name, job.id)
            else:
                for notebook in notebooks:
                    notebook.alone = by_itself
                self._changed.update(notebooks)
                self._wake.set()
            await asyncio.sleep(self._trouble.meet(error))
        else:
            for notebook in notebooks:
                notebook.alone = False
            self._trouble.end()

    async def _write(self, notebooks: Iterable[Notebook]) -> None:
        """Write the notes of runs that go on; those of a run that has ended go with its end."""
        noted = [(each.run.job, each.turn()) for each in notebooks if not each.run.concluded]
        refused = await self.store.runs.save_notes(noted)
        for why in set(refused.values()):  # told once a batch, and not again before they tell more
            self.logger.warning("progress and logs cannot be written: %s", why)
        if self._events.listeners.all:
            for job, notes in noted:
                told = replace(job, notes=notes)
                self._events.emit(Event(EventKind.PROGRESSED, job.worker_id, told))


class Notebook(Recorder):
    """What one run has told. Everything but `save` and `keep` may be called from any thread."""

    def __init__(self, scribe: Scribe, run: Run, loop: asyncio.AbstractEventLoop) -> None:
        self.run = run
        self._scribe = scribe
        self._loop = loop
        before = run.job.notes or Notes()
        self._progress = before.progress
        self._log = deque(before.log, maxlen=LOG_LINES)
        self._unwritten = False
        self.alone = False
        """True once it failed together with others, and may be why."""
        self.parents: tuple[RelatedJob, ...] = ()
        """How the jobs stood that its own came after, as it began."""
        self.left: Suspended | None = None
        """For what its handler sleeps or waits, once it was told to leave."""

    def progress(self, fraction: float, message: str | None) -> None:
        """Take how far the run has come."""
        self._progress = Progress(fraction, message, self._scribe.clock.now())
        self._touch()

    def log(self, text: str) -> None:
        """Take a line."""
        self._log.append(LogLine(self._scribe.clock.now(), text))
        self._touch()

    def take(self, progress: Progress | None, lines: Iterable[LogLine]) -> None:
        """Take what a handler in another process has told; from the event loop's thread."""
        self._progress = progress or self._progress
        self._log.extend(lines)
        self._touch()

    def turn(self) -> Notes:
        """Return what is told so far; the next thing told makes it worth writing again."""
        self._unwritten = False
        return self.notes()

    def news(self) -> Notes | None:
        """Return what is told so far; None when it is what the job had when it was claimed."""
        notes = self.notes()
        return None if notes == (self.run.job.notes or Notes()) else notes

    def notes(self) -> Notes:
        """Return what is told so far."""
        while True:
            try:
                return Notes(self._progress, tuple(self._log))
            except RuntimeError:  # another thread has added a line
                continue

    async def save(self, state: Any) -> None:
        """Write a state; return once it is in the database."""
        plain = normalize(state, "state")

        runs = self._scribe.store.runs
        await self._write(lambda: runs.save_state(self.run.job, plain), "saved state")

    def save_sync(self, state: Any) -> None:
        """Write a state from another thread."""
        asyncio.run_coroutine_threadsafe(self.save(state), self._loop).result()

    async def keep(self, step: Step) -> None:
        """Write a step; return once it is in the database, and in the job of the run."""
        runs = self._scribe.store.runs
        await self._write(lambda: runs.save_step(self.run.job, step), "step")
        self.run.job = replace(self.run.job, steps=with_step(self.run.job.steps, step))

    def keep_sync(self, step: Step) -> None:
        """Write a step from another thread."""
        asyncio.run_coroutine_threadsafe(self.keep(step), self._loop).result()

    async def _write(self, write: Callable[[], Awaitable[bool]], what: str) -> None:
        """Write what the run keeps, as soon as the database takes it.

        Raises AbortedError where the run was taken away.
        """

        async def write_as_ours() -> bool:
            async with self._scribe.gate.shared():
                return await write()

        if self.run.concluded or not await persist(write_as_ours, self._scribe.logger, what):
            raise AbortedError(AbortReason.LOST)
        self.run.cleared = True

    def group_work(self) -> GroupDesk:
        """Return what a group asks of the database; its member may add while its run is ours."""
        run = self.run
        may_add = run.job.group is not None
        return GroupDesk(self._scribe.parts, lambda: may_add and not run.concluded, self._loop)

    def flow_work(self) -> FlowDesk:
        """Return what a flow asks of the database; its job may add while its run is ours."""
        run = self.run
        return FlowDesk(self._scribe.parts, run.job, lambda: not run.concluded, self._loop)

    def check_steps(self) -> None:
        """Raise SharedDatabaseError where the Node package's validator refuses steps."""
        node = self._scribe.store.node_side()
        if node is not None and node.refuses_own_fields:
            refuse("step", self.run.job.name, "step")

    async def results(self, job_ids: Sequence[ObjectId]) -> list[ParentResult]:
        """Return what jobs left, as soon as the database tells."""
        read = partial(self._scribe.store.history.get_many, job_ids)
        jobs = await persist(read, self._scribe.logger, "results")
        return [self._result_of(job) for job in jobs]

    def results_sync(self, job_ids: Sequence[ObjectId]) -> list[ParentResult]:
        """Return what jobs left to another thread."""
        return asyncio.run_coroutine_threadsafe(self.results(job_ids), self._loop).result()

    def _result_of(self, job: Job) -> ParentResult:
        definition = self._scribe.registry.get(job.name)
        is_kept = not isinstance(definition, JobDef) or not definition.discard_result
        output = job.output or Output("--")
        return ParentResult(job.id, job.name, job.status, output.error, output.result, is_kept)

    async def message(self, topic: str) -> Message | None:
        """Return the message of a name, as soon as the database tells."""
        messages, logger = self._scribe.store.messages, self._scribe.logger
        found = await persist(lambda: messages.find([topic], self.now()), logger, "message")
        return found.get(topic)

    def message_sync(self, topic: str) -> Message | None:
        """Return the message of a name to another thread."""
        return asyncio.run_coroutine_threadsafe(self.message(topic), self._loop).result()

    def now(self) -> datetime:
        """Return the present, by the clock of the worker."""
        return self._scribe.clock.now()

    def leave(self, until: datetime, topics: tuple[str, ...]) -> None:
        """Take that the handler leaves now, to come back then or with one of these messages."""
        self.left = Suspended(until, topics)

    def _touch(self) -> None:
        if not self._unwritten:
            self._unwritten = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: a thread outlives its run
                self._loop.call_soon_threadsafe(self._scribe.touch, self)
