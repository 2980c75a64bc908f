"""The applications of these tests; their database is that of $JOB_PROCESSOR_DB when they are made.

Handlers that should go on for long do so until a file named `release` is in the working directory.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from job_processor import AbortSignal, JobProcessor
from job_processor.worker.loop import ClaimLoop
from tests.processors import QUICK

RELEASE = Path("release")
number = 5


async def until_released() -> str:
    """Wait for the file, whatever the signal says."""
    while not RELEASE.exists():  # noqa: ASYNC110  # another process makes it
        await asyncio.sleep(0.01)
    return "released"


def until_released_in_a_thread() -> str:
    """Occupy a thread until there is the file."""
    while not RELEASE.exists():
        time.sleep(0.01)
    return "released"


def greet(payload: dict[str, Any]) -> str:
    """Succeed at once."""
    return f"Hello, {payload['name']}!"


def fail() -> None:
    """Fail at once."""
    raise ValueError("\x1b[31mno\nluck")


async def exits_in_a_task(payload: dict[str, Any]) -> None:
    """Let a task of its own raise what ends programs."""
    errors: dict[str, BaseException] = {"exit": SystemExit(2), "interrupt": KeyboardInterrupt()}

    async def tool() -> None:
        raise errors[payload["raises"]]

    if payload["by"] == "group":
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(tool())
    elif payload["by"] == "wait_for":
        await asyncio.wait_for(tool(), 60)
    else:
        await asyncio.gather(tool(), asyncio.sleep(0))


async def only_one(signal: AbortSignal) -> None:
    """Run until it is asked to stop."""
    await signal.wait()


def make(**options: Any) -> JobProcessor:
    """Return a processor; a stop waits for its jobs, and is never forced by time."""
    processor = JobProcessor(**{**QUICK, "shutdown_grace": 60, "kill_grace": 60, **options})
    for handler in (until_released, until_released_in_a_thread, exits_in_a_task, greet, fail):
        processor.job(tag="tagged" if handler is fail else None)(handler)
    processor.job(exclusive=True)(only_one)
    processor.cron("0 0 1 1 *", "new_year")(lambda: None)
    return processor


def make_telling_its_loop(**options: Any) -> JobProcessor:
    """Return a processor whose job returns where its event loop comes from."""
    processor = JobProcessor(**QUICK, **options)

    @processor.job()
    async def tell() -> str:
        return type(asyncio.get_running_loop()).__module__.partition(".")[0]

    return processor


def make_telling_what_is_spared(**options: Any) -> JobProcessor:
    """Return a processor whose job tells what the garbage collector leaves alone, and how long.

    With `$GC_THRESHOLD` the program has set its own.
    """
    processor = JobProcessor(**QUICK, **options)
    if "GC_THRESHOLD" in os.environ:
        gc.set_threshold(int(os.environ["GC_THRESHOLD"]))

    @processor.job()
    async def tell() -> tuple[int, int]:
        return gc.get_freeze_count(), gc.get_threshold()[0]

    return processor


@asynccontextmanager
async def opened(processor: JobProcessor) -> AsyncIterator[str]:
    """Tell when it is entered and left."""
    processor.logger.warning("opened")
    yield "resources"
    await asyncio.sleep(0)
    processor.logger.warning("closed")


def make_opening(**options: Any) -> JobProcessor:
    """Return a processor with a lifespan."""
    return make(lifespan=opened, **options)


@asynccontextmanager
async def fails(processor: JobProcessor) -> AsyncIterator[None]:
    """Raise, as what cannot connect does."""
    if processor.address:
        raise ConnectionError("no pool")
    yield


def make_unopened() -> JobProcessor:
    """Return a processor whose lifespan fails."""
    return make(lifespan=fails)


async def make_async() -> JobProcessor:
    """Return a processor from a coroutine."""
    return make()


def make_dying() -> JobProcessor:
    """Return a processor whose worker dies of a bug: what its claims raise would be repeated."""

    async def die(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    ClaimLoop.run = die  # type: ignore[method-assign]
    return make()


def make_nothing() -> None:
    """Return what is no processor."""


def make_failing() -> JobProcessor:
    """Raise, as an application without its configuration does."""
    raise KeyError("SHOP_KEY")


def __getattr__(name: str) -> object:
    if name == "lazy":
        raise RuntimeError("not\ntoday")
    raise AttributeError(name)
