"""Starlette and FastAPI: a processor that lives as long as the application, and is there for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from job_processor.errors import MissingExtraError, NotSetUpError
from job_processor.handlers.abort import AbortController
from job_processor.processor import JobProcessor

try:
    from starlette.requests import HTTPConnection
except ModuleNotFoundError as error:
    raise MissingExtraError("job_processor.integrations.starlette", "starlette") from error

__all__ = ["get_processor", "lifespan", "running"]

_STATE = "job_processor"


@asynccontextmanager
async def running(processor: JobProcessor, *, worker: bool = True) -> AsyncIterator[JobProcessor]:
    """Keep a processor set up for the time of the block, with a worker in this event loop.

    worker: False: it only schedules, others run.

    At the end the worker stops gracefully. Raises what it died of.
    """
    async with processor:
        if not worker:
            yield processor
            return
        stop = AbortController()
        work = asyncio.create_task(processor.run_worker(stop.signal), name="job-processor worker")
        try:
            yield processor
        finally:
            stop.abort("the application stops")
            await work


def lifespan(
    processor: JobProcessor, *, worker: bool = True
) -> Callable[[Any], AbstractAsyncContextManager[dict[str, JobProcessor]]]:
    """Return what `Starlette(lifespan=…)` and `FastAPI(lifespan=…)` take.

    worker: as that of `running`, which is for an application with a lifespan of its own.
    """

    @asynccontextmanager
    async def live(app: Any) -> AsyncIterator[dict[str, JobProcessor]]:
        async with running(processor, worker=worker):
            setattr(app.state, _STATE, processor)
            yield {_STATE: processor}

    return live


def get_processor(connection: HTTPConnection) -> JobProcessor:
    """Return the processor of the application that serves a request; for FastAPI's `Depends`, too.

    In an application that is mounted into one with this lifespan it is that one's. Raises
    NotSetUpError when the lifespan is not `lifespan(processor)`.
    """
    states = (connection.state, connection.app.state)  # what the lifespan yields; what it has set
    found = (getattr(state, _STATE, None) for state in states)
    processor = next((each for each in found if each is not None), None)
    if not isinstance(processor, JobProcessor):
        raise NotSetUpError("make the application with lifespan=lifespan(processor)")
    return processor
