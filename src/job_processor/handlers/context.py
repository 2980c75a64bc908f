"""What a handler may tell and keep while it runs, and what it does once."""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, overload

from bson import ObjectId

from job_processor.errors import InvalidArgumentError, JobStateError, NotSetUpError
from job_processor.handlers.abort import AbortSignal
from job_processor.handlers.groups import Group, GroupWork
from job_processor.handlers.resources import LIFESPAN_TO_WRITE, MISSING
from job_processor.settings import LOG_LINE_LIMIT, MESSAGE_LIMIT, Duration
from job_processor.texts import told

if TYPE_CHECKING:  # it is handed through, and few handlers have steps
    from job_processor.handlers.flows import FlowWork, RunningFlow
    from job_processor.handlers.parents import ParentResult, ParentResults
    from job_processor.handlers.retries import Retry
    from job_processor.handlers.steps import Steps
    from job_processor.models import Job, Message, RelatedJob, Step

T = TypeVar("T")

_BEGINNING = threading.Lock()
"""Held while the steps of a run begin: its threads may do so at once."""


class Recorder(ABC):
    """Takes what a context is told, wherever its handler runs."""

    @abstractmethod
    def progress(self, fraction: float, message: str | None) -> None:
        """Take how far the run has come, with a message that is short enough; never blocks."""

    @abstractmethod
    def log(self, text: str) -> None:
        """Take a line, which is short enough; never blocks."""

    @abstractmethod
    async def save(self, state: Any) -> None:
        """Write a state; return once it is in the database."""

    @abstractmethod
    def save_sync(self, state: Any) -> None:
        """The same, from a thread that is not the event loop's."""

    @abstractmethod
    async def keep(self, step: Step) -> None:
        """Write a step that has ended; return once it is in the database."""

    @abstractmethod
    def keep_sync(self, step: Step) -> None:
        """The same, from a thread that is not the event loop's."""

    def group_work(self) -> GroupWork:
        """Return what a group of the run's job asks of the place that it runs in."""
        raise NotSetUpError("there are no groups here")

    def flow_work(self) -> FlowWork:
        """Return what the flow of the run's job asks of the place that it runs in."""
        raise NotSetUpError("there are no flows here")

    @abstractmethod
    def check_steps(self) -> None:
        """Raise SharedDatabaseError where the database cannot keep steps."""

    @abstractmethod
    async def results(self, job_ids: Sequence[ObjectId]) -> list[ParentResult]:
        """Return what those of these jobs left that exist."""

    @abstractmethod
    def results_sync(self, job_ids: Sequence[ObjectId]) -> list[ParentResult]:
        """The same, from a thread that is not the event loop's."""

    @abstractmethod
    async def message(self, topic: str) -> Message | None:
        """Return the message of a name; None where there is none."""

    @abstractmethod
    def message_sync(self, topic: str) -> Message | None:
        """The same, from a thread that is not the event loop's."""

    @abstractmethod
    def now(self) -> datetime:
        """Return the present, by the clock of the worker."""

    @abstractmethod
    def leave(self, until: datetime, topics: tuple[str, ...]) -> None:
        """Take that the handler leaves now, to come back then or with one of these messages.

        Never blocks.
        """


class Context:
    """The run of a job, for its handler: a parameter named `context` gets it.

    ```python
    @processor.job
    async def export(context: Context, rows: int) -> None:
        for row in range(rows):
            context.progress(row / rows)
        context.log("all rows are written")
    ```

    `progress` and `log` are cheap and may be called from any thread: they return at once, and
    values are written to the database at most once a second, and at the end.
    """

    __slots__ = ("_recorder", "_resources", "_steps", "job", "parents", "signal", "state")

    def __init__(
        self,
        job: Job,
        signal: AbortSignal,
        state: Any,
        recorder: Recorder,
        resources: Any = MISSING,
        parents: Sequence[RelatedJob] = (),
    ) -> None:
        self.job = job
        """The job as it was when this worker claimed it."""
        self.signal = signal
        """Says that the job has to stop, and why."""
        self.state = state
        """The state saved last, by this run or by an earlier one that was interrupted, crashed or
        is retried; None if none was saved.
        """
        self.parents = tuple(parents)
        """The jobs that this one runs after, in the order of `after`, as they were at its start:
        ids, names, states and errors.
        """
        self._recorder = recorder
        self._resources = resources
        self._steps: Steps | None = None

    @property
    def resources(self) -> Any:
        """The value that the lifespan yields; raises NotSetUpError without a lifespan."""
        if self._resources is MISSING:
            raise NotSetUpError(f"there are no resources: {LIFESPAN_TO_WRITE}")
        return self._resources

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self.job.attempt

    def progress(self, fraction: float, message: str | None = None) -> None:
        """Report progress, from 0 to 1, with a message.

        Only the first 200 characters of the message are kept. Raises InvalidArgumentError for
        another number.
        """
        number = isinstance(fraction, int | float) and not isinstance(fraction, bool)
        if not number or not math.isfinite(fraction) or not 0 <= fraction <= 1:
            raise InvalidArgumentError("fraction", fraction, "allowed is a number from 0 to 1")
        shown = None if message is None else told(message, MESSAGE_LIMIT)
        self._recorder.progress(float(fraction), shown)

    def log(self, text: object) -> None:
        """Add a line to the log of the job: the last 100 lines are kept, 500 characters of each."""
        self._recorder.log(told(text, LOG_LINE_LIMIT))

    async def save(self, state: Any) -> None:
        """Save a checkpoint: `context.state` of the next run, should this one be interrupted.

        state: any value that a payload may have. It replaces the state saved before.

        Returns once it is stored in the database. Raises PayloadError for a value that cannot be
        stored, and AbortedError if the job was taken from this worker.
        """
        await self._recorder.save(state)
        self.state = state

    def save_sync(self, state: Any) -> None:
        """Do as `save` does, in a sync handler."""
        self._recorder.save_sync(state)
        self.state = state

    # --- what came before -----------------------------------------------------------------------

    async def results(self) -> dict[ObjectId, Any]:
        """Return the results of the parents that have finished, by their ids.

        `parents` has the states of all parents. Raises InvalidArgumentError if a parent is defined
        with `discard_result`.
        """
        return await self._parents().all()

    def results_sync(self) -> dict[ObjectId, Any]:
        """Do as `results` does, in a sync handler."""
        return self._parents().all_sync()

    async def result(self, parent: Job | ObjectId | str) -> Any:
        """Return the result of one parent: a job that this one runs after.

        parent: the job or its id.

        Raises JobFailed, with its error, if it did not finish; JobNotFoundError if it is no longer
        in the history; InvalidArgumentError if it is not a parent or is defined with
        `discard_result`.
        """
        return await self._parents().one(parent)

    def result_sync(self, parent: Job | ObjectId | str) -> Any:
        """Do as `result` does, in a sync handler."""
        return self._parents().one_sync(parent)

    def _parents(self) -> ParentResults:
        from job_processor.handlers.parents import ParentResults  # noqa: PLC0415  # few have any

        return ParentResults(self.job, self._recorder)

    @property
    def group(self) -> Group:
        """The group of this job or, in a `then` or `catch` job, the group that has ended.

        A member may add members while it runs: `await context.group.add("resize", {"id": 2})`.
        Raises JobStateError without a group: check `job.group` and `job.callback_of` first.
        """
        group_id = self.job.group or self.job.callback_of
        if group_id is None:
            told = f"job {self.job.name!r} ({self.job.id}) is in no group, and follows none"
            raise JobStateError(f"{told}; members are added by `async with processor.group(…)`")
        return Group(group_id, self._recorder.group_work())

    @property
    def flow(self) -> RunningFlow:
        """The flow of this job, which may add more jobs while it runs.

        `await context.flow.add("load", {"part": 7})`. Raises JobStateError without a flow: check
        `job.flow` first.
        """
        job = self.job
        if job.flow is None:
            told = f"job {job.name!r} ({job.id}) is of no flow"
            raise JobStateError(f"{told}; jobs of one are added by processor.flow(…).add(…)")
        from job_processor.handlers.flows import RunningFlow  # noqa: PLC0415  # few have any

        return RunningFlow(job.flow, job.flow_name or "flow", self._recorder.flow_work())

    # --- steps ----------------------------------------------------------------------------------

    @property
    def step_key(self) -> str:
        """The idempotency key of the current step: the id of the job and the name of the step.

        It is the same in each run of the job: pass it to a remote service so that it does the work
        once. Raises InvalidArgumentError outside of a step.
        """
        return self._of_run.key

    @overload
    def step(
        self,
        name: str,
        function: Callable[..., Awaitable[T]],
        *arguments: Any,
        retry: Retry | int | None = None,
        **keywords: Any,
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def step(
        self,
        name: str,
        function: Callable[..., T],
        *arguments: Any,
        retry: Retry | int | None = None,
        **keywords: Any,
    ) -> Coroutine[Any, Any, T]: ...
    def step(
        self,
        name: str,
        function: Callable[..., Any],
        *arguments: Any,
        retry: Retry | int | None = None,
        **keywords: Any,
    ) -> Coroutine[Any, Any, Any]:
        """Call a function once per job, and return its stored result in later runs.

        A later run of the job (after a crash, a retry or a sleep) does not call it again. Steps
        with the same name are numbered in the order of the calls: `ship`, `ship:2`, `ship:3`.

        name: the name of the step.
        function: async or sync; a sync one runs in a thread. It is called with the arguments that
            follow. Its result may be any value that the result of a job may be.
        retry: a `Retry`, or the number of attempts, for errors of this function within this run;
            None: no retry.

        ```python
        charge = await context.step("charge", charge_card, order)
        ```

        Raises the errors of the function; InvalidArgumentError; PayloadError if the result cannot
        be stored; AbortedError if the job was taken from this worker: the result is not stored
        then.
        """
        return self._of_run.step(name, function, arguments, keywords, retry)

    def step_sync(
        self,
        name: str,
        function: Callable[..., T],
        *arguments: Any,
        retry: Retry | int | None = None,
        **keywords: Any,
    ) -> T:
        """Do as `step` does, in a sync handler."""
        result: T = self._of_run.step_sync(name, function, arguments, keywords, retry)
        return result

    def sleep(
        self,
        name: str | None = None,
        *,
        seconds: Duration | None = None,
        minutes: Duration | None = None,
        hours: Duration | None = None,
        until: datetime | None = None,
    ) -> Coroutine[Any, Any, None]:
        """Stop this run, free its slot, and run the job again at a later time.

        The end of the sleep is stored the first time. At that time the job runs again: its earlier
        steps are not repeated, and it continues after this line. It does not count as an attempt.

        name: of the sleep among the steps; None: "sleep".
        seconds, minutes, hours: how long; added up, each a number or a timedelta.
        until: an aware datetime instead.

        Raises InvalidArgumentError. It leaves the handler by an exception that is not an
        `Exception`: do not catch it with `except BaseException`.
        """
        return self._of_run.sleep(name, seconds, minutes, hours, until)

    def sleep_sync(
        self,
        name: str | None = None,
        *,
        seconds: Duration | None = None,
        minutes: Duration | None = None,
        hours: Duration | None = None,
        until: datetime | None = None,
    ) -> None:
        """Do as `sleep` does, in a sync handler."""
        self._of_run.sleep_sync(name, seconds, minutes, hours, until)

    def receive(self, topic: str, timeout: Duration | None = None) -> Coroutine[Any, Any, Any]:
        """Wait for a message that `JobProcessor.send` sends for this topic; return its payload.

        A message that was sent earlier and is still kept is returned at once. Otherwise the run
        stops and frees its slot. When the message arrives, the job runs again: its earlier steps
        are not repeated, and it continues here. It does not count as an attempt.

        topic: 1 to 200 characters, such as "paid:42".
        timeout: seconds, or a timedelta, from the first call; None: for ever; 0: only a message
            that was sent earlier.

        Returns None after the timeout. Raises InvalidArgumentError, and PayloadError if the steps
        of the job have no room for the message. It leaves the handler by an exception that is not
        an `Exception`: do not catch it with `except BaseException`.
        """
        return self._of_run.messages.receive(topic, timeout)

    def receive_sync(self, topic: str, timeout: Duration | None = None) -> Any:
        """Do as `receive` does, in a sync handler."""
        return self._of_run.messages.receive_sync(topic, timeout)

    @property
    def _of_run(self) -> Steps:
        """The steps of this run, from the first on."""
        with _BEGINNING:
            if self._steps is None:
                from job_processor.handlers.steps import Steps  # noqa: PLC0415  # see above

                self._steps = Steps(self.job, self.signal, self._recorder)
            return self._steps


class BatchContext(Context):
    """The context of one job of a batch, whose handler is called once for several."""

    __slots__ = ()

    @classmethod
    def of(cls, context: Context) -> BatchContext:
        """Return the context of a job that is one of several."""
        return cls(
            context.job,
            context.signal,
            context.state,
            context._recorder,  # noqa: SLF001  # of a context, too
            context._resources,  # noqa: SLF001  # the same
            context.parents,
        )

    @property
    def _of_run(self) -> Steps:
        """A step, a sleep and a message are of one run, and leave the handler."""
        told = (
            f"job {self.job.name!r} ({self.job.id}) is run in a batch, which has no steps, sleeps "
            "and messages: define a job without batch= for those"
        )
        raise JobStateError(told)
