"""How many searches may look through jobs at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from job_processor.errors import SearchLimitError
from job_processor.settings import LOOKS_AT_A_TIME
from job_processor.store.requests import JobQuery


class Searches:
    """Counts those of one processor, and of its twins in other threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0

    @contextmanager
    def one(self, query: JobQuery) -> Iterator[None]:
        """Let a search run for the time of the block; one that an index answers always may.

        Raises SearchLimitError where as many run already as may.
        """
        if not query.looks_through:
            yield
            return
        with self._lock:
            if self._running >= LOOKS_AT_A_TIME:
                raise SearchLimitError(
                    f"{LOOKS_AT_A_TIME} searches look through jobs already; ask again when one of "
                    "them has ended, or without error, payload and worker, which no index tells"
                )
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
