"""Tells when the event loop is blocked, and by what: from a thread, since nothing in the loop can.

A blocked loop costs no run its lease (the heartbeat has a thread of its own), but every other run
of this process stands still meanwhile, and kill requests are not heard. Who holds Python's lock
stops the threads, too: that can be told only afterwards.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping

from bson import ObjectId

from job_processor.settings import LOOP_BLOCKED_SECONDS
from job_processor.tasks import OwnThread
from job_processor.worker.runs import Runs

_NAMED = 10  # running jobs that a report names
_FRAMES = 12  # innermost frames of the stack that it shows
_OFTEN, _SELDOM = 0.5, 5.0  # parts of the threshold from one question to the next
_STOOD_STILL = 5.0  # seconds; a process that is short of its turns for less is nothing special
_WORKED = 0.2  # part of a time without a turn that was worked, where a handler held the lock


class LoopWatch:
    """Asks the loop for an answer regularly, and reports when none comes for `threshold` seconds.

    A report names the running jobs and shows where the loop stands; a second one tells how long it
    was blocked. Another tells when this thread itself stood still for so long.

    on_answer: called in the loop with each answer, twice in each `threshold` where nothing blocks,
        and seldom while nothing runs.
    """

    def __init__(
        self,
        runs: Runs,
        logger: logging.Logger,
        on_answer: Callable[[], object],
        threshold: float = LOOP_BLOCKED_SECONDS,
    ) -> None:
        self._runs = runs
        self._logger = logger
        self._on_answer = on_answer
        self._threshold = threshold
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._stopped = False
        self._roused = threading.Event()
        """Set to end a wait between two questions."""
        self._dozes = False
        self._has_begun = True
        """True when a run has begun since the last question."""
        self._thread = OwnThread(self._run, "job-processor-watch")

    def start(self) -> None:
        """Begin to watch the running loop."""
        self._runs.on_begun = self._on_begun
        self._thread.start()

    async def stop(self, within: float) -> None:
        """End the thread and wait for it, for so many seconds at the most."""
        self._stopped = True
        self._roused.set()
        await self._thread.ended(within)

    def _run(self) -> None:
        while not self._rest():
            answered = threading.Event()
            asked = time.monotonic()
            try:
                self._loop.call_soon_threadsafe(self._answer, answered)
            except RuntimeError:  # the loop is closed
                return
            if not self._wait(answered, self._threshold):
                self._report_blocked()
                while not self._wait(answered, self._threshold):
                    if self._stopped or self._loop.is_closed():
                        return
                blocked = time.monotonic() - asked
                self._logger.warning("the event loop continues; it was blocked for %.1f s", blocked)

    def _rest(self) -> bool:
        """Wait until it is time to ask again; True: no more.

        While nothing runs that might block, that is seldom, until something does.
        """
        self._dozes = True  # before the look: a run that begins after it ends the wait
        if self._has_begun or len(self._runs):
            self._has_begun = self._dozes = False
        pause = _SELDOM if self._dozes else _OFTEN
        if self._wait(self._roused, self._threshold * pause) and not self._stopped:
            self._roused.clear()
            self._wait(self._roused, self._threshold * _OFTEN)
        return self._stopped

    def _on_begun(self) -> None:
        self._has_begun = True
        if self._dozes:
            self._dozes = False
            self._roused.set()

    def _answer(self, answered: threading.Event) -> None:
        answered.set()
        self._on_answer()

    def _wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for an event; True when it is set.

        Where this thread itself got no turn meanwhile, that is reported, and the wait begins anew:
        the others, the loop among them, had no turn either.
        """
        while True:
            before, began, worked = self._holders(), time.monotonic(), time.process_time()
            event.wait(seconds)
            late = time.monotonic() - began - seconds
            if late < self._threshold:
                return event.is_set()
            self._report_stood_still(late, time.process_time() - worked, before)

    def _holders(self) -> dict[ObjectId, str]:
        """Return the runs that may hold Python's lock: all but those in processes of their own.

        Asked before and after a time without a turn; one that began and ended within it is missed.
        """
        return {
            held.id: held.name
            for held in self._runs.held_jobs()
            if held.definition.executor != "process"
        }

    def _report_stood_still(
        self, seconds: float, worked: float, before: dict[ObjectId, str]
    ) -> None:
        if worked < seconds * _WORKED:
            if seconds >= _STOOD_STILL:
                self._logger.warning(
                    "this process stood still for %.1f s: it was stopped, or its machine slept or "
                    "is overloaded; it sent no heartbeat meanwhile",
                    seconds,
                )
            return
        self._logger.warning(
            "%.1f s without the GIL, in which no heartbeat could be sent and no "
            "other job went on, while these handlers ran: %s; a long call of compiled code belongs "
            "in a process: executor='process'",
            seconds,
            _named({**before, **self._holders()}) or "none",
        )

    def _report_blocked(self) -> None:
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001  # the documented way
        # Plain handlers have threads and block nobody.
        blocking = {
            held.id: held.name
            for held in self._runs.held_jobs()
            if not held.concluded and held.definition.bound.is_async
        }
        self._logger.warning(
            "the event loop has been blocked for %.1f s while it ran %s; a handler that computes "
            "or waits without await belongs in a sync function (def), which runs in a thread\n%s",
            self._threshold,
            _named(blocking) or "no job",
            "".join(traceback.format_stack(frame, limit=None)[-_FRAMES:]).rstrip(),
        )


def _named(jobs: Mapping[ObjectId, str]) -> str:
    named = ", ".join(f"{name!r} ({job_id})" for job_id, name in list(jobs.items())[:_NAMED])
    return named if len(jobs) <= _NAMED else f"{named} and {len(jobs) - _NAMED} more"
