"""What an integration is, and what it sees of the processor that it is installed in."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from job_processor.definitions import Definition
from job_processor.events import Listener
from job_processor.models import Vitals
from job_processor.scopes import Scope, Wrapper
from job_processor.settings import Settings
from job_processor.stamps import Stamp


@dataclass(frozen=True, slots=True)
class Host:
    """A processor, for an integration. All that it hands out is safe to call in the event loop."""

    logger: logging.Logger | Any
    settings: Settings
    listen: Callable[[Listener], Callable[[], None]]
    """Calls a listener with each event; returns a function that ends it."""
    around_handlers: Callable[[Scope], Callable[[], None]]
    """Puts a context manager around each handler; returns a function that ends it."""
    wrap_calls: Callable[[Wrapper], Callable[[], None]]
    """Lets a function replace the calls of handlers and hooks, there where they run, in their
    thread too; returns a function that ends it."""
    preload: Callable[[str], None]
    """Lets the processes of handlers import a module before the handler's own, for what that
    needs to be set up."""
    stamp: Callable[[Stamp], Callable[[], None]]
    """Lets a function add fields to each job before it is stored; returns a function that ends
    it."""
    definition: Callable[[str], Definition | None]
    """Returns the definition of a job or cron that can be run here; None: there is none."""
    get_status: Callable[[], Awaitable[dict[str, Any]]]
    """As that of the processor, which must be set up."""
    get_vitals: Callable[[], Awaitable[Vitals]]
    """As that of the processor: cheap, whatever the database holds."""
    count_waiting: Callable[[], Awaitable[dict[str, int]]]
    """As that of the processor: cheap, whatever the jobs hold."""


@runtime_checkable
class Integration(Protocol):
    """Ties a processor to something outside, by its events and what its host hands out."""

    def install(self, host: Host) -> None:
        """Begin; called once for each processor, when it is made."""
