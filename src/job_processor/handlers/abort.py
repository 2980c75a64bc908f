"""Cooperative cancellation: a signal that a handler reads, a controller that sets it off."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from enum import StrEnum

from job_processor.errors import AbortedError, InvalidArgumentError
from job_processor.handlers.callables import runs_at_once

_logger = logging.getLogger("job_processor")
_lock = threading.RLock()
"""Of all signals, each of which holds it for a moment: one of its own would cost every run. A
system signal may abort one in the middle of that."""


class AbortReason(StrEnum):
    """Why a run has to stop: the `reason` of the `AbortSignal` of its handler.

    `shutdown`: the worker shuts down; `kill`: the job is cancelled; `max_runtime`: its timeout;
    `lost`: the job was taken from this worker, for instance because it seemed to have crashed.
    """

    SHUTDOWN = "shutdown"
    KILL = "kill"
    MAX_RUNTIME = "max_runtime"
    LOST = "lost"


class AbortSignal:
    """Says that the work has to stop; a handler gets it as its parameter `signal`.

    Safe to read from any thread.

    ```python
    @processor.job
    def import_rows(signal: AbortSignal, file: str) -> None:
        for row in read(file):
            signal.raise_if_aborted()
            save(row)
    ```
    """

    __slots__ = ("_aborted", "_callbacks", "_reason")

    def __init__(self) -> None:
        self._aborted = False
        self._reason: object = None
        self._callbacks: tuple[Callable[[], object], ...] = ()

    @property
    def aborted(self) -> bool:
        """True once the work has to stop."""
        return self._aborted

    @property
    def reason(self) -> object:
        """The reason given to `abort`, such as an `AbortReason`; None before or without one."""
        return self._reason

    def raise_if_aborted(self) -> None:
        """Raise `AbortedError` if the work has to stop."""
        if self._aborted:
            raise AbortedError(self._reason)

    async def wait(self) -> None:
        """Wait until the work has to stop."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(woken.set)

        forget = self.on_abort(wake)
        try:
            await woken.wait()
        finally:
            forget()

    def on_abort(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call `callback` once when the work has to stop; at once if that is already the case.

        It runs in the thread that aborts. An exception in it is logged, and the other callbacks
        still run. Returns a function that removes the callback. Raises InvalidArgumentError unless
        it is a sync function.
        """
        if not callable(callback) or not runs_at_once(callback):
            allowed = "allowed is a sync function without arguments; an async one would not run"
            raise InvalidArgumentError("callback", callback, allowed)
        with _lock:
            pending = not self._aborted
            if pending:
                self._callbacks += (callback,)
        if not pending:
            _call(callback)
            return _nothing

        def forget() -> None:
            with _lock:
                if callback in self._callbacks:
                    at = self._callbacks.index(callback)
                    self._callbacks = self._callbacks[:at] + self._callbacks[at + 1 :]

        return forget

    def _abort(self, reason: object) -> None:
        with _lock:
            if self._aborted:
                return
            self._reason = reason
            self._aborted = True
            callbacks, self._callbacks = self._callbacks, ()
        for callback in callbacks:
            _call(callback)


class AbortController:
    """Has an `AbortSignal`, `signal`, and aborts it: to stop `run_worker`, for instance."""

    __slots__ = ("signal",)

    def __init__(self) -> None:
        self.signal = AbortSignal()

    def abort(self, reason: object = None) -> None:
        """Abort the signal, with a reason; a second call changes nothing. Safe from any thread."""
        self.signal._abort(reason)  # noqa: SLF001  # a signal has no public way to be set off


def _call(callback: Callable[[], object]) -> None:
    """Call a callback; it is somebody else's, and who aborts has more to do than that."""
    try:
        callback()
    except BaseException:  # whatever it is, SystemExit and the like included
        _logger.exception("a callback of an abort signal failed: %r", callback)


def _nothing() -> None:
    """Take back a callback that has run already."""
