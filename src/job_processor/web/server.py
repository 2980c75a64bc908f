"""Serves the dashboard on a port of its own."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette

_PATIENCE = 2  # seconds; open pages listen for ever


async def serve(app: Starlette, host: str, port: int, tell: Callable[[str], object]) -> None:
    """Serve until a signal stops it.

    `tell` is called with the address once it can be reached; port 0 takes a free one. Raises
    OSError when the port cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listening:
        name = f"[{host}]" if family is socket.AF_INET6 else host
        tell(f"http://{name}:{listening.getsockname()[1]}/")
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,  # addresses hold what people look for
            timeout_graceful_shutdown=_PATIENCE,
        )
        server = _Server(config)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, server.handle_exit, number, None)
        await server.serve(sockets=[listening])


class _Server(uvicorn.Server):
    """Stops gracefully, and does not then raise the signal again: it has been obeyed."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield
