"""A user's function and how it is called: which argument each of its parameters gets."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from job_processor.errors import DefinitionError
from job_processor.handlers.callables import is_async, is_generator
from job_processor.handlers.payloads import PARAMETER, PayloadType, payload_type

Argument: TypeAlias = Literal["job", "signal", "payload", "context"]
NAMES: tuple[Argument, ...] = ("job", "signal", "payload", "context")
_GENERATOR = (
    "it has a yield, so a call of it makes a generator and runs nothing; allowed is a function, "
    "async or plain, that does its work and returns: to tell how far it is, use context.progress, "
    "and to store many results, a list or one job for each"
)
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, slots=True)
class BoundHandler:
    """A handler with what it gets, in order."""

    function: Callable[..., Any]
    positional: tuple[Argument, ...]
    keywords: tuple[Argument, ...]
    is_async: bool
    payload_type: PayloadType | None = None
    """The class of its payload; None: any mapping."""
    wants_context: bool = field(init=False)
    """True when a parameter gets the context."""

    def __post_init__(self) -> None:
        wants = "context" in self.positional or "context" in self.keywords
        object.__setattr__(self, "wants_context", wants)

    def as_values(self) -> tuple[Any, ...]:
        """Return what another process cannot tell: `BoundHandler(function, *values, type)`."""
        return self.positional, self.keywords, self.is_async

    def _payload(self, job: Any) -> Any:
        """Return what the handler gets; raises InvalidPayloadError."""
        payload = getattr(job, "payload", None)
        wanted = PARAMETER in self.positional or PARAMETER in self.keywords
        if self.payload_type is None or not wanted:
            return payload
        return self.payload_type.convert(payload)

    def arguments(
        self, job: Any, signal: Any, context: Any = None
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the positional and the keyword arguments for a run."""
        if not self.positional and not self.keywords:
            return [], {}
        given = {
            "job": job,
            "signal": signal,
            "payload": self._payload(job),
            "context": context,
        }
        return [given[name] for name in self.positional], {
            name: given[name] for name in self.keywords
        }


def bind_handler(function: Callable[..., Any], by_position: tuple[Argument, ...]) -> BoundHandler:
    """Decide what each parameter of `function` gets.

    Parameters named `job`, `signal`, `payload` or `context` get that; required positional ones of
    other names are filled by their position from `by_position`. Raises DefinitionError when it is
    not callable or a required parameter cannot be filled.
    """
    if not callable(function):
        raise DefinitionError("handler", function, "allowed is a function, async or plain")
    if is_generator(function):
        raise DefinitionError("handler", function, _GENERATOR)
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise DefinitionError(
            "handler", function, "allowed is a callable whose parameters Python can tell"
        ) from error
    positional = _positional(function, parameters, by_position)
    return BoundHandler(
        function=function,
        positional=positional,
        keywords=_keywords(function, parameters),
        is_async=is_async(function),
        payload_type=payload_type(function),
    )


def _positional(
    function: Callable[..., Any],
    parameters: list[inspect.Parameter],
    by_position: tuple[Argument, ...],
) -> tuple[Argument, ...]:
    filled: list[Argument] = []
    skipped = False
    taken = {_argument(parameter.name) for parameter in parameters}
    for index, parameter in enumerate(p for p in parameters if p.kind in _POSITIONAL):
        named = _argument(parameter.name)
        if named is None and parameter.default is not parameter.empty:
            skipped = True  # those behind it can only be filled by keyword
        elif skipped and parameter.kind is parameter.POSITIONAL_ONLY:
            raise _cannot_fill(function, parameter)
        elif skipped:
            continue  # named, behind one left alone: filled by keyword
        elif named is not None:
            filled.append(named)
        elif index < len(by_position):
            own = by_position[index]
            free = [other for other in by_position if other not in taken]
            filled.append(free[0] if own in taken and free else own)
        else:
            raise _cannot_fill(function, parameter)
    takes_all = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if takes_all and not skipped:
        filled.extend(by_position[len(filled) :])
    return tuple(filled)


def _keywords(
    function: Callable[..., Any], parameters: list[inspect.Parameter]
) -> tuple[Argument, ...]:
    filled: list[Argument] = []
    skipped = False
    for parameter in parameters:
        named = _argument(parameter.name)
        if parameter.kind is parameter.KEYWORD_ONLY:
            if named is not None:
                filled.append(named)
            elif parameter.default is parameter.empty:
                raise _cannot_fill(function, parameter)
        elif parameter.kind in _POSITIONAL:
            if named is None and parameter.default is not parameter.empty:
                skipped = True
            elif skipped and named is not None:
                filled.append(named)
    return tuple(filled)


def _argument(name: str) -> Argument | None:
    return next((known for known in NAMES if known == name), None)


def _cannot_fill(function: Callable[..., Any], parameter: inspect.Parameter) -> DefinitionError:
    return DefinitionError(
        "handler",
        function,
        f"its parameter {parameter.name!r} cannot be filled: allowed are parameters named job, "
        "signal, payload and context, up to two required positional ones of other names, and "
        "others with a default",
    )
