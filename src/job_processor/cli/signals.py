"""The two signals that ask a program to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from signal import SIGINT, SIGTERM, Signals


@contextmanager
def obeyed(on_signal: Callable[[Signals], object]) -> Iterator[None]:
    """Call `on_signal` with each of them for the time of the block, in the running event loop."""
    loop = asyncio.get_running_loop()
    for number in (SIGTERM, SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number in (SIGTERM, SIGINT):
            loop.remove_signal_handler(number)
