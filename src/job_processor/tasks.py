"""What background tasks have in common: their end, their pauses, their threads, their troubles."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import math
import random
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeAlias, TypeVar

from job_processor.errors import (
    JobProcessorError,
    NotSetUpError,
    StoreError,
    StoreRefusedError,
)
from job_processor.settings import RETRY_DELAY_MAX, RETRY_DELAY_MIN

_AGAIN_AFTER = 2.0
"""Seconds that a task has for its own end before it is asked once more."""


async def cancel(
    tasks: Collection[asyncio.Task[Any]],
    within: float | None = None,
    *,
    again_after: float | None = None,
) -> set[asyncio.Task[Any]]:
    """Cancel tasks and return when all have ended; what they raise at their end is dropped.

    within: seconds after which it returns all the same, with those that have not ended (None:
        never). again_after: seconds that a task has for its own end before it is asked once more
        (None: `_AGAIN_AFTER`).

    Each is asked until it ends. Up to Python 3.11, `asyncio.wait_for` loses a cancellation that
    comes just as what it waits for is done (https://github.com/python/cpython/issues/86296), and
    PyMongo sends every message through it: a task that never looks twice would go on for ever.
    """
    living = set(tasks)
    pause = _AGAIN_AFTER if again_after is None else again_after
    deadline = math.inf if within is None else time.monotonic() + within
    while living:
        for task in living:
            task.cancel()
        left = max(deadline - time.monotonic(), 0.0)
        ended, living = await asyncio.wait(living, timeout=min(pause, left))
        for task in ended:
            if not task.cancelled():
                task.exception()  # seen: it would be logged as never retrieved
        if left == 0:
            break
    return living


def start_task(coroutine: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
    """Return a task of the running loop; from Python 3.12 on it begins before this returns.

    What never waits is over by then, and the loop has heard nothing of it. As `create_task` does,
    in less time: a task without a name makes one up, which takes longer than all the rest.
    """
    loop = asyncio.get_running_loop()
    if loop.get_task_factory() is not None:
        return loop.create_task(coroutine, name=name)
    if sys.version_info >= (3, 12):
        return asyncio.Task(coroutine, loop=loop, name=name, eager_start=True)
    return asyncio.Task(coroutine, loop=loop, name=name)


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Return once an event is set, or so many seconds later; True when it is set."""
    if not event.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
    return event.is_set()


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


class Backoff:
    """Grows the pause between tries, jittered, from `RETRY_DELAY_MIN` to `RETRY_DELAY_MAX`."""

    def __init__(self) -> None:
        self._delay = RETRY_DELAY_MIN

    @property
    def fresh(self) -> bool:
        """True before the first failure, and after a success."""
        return self._delay == RETRY_DELAY_MIN

    def next(self) -> float:
        """Return the seconds to pause before the next try."""
        delay = self._delay * random.uniform(0.5, 1.0)
        self._delay = min(self._delay * 2, RETRY_DELAY_MAX)
        return delay

    def reset(self) -> None:
        """Start anew after a success."""
        self._delay = RETRY_DELAY_MIN


class Trouble:
    """What fails in a row, of a task that must go on: the first is logged, and the pause grows."""

    def __init__(self, logger: logging.Logger, what: str) -> None:
        self._logger = logger
        self._what = what
        self._backoff = Backoff()
        self._there = False

    async def attempt(self, call: Callable[[], Awaitable[object]]) -> bool:
        """Make `call` once; False, after a pause, when it failed, whatever it raised.

        A store that was closed is none that answers again: that is raised.
        """
        try:
            await call()
        except NotSetUpError:
            raise
        except Exception as error:  # noqa: BLE001  # it is logged; whom the task serves needs it on
            await asyncio.sleep(self.meet(error))
            return False
        self.end()
        return True

    def meet(self, error: Exception, detail: str = "") -> float:
        """Log what failed, if it is the first in a row; return the seconds to pause.

        detail: follows what it is that failed, as in " of 3".
        """
        if not self._there:
            # Of an error of the database its words say all; any other may be a mistake of ours.
            known = isinstance(error, StoreError)
            self._logger.log(
                logging.WARNING if known else logging.ERROR,
                "%s%s: %s; trying again until it succeeds",
                self._what,
                detail,
                error if known else repr(error),
                exc_info=None if known else error,
            )
        self._there = True
        return self._backoff.next()

    def end(self) -> None:
        """Take a success down."""
        if self._there:
            self._logger.info("%s: the database answers again", self._what)
            self._there = False
            self._backoff.reset()


async def persist(call: Callable[[], Awaitable[T]], logger: logging.Logger, what: str) -> T:
    """Make `call` until it succeeds; every call must be harmless to repeat.

    Only what would be the same again is raised: input that can never be stored, a store that was
    closed. The first failure and the recovery are logged, the tries in between are not.
    """
    trouble = Trouble(logger, what)
    while True:
        try:
            answer = await call()
        except Exception as error:
            if not _may_pass(error):
                raise
            await asyncio.sleep(trouble.meet(error))
        else:
            trouble.end()
            return answer


def _may_pass(error: Exception) -> bool:
    """True for what the database says of no input, and for what nobody has foreseen."""
    if isinstance(error, StoreError):
        return not isinstance(error, StoreRefusedError)
    return not isinstance(error, JobProcessorError)


def is_of_input(error: Exception) -> bool:
    """True where it may be about what was asked for, so that something else may succeed."""
    if isinstance(error, NotSetUpError | OSError | MemoryError):
        return False
    return isinstance(error, StoreRefusedError) or not isinstance(error, StoreError)
