"""How a worker is told to stop by signals, and how its process leaves."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from signal import SIGTERM, Signals

from job_processor.abort import AbortController, AbortSignal
from job_processor.cli.failing import FAILED
from job_processor.cli.signals import obeyed

_LINGER = 1.0  # seconds that whatever was told to end gets to do so before the process leaves


class Stopper:
    """Turns SIGTERM and SIGINT into a graceful stop, a second SIGINT into a forced one.

    A third SIGINT leaves at once, like a crash, which the other workers repair.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger
        self.grace = 0.0
        """Seconds that running jobs get, for the message."""
        self.forced = False
        self.restore_terminal: Callable[[], object] = lambda: None
        self._controller = AbortController()
        self._work: asyncio.Task[None] | None = None

    @property
    def signal(self) -> AbortSignal:
        """Aborted by the first signal."""
        return self._controller.signal

    def forces(self, work: asyncio.Task[None]) -> None:
        """Name the task that a second SIGINT cancels."""
        self._work = work

    def listening(self) -> AbstractContextManager[None]:
        """Obey signals for the time of the block."""
        return obeyed(self._on_signal)

    def _on_signal(self, number: Signals) -> None:
        if not self.signal.aborted:
            if self._work is None:
                self.logger.warning("%s: stopping", number.name)
            else:
                self.logger.warning(
                    "%s: stopping; running jobs get %g s to end, SIGINT (Ctrl-C) forces them",
                    number.name,
                    self.grace,
                )
            self._controller.abort(number.name)
        elif number is SIGTERM:
            self.logger.warning("%s: stopping already", number.name)
        elif not self.forced and self._work is not None:
            self.logger.warning("%s: forcing the running jobs to stop", number.name)
            self.forced = True
            self._work.cancel()
        else:
            self.logger.warning("%s: leaving at once; other workers take over", number.name)
            self.restore_terminal()
            _leave_hard(FAILED)


class Leaving:
    """Makes sure that the process ends when its work has, whatever user code still hangs."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(thread_name_prefix="job-processor-hook")
        asyncio.get_running_loop().set_default_executor(self._threads)  # ours: it can be left

    async def check(self, code: int, logger: logging.Logger) -> None:
        """Return when nothing is left that could hold the process up; else leave with `code`."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + _LINGER
        left = await _living_tasks(deadline) + _living_threads(deadline)
        if left:
            logger.warning("leaving without what would not stop: %s", ", ".join(left))
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
