"""Tells the database that this process lives, from a thread and a connection of its own.

A handler that blocks the event loop stops everything in it, so whoever relied on the loop to send
heartbeats would look dead while it works.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable

from bson import ObjectId

from job_processor.errors import StoreError
from job_processor.store import Store
from job_processor.store.base import Pulse
from job_processor.worker.memory import resident_memory
from job_processor.worker.persistence import Backoff


class Heartbeat:
    """Beats for the worker id that `worker_id` gives, until stopped.

    `on_lost` is called in the event loop when the database has no such registration.
    """

    def __init__(
        self,
        store: Store,
        worker_id: Callable[[], ObjectId],
        on_lost: Callable[[ObjectId], object],
        interval: float,
        worker_timeout: float,
        logger: logging.Logger,
    ) -> None:
        self._store = store
        self._worker_id = worker_id
        self._on_lost = on_lost
        self._interval = interval
        # Seconds between two confirmed beats that are no break yet. After a longer outage another
        # worker's last beat may be older than its timeout, though it lives.
        self._longest_gap = min(2 * interval + 1, worker_timeout / 2)
        self._logger = logger
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop = asyncio.get_running_loop()
        self._unbroken_since: float | None = None
        self._last: float | None = None

    def start(self) -> None:
        """Begin to beat."""
        self._thread = threading.Thread(
            target=self._run, name="job-processor-heartbeat", daemon=True
        )
        self._thread.start()

    async def stop(self) -> None:
        """End the thread and wait for it."""
        self._stop.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def unbroken_for(self) -> float:
        """Return for how many seconds all of our heartbeats have been confirmed in time."""
        since, last = self._unbroken_since, self._last
        if since is None or last is None or time.monotonic() - last > self._longest_gap:
            return 0.0
        return last - since

    def _run(self) -> None:
        pulse: Pulse | None = None
        backoff = Backoff()
        delay = 0.0
        while not self._stop.wait(delay):
            try:
                pulse = pulse or self._store.open_pulse()
                self._beat(pulse)
            except StoreError as error:
                if backoff.fresh:  # the first failure in a row
                    self._logger.warning("heartbeat: %s; trying again", error)
                self._unbroken_since = None
                delay = min(backoff.next(), self._interval)
            except Exception:
                self._logger.exception("heartbeat failed; trying again")
                self._unbroken_since = None
                delay = min(backoff.next(), self._interval)
            else:
                backoff.reset()
                delay = self._interval * random.uniform(0.8, 1.0)
        if pulse is not None:
            pulse.close()

    def _beat(self, pulse: Pulse) -> None:
        worker_id = self._worker_id()
        if not pulse.beat(worker_id, resident_memory()):
            self._unbroken_since = None
            self._call_in_loop(lambda: self._on_lost(worker_id))
            return
        now = time.monotonic()
        late = self._last is not None and now - self._last > self._longest_gap
        if self._unbroken_since is None or late:
            self._unbroken_since = now
        self._last = now

    def _call_in_loop(self, callback: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:  # the loop is closed: nobody is left to tell
            self._stop.set()
