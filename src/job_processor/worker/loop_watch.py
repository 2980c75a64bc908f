"""Tells when the event loop is blocked, and by what: from a thread, since nothing in the loop can.

A blocked loop costs no run its lease (the heartbeat has a thread of its own), but every other run
of this process stands still meanwhile, and kill requests are not heard.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback

from job_processor.settings import LOOP_BLOCKED_SECONDS
from job_processor.threads import OwnThread
from job_processor.worker.runs import Runs

_NAMED = 10  # running jobs that a report names
_FRAMES = 12  # innermost frames of the stack that it shows


class LoopWatch:
    """Asks the loop for an answer regularly, and reports when none comes for `threshold` seconds.

    A report names the running jobs and shows where the loop stands; a second one tells how long it
    was blocked.
    """

    def __init__(
        self, runs: Runs, logger: logging.Logger, threshold: float = LOOP_BLOCKED_SECONDS
    ) -> None:
        self._runs = runs
        self._logger = logger
        self._threshold = threshold
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._stopped = threading.Event()
        self._thread = OwnThread(self._run, "job-processor-watch")

    def start(self) -> None:
        """Begin to watch the running loop."""
        self._thread.start()

    async def stop(self, within: float) -> None:
        """End the thread and wait for it, for so many seconds at the most."""
        self._stopped.set()
        await self._thread.ended(within)

    def _run(self) -> None:
        while not self._stopped.wait(self._threshold / 2):
            answered = threading.Event()
            asked = time.monotonic()
            try:
                self._loop.call_soon_threadsafe(answered.set)
            except RuntimeError:  # the loop is closed
                return
            if not answered.wait(self._threshold):
                self._report_blocked()
                while not answered.wait(self._threshold):
                    if self._stopped.is_set() or self._loop.is_closed():
                        return
                blocked = time.monotonic() - asked
                self._logger.warning("the event loop goes on; it was blocked for %.1f s", blocked)

    def _report_blocked(self) -> None:
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001  # the documented way
        self._logger.warning(
            "the event loop has been blocked for %.1f s while it ran %s; a handler that computes "
            "or waits without await belongs in a plain def, which runs in a thread\n%s",
            self._threshold,
            self._running() or "no job",
            "".join(traceback.format_stack(frame, limit=None)[-_FRAMES:]).rstrip(),
        )

    def _running(self) -> str:
        """Return the async jobs that run; plain ones have threads and block nobody."""
        runs = [run for run in self._runs if not run.concluded and run.definition.bound.is_async]
        named = ", ".join(f"{run.job.name!r} ({run.job.id})" for run in runs[:_NAMED])
        return named if len(runs) <= _NAMED else f"{named} and {len(runs) - _NAMED} more"
