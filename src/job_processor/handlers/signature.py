"""The parameters of a user's function, with their annotations evaluated."""

from __future__ import annotations

import functools
import inspect
import logging
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from job_processor.errors import DefinitionError

EMPTY = inspect.Parameter.empty
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Unresolved:
    """An annotation that cannot be evaluated here, such as one imported for type checkers only."""

    text: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a function."""

    name: str
    kind: Any
    """One of the kinds of `inspect.Parameter`."""
    default: Any
    """EMPTY where it is required."""
    annotation: Any
    """What it means; EMPTY where there is none, Unresolved where it cannot be told."""

    @property
    def is_annotated(self) -> bool:
        """True when it says what it takes."""
        return self.annotation is not EMPTY

    @property
    def is_required(self) -> bool:
        """True when a call has to give it."""
        return self.default is EMPTY and (
            self.kind in POSITIONAL or self.kind is inspect.Parameter.KEYWORD_ONLY
        )


def parameters_of(function: Callable[..., Any]) -> list[Parameter]:
    """Return the parameters in order; raises DefinitionError where Python cannot tell them."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise DefinitionError(
            "handler", function, "allowed is a callable whose parameters Python can tell"
        ) from error
    return [
        Parameter(each.name, each.kind, each.default, _evaluated(function, each))
        for each in signature.parameters.values()
    ]


def warn_unresolved(function: Callable[..., Any], what: str, annotation: Unresolved) -> None:
    """Log that something of a function is taken as it comes, since its class is not known."""
    logging.getLogger("job_processor").warning(
        "%s of %s is not checked: its annotation %r cannot be resolved",
        what,
        getattr(function, "__qualname__", function),
        annotation.text,
    )


def _evaluated(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    annotation = parameter.annotation
    if not isinstance(annotation, str):
        return annotation
    holder = type("holder", (), {"__annotations__": {parameter.name: annotation}})
    try:
        hints = typing.get_type_hints(holder, globalns=_globals(function), include_extras=True)
    except (NameError, AttributeError, TypeError, SyntaxError):
        return Unresolved(annotation)
    return hints[parameter.name]


def _globals(function: Any) -> dict[str, Any]:
    """Return the names of the module in which a function, a partial or an object was written."""
    inner = inspect.unwrap(function)
    while isinstance(inner, functools.partial):
        inner = inspect.unwrap(inner.func)
    if not hasattr(inner, "__globals__"):
        inner = inner.__call__
    names: dict[str, Any] = getattr(inner, "__globals__", {})
    return names
