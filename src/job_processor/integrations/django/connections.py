"""Django's database connections around each handler, as around a request: none is left behind."""

from __future__ import annotations

from functools import partial
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.db import close_old_connections, connections

from job_processor.hooks import Call, Host

_SETUP = "job_processor.integrations.django.setup"


class Connections:
    """The integration."""

    def install(self, host: Host) -> None:
        """Begin."""
        host.wrap_calls(_wrapped)
        host.preload(_SETUP)


def _wrapped(call: Call, is_async: bool) -> Call:
    return partial(_in_loop if is_async else _in_thread, call)


def _in_thread(call: Call) -> Any:
    """Call a plain handler. Its thread serves many, and CONN_MAX_AGE counts as in a request."""
    close_old_connections()
    try:
        return call()
    finally:
        close_old_connections()


async def _in_loop(call: Call) -> Any:
    """Call an async handler, whose ORM gets a thread of its own, as that of a request does.

    The thread ends with the handler, and so do its connections.
    """
    context = ThreadSensitiveContext()
    async with context:
        try:
            return await call()
        finally:
            if context in SyncToAsync.context_to_thread_executor:  # few have used it
                await sync_to_async(connections.close_all)()
