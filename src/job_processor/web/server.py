"""Serves the dashboard on a port of its own."""

from __future__ import annotations

import uvicorn
from starlette.applications import Starlette

_PATIENCE = 2  # seconds; open pages listen for ever


async def serve(app: Starlette, host: str, port: int) -> None:
    """Serve until a signal stops it; leaves with exit code 1 when the port cannot be had."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,  # addresses hold what people look for
        timeout_graceful_shutdown=_PATIENCE,
    )
    await uvicorn.Server(config).serve()
