"""A processor for synchronous code: it works in an event loop in a thread of its own.

One for each process: a process that was forked makes a new one with its first call, and leaves the
parent's alone.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from job_processor.errors import JobProcessorError, NotSetUpError
from job_processor.tasks import cancel

T = TypeVar("T")
CLOSE_TIMEOUT = 5.0
"""Seconds that closing takes at the most."""
LOOK = 1.0
"""Seconds after which a thread that waits for a loop looks whether that runs on."""


class Portal:
    """Calls a twin of a processor from any thread, in any process.

    processor: a JobProcessor. It connects with the first call.
    """

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self._runtimes: dict[int, _Runtime] = {}
        """By process id. Those of the processes that we were forked from stay as they are: their
        connections must not be closed here."""
        weakref.finalize(self, _close_here, self._runtimes)

    def call(self, call: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        """Return what `call` comes to in the loop; interrupting the caller cancels it."""
        future = self._submit(call)
        try:
            return future.result()
        except concurrent.futures.CancelledError as error:
            raise _closed() from error
        except BaseException:
            future.cancel()
            raise

    async def call_async(self, call: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        """Do as `call` does, from another event loop, which goes on meanwhile."""
        future = self._submit(call)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise _closed() from error

    def _submit(
        self, call: Callable[[Any], Coroutine[Any, Any, T]]
    ) -> concurrent.futures.Future[T]:
        pid, future = os.getpid(), None
        while future is None:
            runtime = self._runtimes.get(pid)
            if runtime is None:  # no lock: a fork may have come while another thread held it
                runtime = self._runtimes.setdefault(pid, _Runtime(self._processor))
            future = runtime.submit(call)
        return future

    @property
    def is_open(self) -> bool:
        """True when this process has connections by it."""
        return os.getpid() in self._runtimes

    def close(self) -> None:
        """Give the connections of this process back; a later call makes new ones."""
        _close_here(self._runtimes)


def wait_in(loop: asyncio.AbstractEventLoop, call: Coroutine[Any, Any, T]) -> T:
    """Return what a call comes to in an event loop of another thread.

    Raises JobProcessorError in that loop itself.
    """
    with contextlib.suppress(RuntimeError):
        if asyncio.get_running_loop() is loop:
            call.close()
            told = "its event loop runs here and would be blocked"
            raise JobProcessorError(f"{told}; await the method of the same name without _sync")
    return call_in(loop, call)


def call_in(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` comes to in a loop that runs in another thread; this one waits.

    Raises NotSetUpError when the loop ends meanwhile.
    """
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        while loop.is_running() and not concurrent.futures.wait([future], LOOK).done:
            pass
        if future.done():
            return future.result()
    finally:
        future.cancel()  # where the caller was interrupted, too
    raise NotSetUpError("the event loop of the processor ended during this call")


def _closed() -> JobProcessorError:
    return JobProcessorError("the connections were closed during this call")


def _close_here(runtimes: dict[int, _Runtime]) -> None:
    """Close what belongs to this process."""
    runtime = runtimes.pop(os.getpid(), None)
    if runtime is not None:
        runtime.close()


class _Runtime:
    """A processor of its own in an event loop of its own, in one process."""

    def __init__(self, processor: Any) -> None:
        self._original = processor
        self._guard = threading.Lock()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._processor: Any = None
        self._setup: asyncio.Lock | None = None
        self._ready = False
        self._calls: set[asyncio.Task[Any]] = set()

    def submit(
        self, call: Callable[[Any], Coroutine[Any, Any, T]]
    ) -> concurrent.futures.Future[T] | None:
        """Hand a call over to the loop; None when this was closed before."""
        with self._guard:
            if self._closed:
                return None
            loop = self._running()
            if self._thread is threading.current_thread():
                raise JobProcessorError(
                    "a job was scheduled in its own event loop, for which it would wait for "
                    "ever; call it from another thread"
                )
            return asyncio.run_coroutine_threadsafe(self._answer(call), loop)

    def close(self) -> None:
        """Close the processor and end the loop, from whichever thread."""
        with self._guard:
            self._closed = True
            loop, thread = self._loop, self._thread
        if loop is not None and thread is not None:
            ending = asyncio.run_coroutine_threadsafe(self._end(), loop)
            concurrent.futures.wait([ending], CLOSE_TIMEOUT)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(CLOSE_TIMEOUT)

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._processor, self._setup = self._original.twin(), asyncio.Lock()
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=_serve, args=(self._loop,), name="job-client", daemon=True
            )
            self._ready = False
            self._thread.start()
        return self._loop

    async def _answer(self, call: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        assert self._processor is not None  # noqa: S101  # made before the loop
        assert self._setup is not None  # noqa: S101  # the same
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # a coroutine that runs has one
        self._calls.add(task)
        try:
            if not self._ready:
                async with self._setup:
                    await self._processor.setup()
                    self._ready = True
            return await call(self._processor)
        finally:
            self._calls.discard(task)

    async def _end(self) -> None:
        await cancel(self._calls)
        if self._processor is not None:
            await self._processor.close()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop until it is stopped."""
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        with contextlib.suppress(RuntimeError):  # a thread, which a program that ends cannot start
            loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
