"""What the steps of one run have in common: their names, what is found done, and how it is left."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING

from job_processor.clock import LAST_MOMENT
from job_processor.errors import InvalidArgumentError, PayloadError
from job_processor.handlers.abort import AbortSignal
from job_processor.handlers.steps.names import Names
from job_processor.handlers.steps.suspension import Suspended, together
from job_processor.models import Job, SimpleJob, Step
from job_processor.settings import STEPS_BYTES, check_name
from job_processor.values import size_of

if TYPE_CHECKING:  # it is handed through
    from job_processor.handlers.context import Recorder


class Ledger:
    """The steps of one run, which begins with those that earlier runs have done."""

    def __init__(self, job: Job, signal: AbortSignal, recorder: Recorder) -> None:
        self.job = job
        self.signal = signal
        self.recorder = recorder
        self._done = {step.name: step for step in job.steps}
        self._names = Names()
        self._bytes: int | None = None
        self._lock = threading.Lock()
        self._under_way: set[asyncio.Future[None]] = set()
        self._pending: dict[str, Suspended] = {}
        """The sleeps and waits of this run that are not over, by the names of their steps."""
        self._leaving: Suspended | None = None

    # --- what is done, and what is to be kept ---------------------------------------------------

    @property
    def key(self) -> str:
        """The idempotency key of the step that is being done: the job's id and the step's name.

        Raises InvalidArgumentError outside of one.
        """
        current = _CURRENT.get()
        if current is None or current[0] is not self:
            allowed = (
                "allowed is to ask for it in the function of a step: "
                'await context.step("charge", lambda: charge(amount, context.step_key))'
            )
            raise InvalidArgumentError("step_key", None, allowed)
        return f"{self.job.id}:{current[1]}"

    def numbered(self, name: str) -> str:
        """Return the name of the step that comes next; the second of a name has a number.

        Raises InvalidArgumentError for what is no name, and for a step within a step.
        """
        check_name("name", name)
        current = _CURRENT.get()
        if current is not None and current[0] is self:
            allowed = (
                f"allowed is a step of the handler; the step {current[1]!r} is not done yet, and "
                "runs again as a whole: call this one after it"
            )
            raise InvalidArgumentError("name", name, allowed)
        return self._names.numbered(name)

    def found(self, name: str, *, sleep: bool = False, topic: str | None = None) -> Step | None:
        """Return a step that an earlier run has done: a sleep, a wait for a message, or neither.

        Raises Suspended in a handler that goes on although it has left, and InvalidArgumentError
        where the name is that of something else.
        """
        if self._leaving is not None:
            raise self._leaving
        step = self._done.get(name)
        if step is not None and (step.is_sleep, step.topic) != (sleep, topic):
            allowed = f"allowed is another name: an earlier run kept {_kind(step)} under it"
            raise InvalidArgumentError("name", name, allowed)
        return step

    def begin(self) -> datetime:
        """Return when a step begins; raises SharedDatabaseError where it could not be kept."""
        self.recorder.check_steps()
        return self.recorder.now()

    def count_bytes(self, step: Step, argument: str) -> None:
        """Raise PayloadError for a step with which a job would have too much to keep."""
        with self._lock:
            if self._bytes is None:
                self._bytes = sum(map(_bytes_of, self.job.steps))
            self._bytes += (size := _bytes_of(step))
            if self._bytes <= STEPS_BYTES:
                return
            self._bytes -= size
        allowed = (
            f"allowed are at most {STEPS_BYTES:,} bytes of all steps of a job together, and with "
            f"its {size:,} it would be more: keep it elsewhere, and return where"
        )
        raise PayloadError(argument, step.result, allowed)

    @contextmanager
    def within(self, name: str) -> Iterator[None]:
        """Be in a step: its function may ask for its key, and begins no other."""
        token = _CURRENT.set((self, name))
        try:
            yield
        finally:
            with suppress(ValueError):  # it is closed from elsewhere: its loop is gone
                _CURRENT.reset(token)

    # --- pauses and leaving ---------------------------------------------------------------------

    @property
    def is_waited_for(self) -> bool:
        """True for a job of `run_job`: it is no worker's that could come back to it."""
        return isinstance(self.job, SimpleJob) and self.job.sync

    def left(self, step: Step) -> float:
        """Return the seconds that a sleep, or a wait, has left.

        It is over, too, where the clock has stepped back since the claim that found it over.
        """
        if step.until is None:
            return inf
        now = max(self.recorder.now(), self.job.updated_at)
        return (step.until - now).total_seconds()

    async def pause(self, seconds: float) -> bool:
        """Pause; True, at once, when the run is to stop."""
        try:
            async with asyncio.timeout(seconds):
                await self.signal.wait()
        except TimeoutError:
            return self.signal.aborted
        return True

    def pause_sync(self, seconds: float) -> bool:
        """Do as `pause` does, in a thread."""
        aborted = threading.Event()
        forget = self.signal.on_abort(aborted.set)
        try:
            return aborted.wait(min(seconds, threading.TIMEOUT_MAX))
        finally:
            forget()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Keep a sleep beside this from leaving."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._under_way.add(ended)
        try:
            yield
        finally:
            self._under_way.discard(ended)
            ended.set_result(None)

    def suspend(self, step: Step) -> None:
        """Note that a sleep or a wait is not over: what leaves next comes back for it, too."""
        topics = () if step.topic is None else (step.topic,)
        self._pending[step.name] = Suspended(step.until or LAST_MOMENT, topics)

    async def leave(self) -> None:
        """Leave the handler, once no step is under way: raise Suspended."""
        while self._under_way:
            await asyncio.wait(self._under_way)
        self.leave_sync()

    def leave_sync(self) -> None:
        """Leave the handler now: raise Suspended."""
        self._leaving = self._leaving or together(self._pending.values())
        self.recorder.leave(self._leaving.until, self._leaving.topics)
        raise self._leaving


_CURRENT: ContextVar[tuple[Ledger, str] | None] = ContextVar("job_processor_step", default=None)
"""The step whose function calls this, and of which run."""


def _kind(step: Step) -> str:
    if step.topic is not None:
        return f"the message {step.topic}"
    return "a sleep" if step.is_sleep else "a step"


def _bytes_of(step: Step) -> int:
    """Return the bytes that a step takes in a job, about."""
    return size_of({"name": step.name, "result": step.result}) + 60  # its times, and their names
