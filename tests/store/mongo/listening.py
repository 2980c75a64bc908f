"""A listener for hints that waits for one."""

from __future__ import annotations

import asyncio

from job_processor.store.hints import Hint
from tests.processors import WAIT


class Listener:
    """Keeps what was hinted at since it last forgot."""

    def __init__(self) -> None:
        self.heard = Hint(0)
        self.calls = 0
        self._news = asyncio.Event()

    def __call__(self, hint: Hint) -> None:
        """Hear a hint."""
        self.heard |= hint
        self.calls += 1
        self._news.set()

    def forget(self) -> None:
        """Forget what was heard so far."""
        self.heard = Hint(0)

    async def until(self, hint: Hint) -> Hint:
        """Wait until all of `hint` was heard, at once or in parts; return and forget all heard."""
        async with asyncio.timeout(WAIT):
            while hint not in self.heard:
                self._news.clear()
                await self._news.wait()
        heard = self.heard
        self.forget()
        return heard
