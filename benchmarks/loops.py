"""Which event loop a child runs on: the harness says so in the environment."""

from __future__ import annotations

import asyncio
import os


def install() -> None:
    """Make new event loops those of uvloop where $BENCH_LOOP says so."""
    if os.environ.get("BENCH_LOOP") == "uvloop":
        import uvloop

        # The command lines of the peers make their loops themselves: nothing else reaches them.
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # type: ignore[deprecated]
