"""Processors for tests: quick timers, and workers that run in the test's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self

from job_processor import AbortController, Event, EventKind, JobProcessor

QUICK: dict[str, Any] = {
    "poll_interval": 0.2,
    "heartbeat_interval": 0.2,
    "worker_timeout": 1.0,
    "shutdown_grace": 1.0,
    "kill_grace": 0.2,
}
"""Settings under which nothing takes longer than a test wants to wait."""

_REGISTRATION = 2.0
"""Seconds within which a worker is registered, where its database answers."""

WAIT = 20.0
"""Seconds after which something that should have happened counts as not happening."""


class Processors:
    """Makes processors on one database, and closes them at the end."""

    def __init__(self, db_url: str) -> None:
        self.db_url = db_url
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def at_the_end(self, close: Callable[[], Awaitable[object]]) -> None:
        """Await `close()` before the processors made so far are closed."""
        self._stack.push_async_callback(close)

    async def make(self, **options: Any) -> JobProcessor:
        """Return a processor that is set up."""
        processor = JobProcessor(**{"db": self.db_url, **QUICK, **options})
        return await self._stack.enter_async_context(processor)

    async def start(self, **options: Any) -> tuple[JobProcessor, RunningWorker]:
        """Return a processor whose worker runs until the end of the test."""
        processor = await self.make(**options)
        return processor, await self._stack.enter_async_context(working(processor))

    async def worker(self, processor: JobProcessor) -> RunningWorker:
        """Run a processor's worker until the end of the test."""
        return await self._stack.enter_async_context(working(processor))


class RunningWorker:
    """A worker in a task of the test's loop."""

    def __init__(self, processor: JobProcessor) -> None:
        self.controller = AbortController()
        self.task = asyncio.create_task(processor.run_worker(self.controller.signal))

    async def stop(self) -> None:
        """Stop gracefully and wait for the end."""
        self.controller.abort("test")
        await asyncio.wait_for(asyncio.shield(self.task), WAIT)

    async def crash(self) -> None:
        """Stop by force."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@asynccontextmanager
async def working(processor: JobProcessor) -> AsyncIterator[RunningWorker]:
    """Run a worker for the time of the block, once it is registered; its failure fails the test."""
    registered = asyncio.Event()

    def hear(event: Event) -> None:
        if event.kind is EventKind.WORKER_STARTED:
            registered.set()

    forget = processor.listen(hear)
    worker = RunningWorker(processor)
    try:
        with contextlib.suppress(TimeoutError):  # there are databases that never answer
            async with asyncio.timeout(_REGISTRATION):
                await registered.wait()
        forget()
        yield worker
    finally:
        if not worker.task.done():
            await worker.stop()
        elif not worker.task.cancelled():
            worker.task.result()


async def eventually(condition: Any, what: str = "the condition") -> Any:
    """Return the first true value of an async `condition`, looked at again and again."""
    async with asyncio.timeout(WAIT):
        while True:
            value = await condition()
            if value:
                return value
            await asyncio.sleep(0.01)  # the looked-at thing sends no event
    raise AssertionError(f"{what} never came true")
