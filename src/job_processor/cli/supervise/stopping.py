"""How a worker is told to stop by signals, and how its process leaves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from signal import SIGINT, SIGTERM, Signals

from job_processor.cli.app.embedded import program_goes_on
from job_processor.cli.app.failing import FAILED
from job_processor.cli.supervise.signals import obeyed
from job_processor.handlers.abort import AbortController, AbortSignal
from job_processor.settings import (
    STOP_SPARE,
    WRITE_TIMEOUT,
    Settings,
    graceful_stop_seconds,
)

_LINGER = 1.0  # seconds that whatever was told to end gets to do so before the process leaves
_SHORTLY = 0.1  # seconds that it gets when there are none left
_THREADS = 256  # asyncio.to_thread may occupy; MongoDB's driver needs one for each new connection
_ANSWER = 0.5  # seconds in which an event loop that does not stand still answers


class Stopper:
    """Turns SIGTERM and SIGINT into a graceful stop, a second SIGINT into a forced one.

    A third SIGINT leaves at once, like a crash, which the other workers repair.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger
        self._grace = 0.0
        self._watch = _StopWatch(asyncio.get_running_loop(), self)
        self.forced = False
        self.restore_terminal: Callable[[], object] = lambda: None
        self._controller = AbortController()
        self._work: asyncio.Task[None] | None = None

    @property
    def signal(self) -> AbortSignal:
        """Aborted by the first signal."""
        return self._controller.signal

    def give_time(self, settings: Settings) -> None:
        """Take the graces of the application: how long its stop may take."""
        self._grace = settings.shutdown_grace
        self._watch.seconds = graceful_stop_seconds(settings)

    @property
    def left(self) -> float:
        """Seconds that are left of the stop; of one that has not begun, all."""
        return self._watch.left

    def forces(self, work: asyncio.Task[None]) -> None:
        """Name the task that a second SIGINT cancels."""
        self._work = work

    def listening(self) -> AbstractContextManager[None]:
        """Obey signals for the time of the block."""
        return obeyed(self._on_signal, self._watch.start)

    @contextlib.contextmanager
    def leaving(self) -> Iterator[None]:
        """Obey a SIGINT for the time of the block also where the event loop stands still.

        Within `listening`: there is no moment at which one would end the process unsaid.
        """
        former = signal.signal(SIGINT, lambda *_: self._leave_at_once(SIGINT))
        try:
            yield
        finally:
            signal.signal(SIGINT, former)

    def _leave_at_once(self, number: Signals) -> None:
        self.logger.warning("%s: leaving at once; other workers take over", number.name)
        self.restore_terminal()
        _leave_hard(FAILED)

    def _on_signal(self, number: Signals) -> None:
        if not self.signal.aborted:
            if self._work is None:
                self.logger.warning("%s: stopping", number.name)
            else:
                self.logger.warning(
                    "%s: stopping; running jobs get %g s to end, SIGINT (Ctrl-C) forces them",
                    number.name,
                    self._grace,
                )
            self._controller.abort(number.name)
        elif number is SIGTERM:
            self.logger.warning("%s: stopping already", number.name)
        elif not self.forced and self._work is not None:
            self.logger.warning("%s: forcing the running jobs to stop", number.name)
            self.forced = True
            self._work.cancel()
        else:
            self._leave_at_once(number)


class _StopWatch:
    """Ends the process when its stop does not come to its end, from a thread of its own.

    Started from a signal handler, since the event loop that would tell of the signal may stand
    still: a handler that blocks it cannot be stopped. One that answers gets what a write to a
    database without a majority takes, too.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, stopper: Stopper) -> None:
        self._loop = loop
        self._stopper = stopper
        self._began: float | None = None
        self.seconds = STOP_SPARE
        """How long a stop may take."""

    @property
    def left(self) -> float:
        """Seconds that are left, or all."""
        began = self._began
        return self.seconds - (0.0 if began is None else time.monotonic() - began)

    def start(self) -> None:
        """Begin to watch, with the first signal."""
        if self._began is None:
            self._began = time.monotonic()
            threading.Thread(target=self._run, name="job-processor-stop-watch", daemon=True).start()

    def _run(self) -> None:
        self._wait(-_ANSWER)
        if self._answers():
            self._wait(WRITE_TIMEOUT)
        self._stopper.logger.critical(
            "leaving by force, %.0f s after the first signal: the stop did not come to its end",
            self.seconds - self.left,
        )
        self._stopper.restore_terminal()
        _leave_hard(FAILED)

    def _wait(self, beyond: float) -> None:
        while (left := self.left + beyond) > 0:
            time.sleep(left)

    def _answers(self) -> bool:
        """True when the event loop continues, False when a handler blocks it."""
        answered = threading.Event()
        with contextlib.suppress(RuntimeError):  # it is closed
            self._loop.call_soon_threadsafe(answered.set)
        return answered.wait(_ANSWER)


class Leaving:
    """Makes sure that the process ends when its work has, whatever user code still hangs."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="asyncio")
        asyncio.get_running_loop().set_default_executor(self._threads)  # ours: it can be left

    async def check(self, code: int, stopper: Stopper) -> None:
        """Return when nothing is left that could hold the process up; else leave with `code`.

        Where the program goes on, what is left is its own affair.
        """
        self._threads.shutdown(wait=False, cancel_futures=True)
        if program_goes_on.get():
            return
        deadline = time.monotonic() + max(min(_LINGER, stopper.left - _LINGER), _SHORTLY)
        left = await _living_tasks(deadline) + _living_threads(deadline)
        if left:
            stopper.logger.warning("leaving without what would not stop: %s", ", ".join(left))
            _leave_hard(code)


async def _living_tasks(deadline: float) -> list[str]:
    """Cancel what is left in the loop; return the names of those that go on."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if not tasks:
        return []
    _, living = await asyncio.wait(tasks, timeout=deadline - time.monotonic())
    return [f"task {task.get_name()!r}" for task in living]


def _living_threads(deadline: float) -> list[str]:
    """Return the names of threads that Python would wait for at its end."""
    threads = [
        thread
        for thread in threading.enumerate()
        if not thread.daemon and thread is not threading.main_thread()
    ]
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0))
    return [f"thread {thread.name!r}" for thread in threads if thread.is_alive()]


def _leave_hard(code: int) -> None:
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
