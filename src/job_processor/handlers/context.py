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
    """A run, for its handler: a parameter named `context` gets it.

    `progress` and `log` may be called from anywhere, as often as one likes: they keep what they are
    given in memory and return. It is written at most once a second, and at the end.
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
        """The job as it was claimed."""
        self.signal = signal
        """Tells when to stop, and why."""
        self.state = state
        """What was saved last, by this run or, when it was interrupted, retried or its worker
        died, by the one before; None when nothing was."""
        self.parents = tuple(parents)
        """The jobs that this one came after, in the order of `after`, as they stood when it began:
        their ids, names, states and errors."""
        self._recorder = recorder
        self._resources = resources
        self._steps: Steps | None = None

    @property
    def resources(self) -> Any:
        """What the lifespan of the processor yields; raises NotSetUpError where it has none."""
        if self._resources is MISSING:
            raise NotSetUpError(f"there are no resources: {LIFESPAN_TO_WRITE}")
        return self._resources

    @property
    def attempt(self) -> int:
        """Number of this attempt, from 1."""
        return self.job.attempt

    def progress(self, fraction: float, message: str | None = None) -> None:
        """Tell how far the run has come, from 0 to 1.

        Of a message the first 200 characters are kept. Raises InvalidArgumentError.
        """
        number = isinstance(fraction, int | float) and not isinstance(fraction, bool)
        if not number or not math.isfinite(fraction) or not 0 <= fraction <= 1:
            raise InvalidArgumentError("fraction", fraction, "allowed is a number from 0 to 1")
        shown = None if message is None else told(message, MESSAGE_LIMIT)
        self._recorder.progress(float(fraction), shown)

    def log(self, text: object) -> None:
        """Add a line to the job's log, which keeps the last 100, of 500 characters each."""
        self._recorder.log(told(text, LOG_LINE_LIMIT))

    async def save(self, state: Any) -> None:
        """Keep a state for the next run, should this one be interrupted; replaces the one before.

        Returns once it is in the database, for which it waits. `state` may hold what a payload
        may. Raises PayloadError, and AbortedError when the run was taken away from this worker.
        """
        await self._recorder.save(state)
        self.state = state

    def save_sync(self, state: Any) -> None:
        """Do as `save` does, in a plain handler: return once it is in the database."""
        self._recorder.save_sync(state)
        self.state = state

    # --- what came before -----------------------------------------------------------------------

    async def results(self) -> dict[ObjectId, Any]:
        """Return the results of the jobs that this one came after, by their ids.

        Of those that have finished; of the others `parents` tells what became of them. Raises
        InvalidArgumentError where one is defined with `discard_result`.
        """
        return await self._parents().all()

    def results_sync(self) -> dict[ObjectId, Any]:
        """Do as `results` does, in a plain handler."""
        return self._parents().all_sync()

    async def result(self, parent: Job | ObjectId | str) -> Any:
        """Return the result of one of the jobs that this one came after.

        Raises JobFailed where it did not finish, with its error, JobNotFoundError where history has
        removed it, InvalidArgumentError for another job and for one with `discard_result`.
        """
        return await self._parents().one(parent)

    def result_sync(self, parent: Job | ObjectId | str) -> Any:
        """Do as `result` does, in a plain handler."""
        return self._parents().one_sync(parent)

    def _parents(self) -> ParentResults:
        from job_processor.handlers.parents import ParentResults  # noqa: PLC0415  # few have any

        return ParentResults(self.job, self._recorder)

    @property
    def group(self) -> Group:
        """The group that the job is a member of or, of a `then` or `catch`, whose end it follows.

        A member may add more to it while it runs: `await context.group.add("resize", {"id": 2})`.
        Raises JobStateError where there is none: look at `job.group` and `job.callback_of`.
        """
        group_id = self.job.group or self.job.callback_of
        if group_id is None:
            told = f"job {self.job.name!r} ({self.job.id}) is in no group, and follows none"
            raise JobStateError(f"{told}; members are added by `async with processor.group(…)`")
        return Group(group_id, self._recorder.group_work())

    @property
    def flow(self) -> RunningFlow:
        """The flow that the job belongs to; it may add more to it while it runs.

        `await context.flow.add("load", {"part": 7})`. Raises JobStateError where there is none:
        look at `job.flow`.
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
        """The idempotency key of the step whose function asks: the job's id and the step's name.

        The same in each run of the job. Raises InvalidArgumentError outside of a step.
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
        """Call a function once, however often the job is run; return its result, once it is kept.

        A run that follows gets that result without a call. Of several steps of one name, those
        after the first are numbered, in the order of the calls: `ship`, `ship:2`, `ship:3`.

        function: async, or a plain one, which runs in a thread; called with the arguments that
            follow. Its result may be what a result of a job may be.
        retry: how often, and after which pauses, it is called again here when it raises; None: what
            it raises is raised at once.

        Raises InvalidArgumentError, PayloadError when the result cannot be kept, and AbortedError
        when the run was taken away from this worker: nothing is kept then.
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
        """Do as `step` does, in a plain handler."""
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
        """Leave the handler, and its slot, until a time; the job is then run again.

        Until when is kept the first time; the run that follows goes on here once it has come, and
        finds the steps before it done. It counts as no attempt.

        name: under which it stands among the steps, "sleep" unless it is given.
        until: an aware datetime, in place of how long.

        Raises InvalidArgumentError. What leaves the handler is no Exception: let it pass.
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
        """Do as `sleep` does, in a plain handler."""
        self._of_run.sleep_sync(name, seconds, minutes, hours, until)

    def receive(self, topic: str, timeout: Duration | None = None) -> Coroutine[Any, Any, Any]:
        """Return the payload of a message that `JobProcessor.send` sends under this name.

        One that was sent before is found as well, while it is kept. Until one comes the handler is
        left, and its slot; the job is then run again, and goes on here with the steps before it
        done. What came is kept among the steps, and counts as no attempt.

        topic: 1 to 200 characters, such as "paid:42".
        timeout: seconds, counted from the first time; None: for ever, 0: what is there already.

        Returns None when none came in time. Raises InvalidArgumentError, and PayloadError when the
        steps of the job have no room for it. What leaves the handler is no Exception: let it pass.
        """
        return self._of_run.messages.receive(topic, timeout)

    def receive_sync(self, topic: str, timeout: Duration | None = None) -> Any:
        """Do as `receive` does, in a plain handler."""
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
