"""A program that fills a group and runs it, and dies by SIGKILL around one of its writes.

Arguments: the address of the database, the write, `before` or `after`, and which time it comes.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from job_processor import JobDef, JobProcessor
from job_processor.store import Store
from tests.insides import store_of
from tests.processors import QUICK

WRITES: dict[str, Callable[[Store], tuple[Any, str]]] = {
    "open": lambda store: (store.groups, "open"),
    "add": lambda store: (store.intake, "_insert"),
    "seal": lambda store: (store.groups, "_seal"),
    "settle": lambda store: (store.runs, "_settle"),
    "complete": lambda store: (store.groups, "_complete"),
    "call": lambda store: (store.groups.intake, "_insert"),
    "serve": lambda store: (store.groups, "note_served"),
}
"""The writes in the life of a group: a desk, and its function."""


async def nothing() -> None:
    """Do nothing."""


def make(db_url: str) -> JobProcessor:
    """Return a processor of the jobs."""
    jobs = {name: JobDef(nothing) for name in ("part", "then", "catch")}
    return JobProcessor(db_url, jobs=jobs, concurrency=1, **QUICK)


def kill_around(store: Store, write: str, when: str, time: int) -> None:
    """Let this process die around a write."""
    desk, name = WRITES[write](store)
    function: Callable[..., Awaitable[Any]] = getattr(desk, name)
    times = 0

    async def dying(*arguments: Any) -> Any:
        nonlocal times
        times += 1
        if times == time and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = await function(*arguments)
        if times == time:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(desk, name, dying)


async def main(db_url: str, write: str, when: str, time: str) -> None:
    """Fill a group of two and run all of it."""
    async with make(db_url) as processor:
        store = store_of(processor)
        store.intake._insert_here = lambda jobs: None  # type: ignore[method-assign]  # by `_insert`
        kill_around(store, write, when, int(time))
        async with processor.group(then="then", catch="catch") as group:
            await group.add("part")
            await group.add("part")
        await processor.run_worker(burst=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
