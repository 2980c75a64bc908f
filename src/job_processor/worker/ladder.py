"""The way from asking a handler to stop to going on without it.

Ask (the abort signal), then force (cancel the task), then give up: the run is settled without its
handler, and whatever that still returns is dropped. A thread cannot be forced.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from job_processor.handlers.abort import AbortReason
from job_processor.worker.runs import Run

_STRENGTH = {
    AbortReason.SHUTDOWN: 0,
    AbortReason.MAX_RUNTIME: 1,
    AbortReason.KILL: 2,
    AbortReason.LOST: 3,
}
_PROCESS_PAUSE = 10.0  # seconds; its process gets 3 of them before it is killed
_FRAMES = 50  # of a handler that would not stop
_UNBEGUN_PAUSE = 0.01  # seconds; a task that never ran a step would be cancelled unseen


class Ladder:
    """Stops runs; `give_up` is called with a run that would not stop."""

    def __init__(
        self, kill_grace: float, give_up: Callable[[Run], object], logger: logging.Logger
    ) -> None:
        self._grace = kill_grace
        self._give_up = give_up
        self._logger = logger

    def abort(self, run: Run, reason: AbortReason, *, grace: float | None = None) -> None:
        """Ask a run to stop, and force it `grace` seconds later (None: the kill grace).

        A stronger reason (shutdown < max runtime < kill < lost) replaces a weaker one.
        """
        if run.concluded:
            return
        if run.reason is None or _STRENGTH[reason] > _STRENGTH[run.reason]:
            run.reason = reason
        self._later(self._grace if grace is None else grace, self._force, run)
        if run.batch is not None:
            run.batch.on_asked(reason)
        run.controller.abort(reason)  # last: its callbacks are the handler's own

    def force(self, run: Run) -> None:
        """Force a run that was asked to stop, at once."""
        self._force(run)

    def _force(self, run: Run) -> None:
        if run.concluded:
            return
        if run.batch is not None and not run.batch.is_to_end:
            self._give_up(run)  # the others of its batch go on
            return
        if run.task is None:
            return
        if not run.begun:
            self._later(_UNBEGUN_PAUSE, self._force, run)
            return
        if run.has_living_thread and run.thread is not None and not run.thread.cancel():
            self._report_hanging(run)
            self._give_up(run)
            return
        if not run.task.cancelling():  # else it is in the middle of its own end
            run.task.cancel()
        in_process = run.definition.executor == "process"
        least = _PROCESS_PAUSE if in_process else _UNBEGUN_PAUSE
        self._later(max(self._grace, least), self.give_up, run)

    def give_up(self, run: Run) -> None:
        """Settle a run without its handler, which has had all the time that there is."""
        if not run.concluded:
            self._report_hanging(run)
            self._give_up(run)

    def _later(self, seconds: float, step: Callable[[Run], object], run: Run) -> None:
        run.arm(asyncio.get_running_loop().call_later(seconds, step, run))

    def _report_hanging(self, run: Run) -> None:
        function = run.definition.bound.function
        self._logger.error(
            "job %r (%s) does not stop (%s): its handler %s continues without its run\n%s",
            run.job.name,
            run.job.id,
            run.reason,
            getattr(function, "__qualname__", repr(function)),
            _stack(run),
        )


def _stack(run: Run) -> str:
    """Return where a handler that will not stop stands, as far as Python tells."""
    if run.thread_id is not None:
        frame = sys._current_frames().get(run.thread_id)  # noqa: SLF001  # the documented way
        if frame is not None:
            return "".join(traceback.format_stack(frame)).rstrip()
    if run.task is not None:
        return "".join(
            line
            for frame in _awaited(run.task.get_coro())
            for line in traceback.format_stack(frame, limit=1)
        ).rstrip()
    return "(no stack)"


def _awaited(coroutine: Any) -> Iterator[FrameType]:
    """Give the frames of a coroutine and of what it awaits; a task tells its own alone."""
    for _ in range(_FRAMES):
        frame = getattr(coroutine, "cr_frame", None)
        if frame is None:
            return
        yield frame
        coroutine = coroutine.cr_await
