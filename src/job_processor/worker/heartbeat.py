"""Tells the database that this process lives, from a thread and a connection of its own.

A handler that blocks the event loop stops everything in it, so whoever relied on the loop to send
heartbeats would look dead while it works.
"""

from __future__ import annotations

import asyncio
import logging
import mmap
import random
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from bson import ObjectId

from job_processor.errors import StoreError
from job_processor.settings import CLOCK_TOLERANCE
from job_processor.store import Store
from job_processor.store.base import Pulse
from job_processor.tasks import Backoff, OwnThread
from job_processor.worker.stopwatch import Elapsed, Moment

_SLICE = 1.0  # seconds of waiting after which the clocks are compared: a machine may have slept
_PATIENCE_MIN = 1.0  # seconds that it has at least
_LOOP_TIMEOUT = 5.0  # seconds that a blocked event loop may keep a heartbeat waiting


class Beats:
    """The confirmed heartbeats of one registration, wherever they were sent from.

    The time of one is when it was sent: whoever looks at it in the database sees it later.
    """

    def __init__(self, interval: float, worker_timeout: float, logger: logging.Logger) -> None:
        # Seconds between two confirmed beats that are no break yet. After a longer outage another
        # worker's last beat may be older than its timeout, though it lives.
        self._longest_gap = min(2 * interval + 1, worker_timeout / 2)
        self._logger = logger
        self._lock = threading.Lock()
        self._first: Moment | None = None
        self._last: Moment | None = None

    def confirm(self, sent: Moment) -> None:
        """Count a heartbeat that the database has confirmed."""
        with self._lock:
            last = self._last
            if last is not None and sent < last:  # two were under way
                return
            if self._first is None or last is None or self._is_gap(last, sent):
                self._first = sent
            if last is not None:
                self._look_at_the_clock(Elapsed.between(last, sent))
            self._last = sent

    def broken(self) -> None:
        """Begin to count anew: a heartbeat was not confirmed."""
        with self._lock:
            self._first = None

    def is_young(self, seconds: float) -> bool:
        """True while the last one was sent less than so long ago, as far as all clocks agree."""
        last = self._last
        if last is None:
            return False
        elapsed = Elapsed.between(last, Moment.now())
        return elapsed.is_certain and elapsed.seconds < seconds

    def unbroken_since(self) -> float | None:
        """Return from when on, by the monotonic clock, all have been confirmed in time.

        None while the last one is too long ago.
        """
        with self._lock:
            first, last = self._first, self._last
        if first is None or last is None or self._is_gap(last, Moment.now()):
            return None
        return first.monotonic

    def unbroken_for(self) -> float:
        """Return for how many seconds all have been confirmed in time, until the last one."""
        since, last = self.unbroken_since(), self._last
        return 0.0 if since is None or last is None else last.monotonic - since

    def _is_gap(self, earlier: Moment, later: Moment) -> bool:
        return later.monotonic - earlier.monotonic > self._longest_gap

    def _look_at_the_clock(self, elapsed: Elapsed) -> None:
        if abs(elapsed.stepped) > CLOCK_TOLERANCE:
            self._logger.warning(
                "this machine's clock was set %s by %.1f s; jobs start by it",
                "forward" if elapsed.stepped > 0 else "back",
                abs(elapsed.stepped),
            )


class Heartbeat:
    """Beats for the worker id that `worker_id` gives, until stopped.

    Where its own connection fails, `beat_in_loop` beats through the one that the event loop uses.
    `on_lost` is called in the event loop when the database has no such registration.
    """

    def __init__(
        self,
        store: Store,
        beats: Beats,
        worker_id: Callable[[], ObjectId],
        clock_ahead: Callable[[], float | None],
        on_lost: Callable[[ObjectId], object],
        beat_in_loop: Callable[[], Coroutine[Any, Any, object]],
        interval: float,
        logger: logging.Logger,
    ) -> None:
        self._store = store
        self._beats = beats
        self._worker_id = worker_id
        self._clock_ahead = clock_ahead
        self._on_lost = on_lost
        self._beat_in_loop = beat_in_loop
        self._interval = interval
        # Seconds that its own connection has, so that the other one can be tried in time.
        self._patience = max(interval / 2, _PATIENCE_MIN)
        self._logger = logger
        self._state = "well"
        self._stop = threading.Event()
        self._thread = OwnThread(self._run, "job-processor-heartbeat")
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more; one that is under way may still arrive."""
        self._stop.set()

    async def ended(self, within: float) -> None:
        """Wait for the end of the thread; one that hangs in the network is left alone."""
        if not await self._thread.ended(within):
            self._logger.warning("the heartbeat's connection does not end; it is left alone")

    def _run(self) -> None:
        pulse: Pulse | None = None
        backoff = Backoff()
        delay = 0.0
        while not self._wait(delay):
            error: Exception | None = None
            try:
                pulse = pulse or self._store.open_pulse(self._patience)
                self._beat(pulse)
            except Exception as failure:  # noqa: BLE001  # whatever it is, the next one may succeed
                error = failure
            confirmed = error is None or self._beat_through_loop()
            self._tell(error, confirmed=confirmed)
            if confirmed:
                backoff.reset()
                delay = self._interval * random.uniform(0.8, 1.0)
            else:
                self._beats.broken()
                delay = min(backoff.next(), self._interval)
        if pulse is not None:
            pulse.close()

    def _wait(self, seconds: float) -> bool:
        """Wait until it is time, by whichever clock; True when it is the end."""
        began = Moment.now()
        left = seconds
        while not self._stop.wait(min(max(left, 0.0), _SLICE)):
            left = seconds - Elapsed.between(began, Moment.now()).seconds
            if left <= 0:
                return False
        return True

    def _beat(self, pulse: Pulse) -> None:
        worker_id, sent = self._worker_id(), Moment.now()
        if pulse.beat(worker_id, resident_memory(), self._clock_ahead()):
            self._beats.confirm(sent)
        else:
            self._beats.broken()
            self._call_in_loop(lambda: self._on_lost(worker_id))

    def _beat_through_loop(self) -> bool:
        """Beat through the connection of the event loop; True when the database has answered."""
        if self._loop.is_closed():  # nobody is left to beat for
            self._stop.set()
            return False
        beating = asyncio.run_coroutine_threadsafe(self._beat_in_loop(), self._loop)
        try:
            beating.result(_LOOP_TIMEOUT)
        except Exception:  # noqa: BLE001  # what is wrong is told by the first that failed
            beating.cancel()
            return False
        return True

    def _tell(self, error: Exception | None, *, confirmed: bool) -> None:
        """Log how it goes, where that has changed."""
        state = "well" if error is None else "elsewhere" if confirmed else "nowhere"
        if state == self._state:
            return
        self._state = state
        unforeseen = None if isinstance(error, StoreError | None) else error
        if state == "well":
            self._logger.info("heartbeat: its own connection works again")
        elif state == "elsewhere":
            self._logger.warning(
                "heartbeat: %s; it goes through the worker's other connection",
                error,
                exc_info=unforeseen,
            )
        else:
            self._logger.warning(
                "heartbeat: %s; trying again; nothing is claimed once the last one is too old",
                error,
                exc_info=unforeseen,
            )

    def _call_in_loop(self, callback: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:  # the loop is closed: nobody is left to tell
            self._stop.set()


_STATM = Path("/proc/self/statm")  # Linux: pages, all of them and the resident ones first


def resident_memory() -> int | None:
    """Return the bytes of this process that are in memory; None where the system does not tell."""
    try:
        return int(_STATM.read_bytes().split()[1]) * mmap.PAGESIZE
    except OSError:
        return None
