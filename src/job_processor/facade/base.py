"""What the methods of a processor share: its registry, settings and store, and their state."""

from __future__ import annotations

import logging
from typing import Any

from job_processor.clock import Clock
from job_processor.definitions import Registry
from job_processor.errors import NotSetUpError
from job_processor.events import EventBus
from job_processor.settings import Settings
from job_processor.stamps import Stamps
from job_processor.store import Store
from job_processor.waiting import Waiting
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

    def _ready(self) -> Engine:
        if self._engine is None:
            raise NotSetUpError("call `await processor.setup()` or use `async with processor:`")
        return self._engine
