"""Serves the dashboard on a port of its own."""

from __future__ import annotations

import asyncio
import functools
import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette

from job_processor.tasks import cancel
from job_processor.web.connections import (
    AT_ONE_GO,
    BACKLOG,
    REQUEST_TIME,
    Connection,
    Connections,
)
from job_processor.web.proxies import Proxies

_PATIENCE = 2  # seconds; open pages listen for ever


async def serve(
    app: Starlette,
    host: str,
    port: int,
    tell: Callable[[str], object],
    *,
    root_path: str = "",
    proxies: Iterable[str] = (),
) -> None:
    """Serve until a signal stops it.

    tell: called with the address once it can be reached; port 0 takes a free one.
    root_path: the path under which a proxy shows it, and which the proxy takes away.
    proxies: addresses and networks of proxies that are believed who asks.

    Raises OSError when the port cannot be had, and InvalidArgumentError.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    trusting = Proxies(app, proxies, root_path)
    with socket.create_server((host, port), family=family) as listening:
        connections = Connections()
        app.state.hub.most = min(app.state.hub.most, connections.most // 2)
        protocol: Any = functools.partial(Connection, connections)
        config = uvicorn.Config(
            trusting,
            http=protocol,
            ws="none",
            log_level="error",  # a line for each thing that is no request would fill a disk
            access_log=False,  # addresses hold what people look for
            proxy_headers=False,  # ours asks whom to believe
            server_header=False,
            backlog=AT_ONE_GO,  # asyncio takes as many in a row as the system may keep
            timeout_keep_alive=int(REQUEST_TIME),
            timeout_graceful_shutdown=_PATIENCE,
        )
        server = _Server(config)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, server.handle_exit, number, None)
        name = f"[{host}]" if family is socket.AF_INET6 else host
        tell(f"http://{name}:{listening.getsockname()[1]}/")
        sweeping = asyncio.create_task(connections.sweep(), name="sweep of connections")
        try:
            await server.serve(sockets=[listening])
        finally:
            await cancel([sweeping])


class _Server(uvicorn.Server):
    """Stops gracefully, and does not then raise the signal again: it has been obeyed."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin, and let the system keep more connections for us than we take at one go."""
        await super().startup(sockets)
        for each in sockets or ():
            each.listen(BACKLOG)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield
