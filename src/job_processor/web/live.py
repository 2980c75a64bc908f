"""Tells open pages that something changed: one watch of the database for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from job_processor.processor import JobProcessor

_QUIET = 0.3
"""Seconds between two messages at least, so that a busy queue does not drown its readers."""

_SILENCE = 15.0
"""Seconds after which a comment is sent, so that nobody in between gives the connection up."""


class Hub:
    """Hands hints of the database to those who listen."""

    def __init__(self, processor: JobProcessor) -> None:
        self._processor = processor
        self._changed: set[asyncio.Event] = set()
        self._forget: Callable[[], None] | None = None

    @property
    def listeners(self) -> int:
        """How many pages listen."""
        return len(self._changed)

    async def messages(self) -> AsyncIterator[str]:
        """Give a server-sent event for each change, and one at the beginning."""
        changed = asyncio.Event()
        self._changed.add(changed)
        if self._forget is None:
            self._forget = self._processor.subscribe(self._tell)
        try:
            yield "retry: 1000\nevent: change\ndata: now\n\n"  # what happened before it listened
            while True:
                try:
                    async with asyncio.timeout(_SILENCE):
                        await changed.wait()
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                changed.clear()
                yield "event: change\ndata: now\n\n"
                await asyncio.sleep(_QUIET)
        finally:
            self._changed.discard(changed)
            if not self._changed and self._forget is not None:
                self._forget()
                self._forget = None

    def _tell(self) -> None:
        for changed in self._changed:
            changed.set()
