"""Which event loop a worker runs on: asyncio's own, or uvloop's, where that is installed."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from job_processor.cli.reading import read_choice
from job_processor.errors import InvalidArgumentError

T = TypeVar("T")

LOOPS = ("auto", "asyncio", "uvloop")


def read_loop(text: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the loop that `--loop` names; None: asyncio's own."""
    choice = read_choice("--loop", text, LOOPS)
    installed = importlib.util.find_spec("uvloop") is not None
    if choice == "uvloop" and not installed:
        raise InvalidArgumentError(
            "--loop", text, "uvloop is not installed; pip install 'job-processor[uvloop]'"
        )
    if choice == "asyncio" or not installed:
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
