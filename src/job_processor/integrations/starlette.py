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
    """Set up a processor for a block and run a worker in this event loop.

    worker: False runs no worker; other processes run the jobs.
    resources: what handlers get as `resources` instead of the value of the processor's lifespan,
        for an application that has opened them already.

    At the end of the block the worker shuts down gracefully. Raises the error of a worker that
    failed, and LifespanError before the application starts to serve if the lifespan fails.
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
    """Return a lifespan for `Starlette(lifespan=…)` and `FastAPI(lifespan=…)`.

    worker: True runs a worker in the application's process; False only stores jobs.

    An application with a lifespan of its own uses `running` in it.
    """

    @asynccontextmanager
    async def live(app: Any) -> AsyncIterator[dict[str, Any]]:
        async with running(processor, worker=worker), _shared(processor, worker) as state:
            for name, value in state.items():
                setattr(app.state, name, value)
            yield state

    return live


def get_processor(connection: HTTPConnection) -> JobProcessor:
    """Return the processor of the application that serves a request; also for `Depends`.

    A mounted application gets the processor of the outer one. Raises NotSetUpError unless the
    application has the lifespan `lifespan(processor)`.
    """
    processor = _state(connection, _STATE)
    if not isinstance(processor, JobProcessor):
        raise NotSetUpError("make the application with lifespan=lifespan(processor)")
    return processor


def get_resources(connection: HTTPConnection) -> Any:
    """Return the value that the processor's lifespan yields, shared by requests and jobs.

    For FastAPI's `Depends`, too. Raises NotSetUpError as `get_processor` does, and if the
    application runs no worker, because its process does not enter the lifespan then.
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
