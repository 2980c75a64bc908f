"""The steps of one run: what an earlier run has done is found, what is new is done and kept."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from job_processor.errors import AbortedError, DefinitionError, InvalidArgumentError, PayloadError
from job_processor.handlers.abort import AbortSignal
from job_processor.handlers.callables import never_ran
from job_processor.handlers.retries import Retry, RetryLater, Snooze, as_retry
from job_processor.handlers.steps.calls import (
    called,
    check_function,
    check_plain_function,
    to_its_end,
)
from job_processor.handlers.steps.names import Names
from job_processor.handlers.steps.sleeping import end_of_sleep, name_of_sleep
from job_processor.handlers.steps.suspension import Suspended
from job_processor.models import Job, SimpleJob, Step
from job_processor.settings import LOG_LINE_LIMIT, STEPS_BYTES, check_name
from job_processor.texts import told
from job_processor.values import copied, normalize, size_of

if TYPE_CHECKING:  # it is handed through
    from job_processor.handlers.context import Recorder

Call: TypeAlias = Callable[[], Any]


class Steps:
    """The steps of one run, which begins with those that earlier runs have done."""

    def __init__(self, job: Job, signal: AbortSignal, recorder: Recorder) -> None:
        self._job = job
        self._signal = signal
        self._recorder = recorder
        self._done = {step.name: step for step in job.steps}
        self._names = Names()
        self._bytes: int | None = None
        self._lock = threading.Lock()
        self._under_way: set[asyncio.Future[None]] = set()
        self._leaving: datetime | None = None

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
        return f"{self._job.id}:{current[1]}"

    # --- in an event loop -----------------------------------------------------------------------

    def step(
        self, name: str, function: Any, arguments: Any, keywords: Any, retry: Any
    ) -> Coroutine[Any, Any, Any]:
        """Do what `Context.step` does; its place among the steps is that of this call."""
        check_function(name, function)
        retries, numbered = as_retry(retry), self._numbered(name)
        return self._do(numbered, partial(function, *arguments, **keywords), retries)

    def sleep(
        self, name: str | None, seconds: Any, minutes: Any, hours: Any, until: Any
    ) -> Coroutine[Any, Any, None]:
        """Do what `Context.sleep` does; its place among the steps is that of this call."""
        named, end = name_of_sleep(name), end_of_sleep(seconds, minutes, hours, until)
        return self._sleep(self._numbered(named), end)

    async def _do(self, name: str, call: Call, retry: Retry | None) -> Any:
        """Return what a step returned, in this run or an earlier one."""
        done = self._found(name, sleep=False)
        if done is not None:
            return copied(done.result)
        with self._busy():
            began = self._begin()
            with self._within(name):
                result, stopped = await self._tried(name, call, retry)
            step = self._ended(name, began, result)
            stopped = await to_its_end(self._recorder.keep(step)) or stopped
        if stopped is not None:
            raise stopped
        return copied(step.result)

    async def _sleep(self, name: str, until: Callable[[datetime], datetime]) -> None:
        """Return where this sleep is over; else leave the handler, once no step is under way."""
        step = self._found(name, sleep=True)
        if step is None:
            with self._busy():
                step = self._asleep(name, until)
                stopped = await to_its_end(self._recorder.keep(step))
            if stopped is not None:
                raise stopped
        left = self._left(step)
        if left <= 0:
            return
        if self._is_waited_for:
            await self._pause(left)
            self._signal.raise_if_aborted()
            return
        while self._under_way:
            await asyncio.wait(self._under_way)
        self._leave(step)

    async def _tried(
        self, name: str, call: Call, retry: Retry | None
    ) -> tuple[Any, asyncio.CancelledError | None]:
        """Return what a step returned, and the cancellation that came while it could not stop."""
        attempt = 1
        while True:
            try:
                return await called(call)
            except Exception as error:
                pause = self._pause_after(error, name, attempt, retry)
                if pause is None or await self._pause(pause):
                    raise
            attempt += 1

    async def _pause(self, seconds: float) -> bool:
        """Pause; True, at once, when the run is to stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._signal.wait()
        except TimeoutError:
            return self._signal.aborted
        return True

    @contextmanager
    def _busy(self) -> Iterator[None]:
        """Keep a sleep beside this from leaving."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._under_way.add(ended)
        try:
            yield
        finally:
            self._under_way.discard(ended)
            ended.set_result(None)

    # --- in a thread ----------------------------------------------------------------------------

    def step_sync(self, name: str, function: Any, arguments: Any, keywords: Any, retry: Any) -> Any:
        """Do what `Context.step_sync` does."""
        check_plain_function(name, function)
        retries, numbered = as_retry(retry), self._numbered(name)
        return self._do_sync(numbered, partial(function, *arguments, **keywords), retries)

    def sleep_sync(
        self, name: str | None, seconds: Any, minutes: Any, hours: Any, until: Any
    ) -> None:
        """Do what `Context.sleep_sync` does."""
        named, end = name_of_sleep(name), end_of_sleep(seconds, minutes, hours, until)
        self._sleep_sync(self._numbered(named), end)

    def _do_sync(self, name: str, call: Call, retry: Retry | None) -> Any:
        done = self._found(name, sleep=False)
        if done is not None:
            return copied(done.result)
        began = self._begin()
        with self._within(name):
            result = self._tried_sync(name, call, retry)
        step = self._ended(name, began, result)
        self._recorder.keep_sync(step)
        return copied(step.result)

    def _sleep_sync(self, name: str, until: Callable[[datetime], datetime]) -> None:
        step = self._found(name, sleep=True)
        if step is None:
            step = self._asleep(name, until)
            self._recorder.keep_sync(step)
        left = self._left(step)
        if left <= 0:
            return
        if not self._is_waited_for:
            self._leave(step)
        self._pause_sync(left)
        self._signal.raise_if_aborted()

    def _tried_sync(self, name: str, call: Call, retry: Retry | None) -> Any:
        attempt = 1
        while True:
            try:
                return call()
            except Exception as error:
                pause = self._pause_after(error, name, attempt, retry)
                if pause is None or self._pause_sync(pause):
                    raise
            attempt += 1

    def _pause_sync(self, seconds: float) -> bool:
        aborted = threading.Event()
        forget = self._signal.on_abort(aborted.set)
        try:
            return aborted.wait(min(seconds, threading.TIMEOUT_MAX))
        finally:
            forget()

    # --- either way -----------------------------------------------------------------------------

    def _numbered(self, name: str) -> str:
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

    def _found(self, name: str, *, sleep: bool) -> Step | None:
        """Return a step that an earlier run has done.

        Raises Suspended in a handler that goes on although it has left, and InvalidArgumentError
        where the name is that of a sleep, or of none.
        """
        if self._leaving is not None:
            raise Suspended(self._leaving)
        step = self._done.get(name)
        if step is not None and (step.until is not None) is not sleep:
            kinds = ("a step", "a sleep")
            allowed = f"allowed is another name: an earlier run kept {kinds[not sleep]} under it"
            raise InvalidArgumentError("name", name, allowed)
        return step

    def _begin(self) -> datetime:
        """Return when a step begins; raises SharedDatabaseError where it could not be kept."""
        self._recorder.check_steps()
        return self._recorder.now()

    def _ended(self, name: str, began: datetime, result: Any) -> Step:
        """Return a step that has ended; raises what tells that it cannot be kept."""
        argument = f"result of the step {name!r}"
        why = never_ran(result)
        if why is not None:
            raise DefinitionError(argument, result, why)
        step = Step(name, began, self._recorder.now(), normalize(result, argument))
        self._count_bytes(step, argument)
        return step

    def _asleep(self, name: str, until: Callable[[datetime], datetime]) -> Step:
        now = self._begin()
        step = Step(name, now, now, until=until(now))
        self._count_bytes(step, f"the sleep {name!r}")
        return step

    def _count_bytes(self, step: Step, argument: str) -> None:
        with self._lock:
            if self._bytes is None:
                self._bytes = sum(map(_bytes_of, self._job.steps))
            self._bytes += (size := _bytes_of(step))
            if self._bytes <= STEPS_BYTES:
                return
            self._bytes -= size
        allowed = (
            f"allowed are at most {STEPS_BYTES:,} bytes of all steps of a job together, and with "
            f"its {size:,} it would be more: keep it elsewhere, and return where"
        )
        raise PayloadError(argument, step.result, allowed)

    def _left(self, step: Step) -> float:
        """Return the seconds that a sleep has left.

        It is over, too, where the clock has stepped back since the claim that found it over.
        """
        assert step.until is not None  # noqa: S101  # it is a sleep
        now = max(self._recorder.now(), self._job.updated_at)
        return (step.until - now).total_seconds()

    @property
    def _is_waited_for(self) -> bool:
        """True for a job of `run_job`: it is no worker's that could come back to it."""
        return isinstance(self._job, SimpleJob) and self._job.sync

    def _leave(self, step: Step) -> None:
        assert step.until is not None  # noqa: S101  # it is a sleep
        self._leaving = step.until
        self._recorder.leave(step.until)
        raise Suspended(step.until)

    def _pause_after(
        self, error: Exception, name: str, attempt: int, retry: Retry | None
    ) -> float | None:
        """Return the seconds until a step is tried again; None: its error is the handler's."""
        if retry is None or attempt >= retry.max_attempts or not retry.is_for(error):
            return None
        if isinstance(error, RetryLater | Snooze | AbortedError):  # they are about the job
            return None
        pause = retry.pause(attempt)
        line = (
            f"step {name}: attempt {attempt} failed, the next in {pause:.3g} s: {told(error, 200)}"
        )
        self._recorder.log(told(line, LOG_LINE_LIMIT))
        return pause

    @contextmanager
    def _within(self, name: str) -> Iterator[None]:
        token = _CURRENT.set((self, name))
        try:
            yield
        finally:
            with suppress(ValueError):  # it is closed from elsewhere: its loop is gone
                _CURRENT.reset(token)


_CURRENT: ContextVar[tuple[Steps, str] | None] = ContextVar("job_processor_step", default=None)
"""The step whose function calls this, and of which run."""


def _bytes_of(step: Step) -> int:
    """Return the bytes that a step takes in a job, about."""
    return size_of({"name": step.name, "result": step.result}) + 60  # its times, and their names
