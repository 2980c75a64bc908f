"""Threads of our own, whose end a coroutine can wait for, but only for so long.

Nothing of ours runs in asyncio's default executor: handlers fill that as they like, and then a
heartbeat that is to end, or a hook, would wait for them. These are daemons: one that hangs keeps no
program from ending.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
_LAST_STEP = 0.5  # seconds at the most; it takes microseconds
_Item: TypeAlias = tuple[Callable[[], Any], "Future[Any]"]


class OwnThread:
    """A daemon thread that does one piece of work; it begins with `start`."""

    def __init__(self, work: Callable[[], object], name: str) -> None:
        self._ended: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(work,), name=name, daemon=True)

    def start(self) -> None:
        """Begin the work."""
        self._thread.start()

    @property
    def begun(self) -> bool:
        """True once it was started."""
        return self._thread.ident is not None

    async def ended(self, within: float) -> bool:
        """Wait for its end for so many seconds; True when it has ended, or never begun."""
        if self.begun and not self._ended.done():
            await asyncio.wait([asyncio.wrap_future(self._ended)], timeout=within)
        if self._ended.done():
            self._thread.join(_LAST_STEP)  # its work is done, it is leaving
        return self._ended.done() or not self.begun

    def _run(self, work: Callable[[], object]) -> None:
        try:
            work()
        finally:
            self._ended.set_result(None)


class ThreadPool:
    """Daemon threads that run plain functions, at most `limit` at a time; made as needed."""

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._count = 0

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Run `call` in one of the threads, in the context of the caller; from one thread only.

        Cancelling the future takes back what has not begun.
        """
        future: Future[T] = Future()
        context = contextvars.copy_context()
        self._queue.put((lambda: context.run(call), future))
        if not self._idle.acquire(blocking=False) and self._count < self._limit:
            self._count += 1
            name = f"{self._name}-{self._count}"
            threading.Thread(
                target=_serve, args=(self._queue, self._idle), name=name, daemon=True
            ).start()
        return future

    def close(self) -> None:
        """Let the threads end, each after what it does."""
        for _ in range(self._count):
            self._queue.put(None)
        self._count = 0


async def in_thread(call: Callable[[], T], name: str) -> T:
    """Return what `call` returns, from a thread of its own, in the context of the caller.

    Cancelling this leaves the thread alone; it ends with its work.
    """
    future: Future[T] = Future()
    context = contextvars.copy_context()
    OwnThread(lambda: _answer(lambda: context.run(call), future), name).start()
    return await asyncio.wrap_future(future)


def _serve(queue: SimpleQueue[_Item | None], idle: threading.Semaphore) -> None:
    while (item := queue.get()) is not None:
        _answer(*item)
        del item  # what it holds shall not live until the next one comes
        idle.release()


def _answer(call: Callable[[], Any], future: Future[Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except StopIteration as error:  # a future cannot carry one
        stopped = RuntimeError(f"StopIteration was raised: {error}")
        stopped.__cause__ = error
        future.set_exception(stopped)
    except BaseException as error:  # noqa: BLE001  # it belongs to whoever waits, whatever it is
        future.set_exception(error)
    else:
        future.set_result(result)
