"""What an integration is: `Integration`, and the `Host` that it is given. Write your own."""

from __future__ import annotations

from job_processor.events import Event, EventKind
from job_processor.host import Host, Integration
from job_processor.scopes import HandlerRun, Scope, Wrapper
from job_processor.stamps import Stamp

__all__ = [
    "Event",
    "EventKind",
    "HandlerRun",
    "Host",
    "Integration",
    "Scope",
    "Stamp",
    "Wrapper",
]
