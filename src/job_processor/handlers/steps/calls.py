"""The function of a step: whether it is one, and how it is called in an event loop."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from job_processor.errors import InvalidArgumentError
from job_processor.handlers.callables import is_async
from job_processor.tasks import in_thread


def check_function(name: str, function: object) -> None:
    """Raise InvalidArgumentError for what is no function of an async handler's step."""
    _check_callable(name, function)
    if not _in_loop():
        allowed = f"allowed in a sync handler is context.step_sync({name!r}, …)"
        raise InvalidArgumentError("function", function, allowed)


def check_plain_function(name: str, function: Any) -> None:
    """Raise InvalidArgumentError for what is no function of a plain handler's step."""
    _check_callable(name, function)
    if is_async(function) or _in_loop():
        allowed = f"allowed in an async handler is await context.step({name!r}, …)"
        raise InvalidArgumentError("function", function, allowed)


def check_loop(argument: str, value: object, verb: str) -> None:
    """Raise InvalidArgumentError in a plain handler, which can await nothing."""
    if not _in_loop():
        allowed = f"allowed in a sync handler is context.{verb}_sync(…)"
        raise InvalidArgumentError(argument, value, allowed)


def check_no_loop(argument: str, value: object, verb: str) -> None:
    """Raise InvalidArgumentError in an event loop, which must not stand still."""
    if _in_loop():
        allowed = f"allowed in an async handler is await context.{verb}(…)"
        raise InvalidArgumentError(argument, value, allowed)


def _check_callable(name: str, function: object) -> None:
    if not callable(function):
        allowed = f"allowed is a function that is not called yet: context.step({name!r}, charge, 5)"
        raise InvalidArgumentError("function", function, allowed)


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def called(
    call: Callable[[], Any],
) -> tuple[Any, asyncio.CancelledError | None]:
    """Return what a function returns; a plain one runs in a thread, which is waited for."""
    if is_async(call):
        return await call(), None
    thread = asyncio.ensure_future(in_thread(call, "job-processor-step"))
    stopped = await to_its_end(thread)
    if stopped is not None and thread.exception() is not None:
        raise stopped
    answer = thread.result()
    return (await answer if inspect.isawaitable(answer) else answer), stopped


async def to_its_end(work: Awaitable[Any]) -> asyncio.CancelledError | None:
    """Wait for what must not be left in the middle; return the cancellation that came meanwhile.

    Without one, what it raises is raised here.
    """
    task, stopped = asyncio.ensure_future(work), None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            stopped = error
    if stopped is None:
        task.result()
    elif not task.cancelled():
        task.exception()  # seen: it would be logged as never retrieved
    return stopped
