"""What handlers share: the value that the lifespan of a processor yields, and who asks for it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncContextDecorator,
    ContextDecorator,
    nullcontext,
)
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from job_processor.errors import DefinitionError
from job_processor.handlers.callables import runs_at_once

if TYPE_CHECKING:
    from job_processor.handlers.definitions import Definition

Lifespan: TypeAlias = Callable[
    [Any], AbstractAsyncContextManager[object] | AbstractContextManager[object]
]
"""Returns a context manager for a processor; a function with `@asynccontextmanager`, or a class."""

NAME = "resources"
"""Whatever has a parameter of this name gets them."""
MISSING: Any = object()
"""Stands for the resources where there are none."""
LIFESPAN_TO_WRITE = (
    "write JobProcessor(…, lifespan=opened), where opened is `async def opened(processor): …` with "
    "@asynccontextmanager over it, and yields them"
)


@dataclass(frozen=True, slots=True)
class GivenResources:
    """A lifespan that opens nothing: its value was given by a test, or by a host application."""

    value: Any

    def __call__(self, _: object) -> AbstractAsyncContextManager[Any]:
        """Return a context manager that yields the value, for any processor."""
        return nullcontext(self.value)


def check_manager(argument: str, given: object, of: str) -> None:
    """Raise DefinitionError for what does not return a context manager for one `of` this name."""
    if given is None:
        return
    allowed = f"allowed is a function of the {of} that returns a context manager"
    if isinstance(given, AsyncContextDecorator | ContextDecorator):
        raise DefinitionError(argument, given, f"{allowed}: give the function, and do not call it")
    if not callable(given) or not runs_at_once(given):
        how = "write @asynccontextmanager (or @contextmanager) over one with a yield"
        raise DefinitionError(argument, given, f"{allowed}: {how}")
    signature = _signature(given)
    if signature is None:
        return
    try:
        signature.bind(None, **({NAME: None} if _asks(signature) else {}))
    except TypeError as error:
        raise DefinitionError(argument, given, f"{allowed}; {error}") from None


def asking(*functions: Callable[..., Any] | None) -> tuple[Callable[..., Any], ...]:
    """Return those of some functions of a job that have a parameter for the resources, too."""
    return tuple(
        each
        for each in functions
        if each is not None and (found := _signature(each)) is not None and _asks(found)
    )


def called(
    function: Callable[..., Any],
    job: Any,
    resources: Any,
    asking: Sequence[Callable[..., Any]],
) -> Any:
    """Return what a function of a job returns; it gets the resources where it is among `asking`."""
    return function(job, **{NAME: resources}) if function in asking else function(job)


def check_resources(name: str, definition: Definition, lifespan: Lifespan | None) -> None:
    """Raise DefinitionError where a job or cron asks for resources that it cannot get.

    Nothing opens them, or its process would not find what does.
    """
    from job_processor.handlers.definitions import check_importable  # noqa: PLC0415  # a circle

    who = _who_asks(definition)
    if who is None:
        return
    if lifespan is None:
        allowed = f"{who} of {name!r} takes {NAME}: {LIFESPAN_TO_WRITE}"
        raise DefinitionError("lifespan", None, allowed)
    if definition.executor == "process" and not isinstance(lifespan, GivenResources):
        check_importable("lifespan", lifespan)


def _who_asks(definition: Definition) -> str | None:
    if definition.bound.wants_resources:
        return "the handler"
    if any(each in definition.asking for each in definition.arounds):
        return "around"
    return "on_job_exited" if definition.asking else None


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    """Return how a function is called; None where Python cannot tell."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def _asks(signature: inspect.Signature) -> bool:
    found = signature.parameters.get(NAME)
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return found is not None and found.kind in by_name
