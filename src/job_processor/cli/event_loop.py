"""Which event loop a worker runs on: asyncio's own, or uvloop's, where that is installed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from job_processor.cli.extras import is_installed, require
from job_processor.cli.reading import read_choice

T = TypeVar("T")

LOOPS = ("auto", "asyncio", "uvloop")


def read_loop(text: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the loop that `--loop` names; None: asyncio's own.

    Raises InvalidArgumentError, and MissingExtraError when uvloop is named and not installed.
    """
    choice = read_choice("--loop", text, LOOPS)
    if choice == "uvloop":
        require("uvloop", "--loop uvloop")
    if choice == "asyncio" or not is_installed("uvloop"):
        return None
    import uvloop  # noqa: PLC0415  # optional

    make: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return make


def run(
    main: Coroutine[Any, Any, T], make_loop: Callable[[], asyncio.AbstractEventLoop] | None
) -> T:
    """Run a coroutine to its end on a loop of its own, as `asyncio.run` does."""
    with asyncio.Runner(loop_factory=make_loop) as runner:
        return runner.run(main)
