"""The end of background tasks."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Collection
from typing import Any

_AGAIN_AFTER = 2.0
"""Seconds that a task has for its own end before it is asked once more, unless told otherwise."""


async def cancel(
    tasks: Collection[asyncio.Task[Any]],
    within: float | None = None,
    *,
    again_after: float | None = None,
) -> set[asyncio.Task[Any]]:
    """Cancel tasks and return when all have ended; what they raise at their end is dropped.

    within: seconds after which it returns all the same, with those that have not ended (None:
        never). again_after: seconds that a task has for its own end before it is asked once more
        (None: `_AGAIN_AFTER`).

    Each is asked until it ends. Up to Python 3.11, `asyncio.wait_for` loses a cancellation that
    comes just as what it waits for is done (https://github.com/python/cpython/issues/86296), and
    PyMongo sends every message through it: a task that never looks twice would go on for ever.
    """
    living = set(tasks)
    pause = _AGAIN_AFTER if again_after is None else again_after
    deadline = math.inf if within is None else time.monotonic() + within
    while living:
        for task in living:
            task.cancel()
        left = max(deadline - time.monotonic(), 0.0)
        ended, living = await asyncio.wait(living, timeout=min(pause, left))
        for task in ended:
            if not task.cancelled():
                task.exception()  # seen: it would be logged as never retrieved
        if left == 0:
            break
    return living
