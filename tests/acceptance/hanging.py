"""An application whose jobs hang, each in its own way, when their worker is told to stop."""

from __future__ import annotations

import asyncio
import ctypes
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from job_processor import Job, JobProcessor

SHUTDOWN_GRACE, KILL_GRACE = 0.5, 0.25
"""Seconds."""

FOREVER = threading.Event()
"""Never set."""

BEGUN = "it hangs from now on"
"""What is said by whatever hangs, on stderr: it goes to the worker's log."""


def tell() -> None:
    """Say so."""
    sys.stderr.write(f"{BEGUN}\n")
    sys.stderr.flush()


async def hook_hangs(_: Job) -> None:
    """Wait for what never comes."""
    tell()
    await asyncio.Event().wait()


def plain_hook_hangs(_: Job) -> None:
    """Occupy a thread for good."""
    tell()
    FOREVER.wait()


async def quick() -> None:
    """End at once."""


async def fills_the_default_executor() -> None:
    """Occupy all threads of asyncio's default executor."""
    tell()
    await asyncio.gather(*(asyncio.to_thread(FOREVER.wait) for _ in range(64)))


async def swallows_cancellations() -> None:
    """Go on, whatever anybody says."""
    tell()
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue


def in_a_thread() -> None:
    """Occupy a thread for good."""
    tell()
    FOREVER.wait()


async def blocks_the_loop() -> None:
    """Occupy the event loop for good."""
    tell()
    time.sleep(3600)  # noqa: ASYNC251  # that is the point


async def holds_the_lock() -> None:
    """Keep Python's lock, so that no other thread and no signal handler runs."""
    tell()
    c, mutex = ctypes.PyDLL(None), ctypes.create_string_buffer(64)
    while True:
        c.pthread_mutex_lock(mutex)  # the second time, for good: no signal interrupts it


def in_a_process() -> None:
    """Occupy a process for good."""
    tell()
    FOREVER.wait()


HANDLERS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "hook": (quick, {"on_job_exited": hook_hangs}),
    "plain_hook": (quick, {"on_job_exited": plain_hook_hangs}),
    "executor": (fills_the_default_executor, {}),
    "stubborn": (swallows_cancellations, {}),
    "thread": (in_a_thread, {}),
    "loop": (blocks_the_loop, {}),
    "lock": (holds_the_lock, {}),
    "process": (in_a_process, {"executor": "process"}),
}


def make(**options: Any) -> JobProcessor:
    """Return a processor with all of them."""
    processor = JobProcessor(
        **{"shutdown_grace": SHUTDOWN_GRACE, "kill_grace": KILL_GRACE, **options}
    )
    for name, (handler, definition) in HANDLERS.items():
        processor.job(name, **definition)(handler)
    return processor
