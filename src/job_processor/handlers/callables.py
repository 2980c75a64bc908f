"""What a call of somebody's function does: run it, or make what has yet to be awaited or iterated.

Asked of functions, methods, partials of them, and objects with a `__call__`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any


def is_async(function: Callable[..., Any]) -> bool:
    """True when a call makes a coroutine."""
    inner = _innermost(function)
    return inspect.iscoroutinefunction(inner)


def is_generator(function: Callable[..., Any]) -> bool:
    """True when a call makes a generator, plain or async: nothing in it runs before it is iterated.

    One that `types.coroutine` makes awaitable is none.
    """
    inner = _innermost(function)
    if inspect.isasyncgenfunction(inner):
        return True
    if not inspect.isgeneratorfunction(inner):
        return False
    return not inner.__code__.co_flags & inspect.CO_ITERABLE_COROUTINE


def runs_at_once(function: Callable[..., Any]) -> bool:
    """True when a call does all that there is to do."""
    return not is_async(function) and not is_generator(function)


def attempt(call: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """Return what a call returned, or what it raised.

    For threads: a future cannot carry a StopIteration, and makes another error of some.
    """
    try:
        return call(), None
    except BaseException as error:  # noqa: BLE001  # it is somebody else's, whatever it is
        return None, error


def never_ran(result: object) -> str | None:
    """Return why what a function returned means that nothing of it has run; None: it does not."""
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        return (
            "it returned a generator, and nothing in that has run: iterate over it, and return "
            "what is to be kept"
        )
    if inspect.iscoroutine(result):
        result.close()  # or Python warns that it was never awaited
        return "it returned a coroutine, and nothing in that has run: await it"
    return None


def _innermost(function: Any) -> Any:
    """Return the function that a call of this one runs in the end, as far as Python tells."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        elif isinstance(function, type) or inspect.isroutine(function):
            return function
        else:  # an object: what its class says a call of it is
            inner = getattr(type(function), "__call__", None)  # noqa: B004  # not whether there is one
            if inner is None or not inspect.isfunction(inner):
                return function
            function = inner
