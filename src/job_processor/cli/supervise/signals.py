"""The two signals that ask a program to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from signal import SIGINT, SIGTERM, Signals
from types import FrameType


@contextmanager
def obeyed(
    on_signal: Callable[[Signals], object], on_arrival: Callable[[], object] | None = None
) -> Iterator[None]:
    """Call `on_signal` with each of them for the time of the block, in the running event loop.

    on_arrival: called at once in the main thread, also while the event loop stands still.
    """
    loop = asyncio.get_running_loop()
    for number in (SIGTERM, SIGINT):
        loop.add_signal_handler(number, on_signal, number)
        if on_arrival is not None:
            _call_too(number, on_arrival)
    try:
        yield
    finally:
        for number in (SIGTERM, SIGINT):
            loop.remove_signal_handler(number)


def _call_too(number: Signals, on_arrival: Callable[[], object]) -> None:
    """Call something more from Python's own handler, which the loop has set."""
    of_loop = signal.getsignal(number)

    def handle(number: int, frame: FrameType | None) -> None:
        if callable(of_loop):
            of_loop(number, frame)
        on_arrival()

    signal.signal(number, handle)
    signal.siginterrupt(number, False)  # as the loop has it: no system call fails for a signal
