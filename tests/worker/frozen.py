"""Databases that hang, and workers that have to stop all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from job_processor import JobProcessor
from tests.processors import WAIT, RunningWorker

GRACES: dict[str, Any] = {"shutdown_grace": 0.2, "kill_grace": 0.1}


class Frozen:
    """A processor on a database that can be made to hang."""

    def __init__(self, processor: JobProcessor, hang: Callable[[], Awaitable[object]]) -> None:
        self.processor = processor
        self.hang = hang


async def stopped(worker: RunningWorker) -> None:
    """Stop a worker; fail when it does not end."""
    worker.controller.abort("test")
    done, _ = await asyncio.wait([worker.task], timeout=WAIT)
    assert done
