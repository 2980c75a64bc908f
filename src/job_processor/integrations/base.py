"""What an integration is: `Integration`, and the `Host` that it is given. Write your own."""

from __future__ import annotations

from job_processor.events import Event, EventKind
from job_processor.hooks import HandlerRun, Host, Integration, Scope, Stamp, Wrapper

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
