"""What the methods of a processor share: its registry, settings and store, and their state."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from job_processor.clock import Clock
from job_processor.errors import NotSetUpError
from job_processor.events import EventBus
from job_processor.facade.searches import Searches
from job_processor.handlers.definitions import Registry
from job_processor.hooks import Stamps
from job_processor.jobs.wait import Waiting
from job_processor.settings import Settings
from job_processor.store import Store
from job_processor.worker.engine import Engine


class Base:
    """The parts of a processor; `JobProcessor` makes them."""

    settings: Settings
    registry: Registry
    logger: logging.Logger | Any
    _clock: Clock
    _events: EventBus
    _stamps: Stamps
    _store: Store
    _engine: Engine | None
    _waiting: Waiting | None

    _loop: asyncio.AbstractEventLoop | None
    _searches: Searches

    def _ready(self) -> Engine:
        if self._engine is None:
            raise NotSetUpError("call `await processor.setup()` or use `async with processor:`")
        if self._loop is not running_loop():
            raise NotSetUpError(OTHER_LOOP)
        return self._engine


OTHER_LOOP = (
    "this processor was set up in another event loop, to which its connections belong; use a "
    "`processor.twin()` for each loop, and in threads and plain functions a "
    "`job_processor.sync.JobClient`"
)


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop; raise NotSetUpError where asyncio runs none."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise NotSetUpError(
            "Job Processor runs on asyncio, and no event loop of asyncio runs here; with anyio "
            "choose its backend: anyio.run(main, backend='asyncio'), and in tests a fixture "
            "`anyio_backend` that returns 'asyncio'"
        ) from None
