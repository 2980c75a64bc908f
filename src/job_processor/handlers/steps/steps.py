"""The steps of one run: what an earlier run has done is found, what is new is done and kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from job_processor.errors import AbortedError, DefinitionError
from job_processor.handlers.abort import AbortSignal
from job_processor.handlers.callables import never_ran
from job_processor.handlers.retries import Retry, RetryLater, Snooze, as_retry
from job_processor.handlers.steps.calls import (
    called,
    check_function,
    check_loop,
    check_no_loop,
    check_plain_function,
    to_its_end,
)
from job_processor.handlers.steps.ledger import Ledger
from job_processor.handlers.steps.receiving import Receiving
from job_processor.handlers.steps.sleeping import end_of_sleep, name_of_sleep
from job_processor.models import Job, Step
from job_processor.settings import LOG_LINE_LIMIT
from job_processor.texts import told
from job_processor.values import copied, normalize

if TYPE_CHECKING:  # it is handed through
    from job_processor.handlers.context import Recorder

Call: TypeAlias = Callable[[], Any]


class Steps:
    """The steps of one run, its sleeps, and its waits for messages."""

    def __init__(self, job: Job, signal: AbortSignal, recorder: Recorder) -> None:
        self._ledger = Ledger(job, signal, recorder)
        self._recorder = recorder
        self.messages = Receiving(self._ledger)

    @property
    def key(self) -> str:
        """The idempotency key of the step that is being done, see `Ledger.key`."""
        return self._ledger.key

    # --- in an event loop -----------------------------------------------------------------------

    def step(
        self, name: str, function: Any, arguments: Any, keywords: Any, retry: Any
    ) -> Coroutine[Any, Any, Any]:
        """Do what `Context.step` does; its place among the steps is that of this call."""
        check_function(name, function)
        retries, numbered = as_retry(retry), self._ledger.numbered(name)
        return self._do(numbered, partial(function, *arguments, **keywords), retries)

    def sleep(
        self, name: str | None, seconds: Any, minutes: Any, hours: Any, until: Any
    ) -> Coroutine[Any, Any, None]:
        """Do what `Context.sleep` does; its place among the steps is that of this call."""
        named, end = name_of_sleep(name), end_of_sleep(seconds, minutes, hours, until)
        check_loop("name", name, "sleep")
        return self._sleep(self._ledger.numbered(named), end)

    async def _do(self, name: str, call: Call, retry: Retry | None) -> Any:
        """Return what a step returned, in this run or an earlier one."""
        done = self._ledger.found(name)
        if done is not None:
            return copied(done.result)
        with self._ledger.busy():
            began = self._ledger.begin()
            with self._ledger.within(name):
                result, stopped = await self._tried(name, call, retry)
            step = self._ended(name, began, result)
            stopped = await to_its_end(self._recorder.keep(step)) or stopped
        if stopped is not None:
            raise stopped
        return copied(step.result)

    async def _sleep(self, name: str, until: Callable[[datetime], datetime]) -> None:
        """Return where this sleep is over; else leave the handler, once no step is under way."""
        step = self._ledger.found(name, sleep=True)
        if step is None:
            with self._ledger.busy():
                step = self._asleep(name, until)
                stopped = await to_its_end(self._recorder.keep(step))
            if stopped is not None:
                raise stopped
        left = self._ledger.left(step)
        if left <= 0:
            return
        if self._ledger.is_waited_for:
            await self._ledger.pause(left)
            self._ledger.signal.raise_if_aborted()
            return
        self._ledger.suspend(step)
        await self._ledger.leave()

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
                if pause is None or await self._ledger.pause(pause):
                    raise
            attempt += 1

    # --- in a thread ----------------------------------------------------------------------------

    def step_sync(self, name: str, function: Any, arguments: Any, keywords: Any, retry: Any) -> Any:
        """Do what `Context.step_sync` does."""
        check_plain_function(name, function)
        retries, numbered = as_retry(retry), self._ledger.numbered(name)
        return self._do_sync(numbered, partial(function, *arguments, **keywords), retries)

    def sleep_sync(
        self, name: str | None, seconds: Any, minutes: Any, hours: Any, until: Any
    ) -> None:
        """Do what `Context.sleep_sync` does."""
        named, end = name_of_sleep(name), end_of_sleep(seconds, minutes, hours, until)
        check_no_loop("name", name, "sleep")
        self._sleep_sync(self._ledger.numbered(named), end)

    def _do_sync(self, name: str, call: Call, retry: Retry | None) -> Any:
        done = self._ledger.found(name)
        if done is not None:
            return copied(done.result)
        began = self._ledger.begin()
        with self._ledger.within(name):
            result = self._tried_sync(name, call, retry)
        step = self._ended(name, began, result)
        self._recorder.keep_sync(step)
        return copied(step.result)

    def _sleep_sync(self, name: str, until: Callable[[datetime], datetime]) -> None:
        step = self._ledger.found(name, sleep=True)
        if step is None:
            step = self._asleep(name, until)
            self._recorder.keep_sync(step)
        left = self._ledger.left(step)
        if left <= 0:
            return
        if not self._ledger.is_waited_for:
            self._ledger.suspend(step)
            self._ledger.leave_sync()
        self._ledger.pause_sync(left)
        self._ledger.signal.raise_if_aborted()

    def _tried_sync(self, name: str, call: Call, retry: Retry | None) -> Any:
        attempt = 1
        while True:
            try:
                return call()
            except Exception as error:
                pause = self._pause_after(error, name, attempt, retry)
                if pause is None or self._ledger.pause_sync(pause):
                    raise
            attempt += 1

    # --- either way -----------------------------------------------------------------------------

    def _ended(self, name: str, began: datetime, result: Any) -> Step:
        """Return a step that has ended; raises what tells that it cannot be kept."""
        argument = f"result of the step {name!r}"
        why = never_ran(result)
        if why is not None:
            raise DefinitionError(argument, result, why)
        step = Step(name, began, self._recorder.now(), normalize(result, argument))
        self._ledger.count_bytes(step, argument)
        return step

    def _asleep(self, name: str, until: Callable[[datetime], datetime]) -> Step:
        now = self._ledger.begin()
        step = Step(name, now, now, until=until(now))
        self._ledger.count_bytes(step, f"the sleep {name!r}")
        return step

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
