"""How many workers are wanted, asked of a worker by another thread."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from job_processor.errors import InvalidArgumentError, JobProcessorError
from job_processor.events import Event, EventKind
from job_processor.hooks import Host
from job_processor.ops.scaling import scope_of_query

PATIENCE = 2.0
"""Seconds after which a database that has not answered counts as one that does not."""

_AWAY = "the database does not answer"
_NO_WORKER = "the worker has not started"


class ScalingDoor:
    """An integration that answers to `/scaling`, from the moment on at which its worker begins."""

    def __init__(self) -> None:
        self._host: Host | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def install(self, host: Host) -> None:
        """Begin."""
        self._host = host
        host.listen(self._on_event)

    async def answer(self, query: str) -> tuple[int, Mapping[str, Any]]:
        """Return status and body for the query of an address, from whichever event loop."""
        host, loop = self._host, self._loop
        if host is None or loop is None:
            return _problem(503, _NO_WORKER)
        try:
            scope = scope_of_query(parse_qsl(query, keep_blank_values=True))
            found = asyncio.run_coroutine_threadsafe(_ask(host, scope.arguments), loop)
            return 200, await asyncio.wait_for(asyncio.wrap_future(found), PATIENCE)
        except InvalidArgumentError as error:
            return _problem(400, str(error))
        except (JobProcessorError, TimeoutError, RuntimeError) as error:  # or its loop is closed
            host.logger.warning("scaling: %s", str(error) or _AWAY)
            return _problem(503, _AWAY)

    def _on_event(self, event: Event) -> None:
        if event.kind is EventKind.WORKER_STARTED:
            self._loop = asyncio.get_running_loop()
        elif event.kind is EventKind.WORKER_STOPPED:
            self._loop = None


async def _ask(host: Host, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    told: Mapping[str, Any] = (await host.get_scaling(**arguments)).as_json()
    return told


def _problem(status: int, detail: str) -> tuple[int, Mapping[str, Any]]:
    return status, {"type": "about:blank", "status": status, "detail": detail}
