"""What a processor is made of, passed as one to whatever works for it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from job_processor.clock import Clock
from job_processor.events import EventBus
from job_processor.handlers.definitions import Registry
from job_processor.hooks import Scopes, Stamps
from job_processor.settings import Settings
from job_processor.store import Store


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What jobs, crons and workers of one processor share, and nothing that only a worker has.

    It never changes: a processor that gets another database, clock or other settings has new parts
    from then on, and whoever was given the old ones keeps them.
    """

    store: Store
    registry: Registry
    settings: Settings
    clock: Clock
    events: EventBus
    scopes: Scopes
    """What integrations put around handlers."""
    stamps: Stamps
    """What integrations add to new jobs."""
    logger: logging.Logger | Any
