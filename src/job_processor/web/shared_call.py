"""One call for all who ask for the same at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedCall(Generic[T]):
    """Calls a function for the first who asks, and gives what comes of it to all who ask meanwhile.

    Its result, or its error: nobody begins anew what has just failed for somebody before. Whoever
    leaves does not take it from the others.
    """

    def __init__(self, function: Callable[[], Awaitable[T]]) -> None:
        self._function = function
        self._running: asyncio.Task[T] | None = None

    async def __call__(self) -> T:
        """Return the result; raises what the function raises."""
        running = self._running
        if running is None or running.done() or running.get_loop() != asyncio.get_running_loop():
            running = self._running = asyncio.ensure_future(self._call())
            running.add_done_callback(_look_at)
        return await asyncio.shield(running)

    async def _call(self) -> T:
        return await self._function()


def _look_at(task: asyncio.Task[T]) -> None:
    """Take note of an error for which nobody waits any more, so that asyncio does not."""
    if not task.cancelled():
        task.exception()
