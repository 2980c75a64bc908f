"""Tells open pages that something changed: one watch of the database for all of them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

from job_processor.processor import JobProcessor
from job_processor.tasks import set_within

MOST = 400
"""Streams at a time; a browser has one for all its pages."""

MOST_OF_ONE = 100
"""Streams of one login; where there is none, of one address."""

ASK_AGAIN = 60.0
"""Seconds after which it is asked again whether a reader may still look."""

LIFETIME = 3600.0
"""Seconds after which a stream ends; the browser asks for another, with what it has by then."""

_QUIET = 0.3
"""Seconds between two messages at least, so that a busy queue does not drown its readers."""

_SILENCE = 15.0
"""Seconds after which a comment is sent, so that nobody in between gives the connection up."""


class Hub:
    """Hands hints of the database to those who listen."""

    def __init__(self, processor: JobProcessor) -> None:
        self._processor = processor
        self.most = MOST
        """Streams at a time, where the server has not so many connections fewer."""
        self._changed: set[asyncio.Event] = set()
        self._readers: Counter[str] = Counter()
        self._forget: Callable[[], None] | None = None

    @property
    def listeners(self) -> int:
        """How many pages listen."""
        return len(self._changed)

    def has_room(self, reader: str) -> bool:
        """Return whether there may be another stream of somebody."""
        return len(self._changed) < self.most and self._readers[reader] < MOST_OF_ONE

    async def messages(
        self, reader: str, may_look: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[str]:
        """Give a server-sent event for each change, and one at the beginning.

        It ends when somebody may not look any more, and after an hour.
        """
        if not self.has_room(reader):  # others came before this one began
            return
        changed = asyncio.Event()
        self._changed.add(changed)
        self._readers[reader] += 1
        if self._forget is None:
            self._forget = self._processor.subscribe(self._tell)
        try:
            yield "retry: 1000\nevent: change\ndata: now\n\n"  # what happened before it listened
            async for message in self._messages(changed, may_look):
                yield message
        finally:
            self._changed.discard(changed)
            self._readers[reader] -= 1
            self._readers += Counter()  # those at 0 go
            if not self._changed and self._forget is not None:
                self._forget()
                self._forget = None

    async def _messages(
        self, changed: asyncio.Event, may_look: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[str]:
        began = asked = time.monotonic()
        while time.monotonic() - began < LIFETIME:
            if time.monotonic() - asked >= ASK_AGAIN:
                asked = time.monotonic()
                if not await may_look():
                    return
            if not await set_within(changed, min(_SILENCE, ASK_AGAIN)):
                yield ": still here\n\n"
                continue
            changed.clear()
            yield "event: change\ndata: now\n\n"
            await asyncio.sleep(_QUIET)

    def _tell(self) -> None:
        for changed in self._changed:
            changed.set()
