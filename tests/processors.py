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

WAIT = 60.0
"""Seconds after which something that should have happened counts as not happening.

Far more than any of it takes, on a busy machine, too: who waits for an event pays only for a
failure. What must not happen, or has to happen in time, is never told by it.
"""

_LONGEST_PAUSE = 0.1
"""Seconds between two looks at what takes long: looking takes away from what it waits for."""


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
        return await self.open(processor)

    async def open(self, processor: JobProcessor) -> JobProcessor:
        """Set a processor up, and return it."""
        return await self._stack.enter_async_context(processor)

    async def start(self, **options: Any) -> tuple[JobProcessor, RunningWorker]:
        """Return a processor whose worker runs until the end of the test."""
        processor = await self.make(**options)
        return processor, await self._stack.enter_async_context(working(processor))

    async def worker(self, processor: JobProcessor, *, registers: bool = True) -> RunningWorker:
        """Run a processor's worker until the end of the test; see `working`."""
        return await self._stack.enter_async_context(working(processor, registers=registers))


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
async def working(
    processor: JobProcessor, *, registers: bool = True
) -> AsyncIterator[RunningWorker]:
    """Run a worker for the time of the block, once it is registered; its failure fails the test.

    registers: False where nobody is to wait for that, as the database does not answer.
    """
    registered = asyncio.Event()

    def hear(event: Event) -> None:
        if event.kind is EventKind.WORKER_STARTED:
            registered.set()

    forget = processor.listen(hear)
    worker = RunningWorker(processor)
    try:
        if registers:
            await _either(registered, worker.task)
        forget()
        yield worker
    finally:
        if not worker.task.done():
            await worker.stop()
        elif not worker.task.cancelled():
            worker.task.result()


async def _either(event: asyncio.Event, task: asyncio.Task[None]) -> None:
    """Return once an event is set or a task has ended."""
    waiting = asyncio.create_task(event.wait())
    done, _ = await asyncio.wait([waiting, task], timeout=WAIT, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    assert done, "the worker was not registered"


async def eventually(condition: Any, what: str = "the condition") -> Any:
    """Return the first true value of an async `condition`, looked at again and again."""
    pause = 0.01
    try:
        async with asyncio.timeout(WAIT):
            while not (value := await condition()):
                await asyncio.sleep(pause)  # the looked-at thing sends no event
                pause = min(1.1 * pause, _LONGEST_PAUSE)
    except TimeoutError as error:
        raise AssertionError(f"{what} never came true") from error
    return value
