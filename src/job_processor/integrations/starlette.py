"""Starlette and FastAPI: a processor that lives as long as the application, and is there for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any

from job_processor.errors import MissingExtraError, NotSetUpError
from job_processor.handlers.abort import AbortController
from job_processor.handlers.resources import GivenResources
from job_processor.processor import JobProcessor

try:
    from starlette.requests import HTTPConnection
except ModuleNotFoundError as error:
    raise MissingExtraError("job_processor.integrations.starlette", "starlette") from error

__all__ = ["get_processor", "get_resources", "lifespan", "running"]

_STATE = "job_processor"
_RESOURCES = "job_resources"


@asynccontextmanager
async def running(
    processor: JobProcessor, *, worker: bool = True, resources: Any = ...
) -> AsyncIterator[JobProcessor]:
    """Keep a processor set up for the time of the block, with a worker in this event loop.

    worker: False: it only schedules, others run.
    resources: what handlers get as such, in place of what the processor's lifespan yields: the
        state of the application, which has opened it already.

    At the end the worker stops gracefully. Raises what it died of, and LifespanError where the
    processor's lifespan fails as it is entered: before the application serves.
    """
    with _given(processor, resources):
        async with processor:
            if not worker:
                yield processor
                return
            async with processor.resources(), _working(processor):
                yield processor


@contextmanager
def _given(processor: JobProcessor, resources: Any) -> Iterator[None]:
    if resources is ...:
        yield
        return
    undo = processor.override(lifespan=GivenResources(resources))
    try:
        yield
    finally:
        undo()


@asynccontextmanager
async def _working(processor: JobProcessor) -> AsyncIterator[None]:
    stop = AbortController()
    work = asyncio.create_task(processor.run_worker(stop.signal), name="job-processor worker")
    try:
        yield
    finally:
        stop.abort("the application stops")
        await work


def lifespan(
    processor: JobProcessor, *, worker: bool = True
) -> Callable[[Any], AbstractAsyncContextManager[dict[str, Any]]]:
    """Return what `Starlette(lifespan=…)` and `FastAPI(lifespan=…)` take.

    worker: as that of `running`, which is for an application with a lifespan of its own.
    """

    @asynccontextmanager
    async def live(app: Any) -> AsyncIterator[dict[str, Any]]:
        async with running(processor, worker=worker), _shared(processor, worker) as state:
            for name, value in state.items():
                setattr(app.state, name, value)
            yield state

    return live


def get_processor(connection: HTTPConnection) -> JobProcessor:
    """Return the processor of the application that serves a request; for FastAPI's `Depends`, too.

    In an application that is mounted into one with this lifespan it is that one's. Raises
    NotSetUpError when the lifespan is not `lifespan(processor)`.
    """
    processor = _state(connection, _STATE)
    if not isinstance(processor, JobProcessor):
        raise NotSetUpError("make the application with lifespan=lifespan(processor)")
    return processor


def get_resources(connection: HTTPConnection) -> Any:
    """Return what the processor's lifespan yields, which requests and jobs share.

    As `get_processor`, for FastAPI's `Depends`, too. Raises NotSetUpError also where the
    application has no worker, since its process does not enter the lifespan then.
    """
    get_processor(connection)
    resources = _state(connection, _RESOURCES)
    if resources is None:
        raise NotSetUpError(
            "there are no resources here: give the processor a lifespan=, and the application a "
            "worker, lifespan(processor, worker=True)"
        )
    return resources


def _state(connection: HTTPConnection, name: str) -> Any:
    states = (connection.state, connection.app.state)  # what the lifespan yields; what it has set
    found = (getattr(state, name, None) for state in states)
    return next((each for each in found if each is not None), None)


@asynccontextmanager
async def _shared(processor: JobProcessor, worker: bool) -> AsyncIterator[dict[str, Any]]:
    """Give what requests get of a processor."""
    if not worker:
        yield {_STATE: processor}
        return
    async with processor.resources() as resources:
        yield {_STATE: processor, _RESOURCES: resources}
