"""A user's function and how it is called: which argument each of its parameters gets."""

from __future__ import annotations

import inspect
import logging
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias
from uuid import UUID

from bson import ObjectId

from job_processor.errors import DefinitionError
from job_processor.handlers.abort import AbortSignal
from job_processor.handlers.callables import is_async, is_generator
from job_processor.handlers.context import Context
from job_processor.handlers.payloads import PayloadType, payload_type
from job_processor.handlers.signature import (
    EMPTY,
    POSITIONAL,
    Parameter,
    Unresolved,
    parameters_of,
)
from job_processor.models import BaseJob, CronTask, SimpleJob
from job_processor.values import normalize_payload

if TYPE_CHECKING:
    from job_processor.handlers.fields import Fields

Argument: TypeAlias = Literal[
    "job", "signal", "payload", "context", "resources", "jobs", "payloads", "contexts"
]
NAMES: dict[str, Argument] = {
    "job": "job",
    "_job": "job",
    "signal": "signal",
    "_signal": "signal",
    "payload": "payload",
    "context": "context",
    "resources": "resources",
}
"""What a parameter gets by its name."""
_CLASSES: dict[type[Any], Argument] = {
    SimpleJob: "job",
    CronTask: "job",
    BaseJob: "job",
    AbortSignal: "signal",
    Context: "context",
}
"""What a parameter gets by its class, whatever its name."""
_BY_TEXT: dict[str, Argument] = {kind.__name__: argument for kind, argument in _CLASSES.items()} | {
    "Job": "job"
}
_SCALARS = (str, bytes, int, float, bool, list, set, frozenset)
_OF_ANY_CLASS: dict[Argument, tuple[Any, ...]] = {
    "payload": (*_SCALARS, tuple),
    "resources": (*_SCALARS, date, datetime, time, timedelta, Decimal, UUID, ObjectId, Literal),
}
"""What a parameter may be annotated with as one likes, and the classes that tell of a field: no
mapping is one of the first, and what a process opens is hardly one of the second."""
_GENERATOR = (
    "it has a yield, so a call of it makes a generator and runs nothing; allowed is a function, "
    "async or plain, that does its work and returns: to tell how far it is, use context.progress, "
    "and to store many results, a list or one job for each"
)
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Door(typing.NamedTuple):
    """How a function becomes a handler."""

    by_position: tuple[Argument, ...] = ()
    """What required parameters without an annotation get, in order; empty: they are fields."""
    takes_fields: bool = True
    """False where there is no payload."""


@dataclass(frozen=True, slots=True)
class BoundHandler:
    """A handler with what it gets."""

    function: Callable[..., Any]
    positional: tuple[str, ...]
    """What it gets by position: an `Argument`, or the name of a field."""
    keywords: tuple[tuple[str, Argument], ...]
    """Names of parameters, and what each gets."""
    is_async: bool
    payload_type: PayloadType | None = None
    """The class of its payload; None: any mapping."""
    fields: Fields | None = None
    """The parameters that are fields of its payload; None: it has none."""
    wants_context: bool = field(init=False)
    """True when a parameter gets the context."""
    wants_signal: bool = field(init=False)
    """True when a parameter gets the signal."""
    wants_resources: bool = field(init=False)
    """True when a parameter gets the resources."""
    stored: Callable[[object], dict[str, Any] | None] = field(init=False, repr=False)
    """Returns what is to be stored of a payload; raises PayloadError."""

    def __post_init__(self) -> None:
        wanted = {*self.positional, *(argument for _, argument in self.keywords)}
        object.__setattr__(self, "wants_context", bool(wanted & {"context", "contexts"}))
        object.__setattr__(self, "wants_signal", "signal" in wanted)
        object.__setattr__(self, "wants_resources", "resources" in wanted)
        checks = self.payload_type or self.fields
        object.__setattr__(self, "stored", checks.check if checks else normalize_payload)

    def as_values(self) -> tuple[Any, ...]:
        """Return what another process cannot tell, for `bound_again`."""
        fields = None if self.fields is None else self.fields.parameters
        return self.positional, self.keywords, self.is_async, fields

    def _payload(self, job: Any) -> Any:
        """Return what the handler gets; raises InvalidPayloadError."""
        payload = getattr(job, "payload", None)
        return payload if self.payload_type is None else self.payload_type.convert(payload)

    def arguments(
        self, job: Any, signal: Any, context: Any = None, resources: Any = None
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the positional and the keyword arguments for a run."""
        if self.fields is None and not self.positional and not self.keywords:
            return [], {}
        given = {"job": job, "signal": signal, "context": context, "resources": resources}
        if self.fields is not None:
            return self._with_fields(self.fields, job, given)
        given["payload"] = self._payload(job)
        return [given[name] for name in self.positional], {
            name: given[argument] for name, argument in self.keywords
        }

    def _with_fields(
        self, fields: Fields, job: Any, given: dict[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        keywords = fields.read(getattr(job, "payload", None))
        positional = [
            given[name] if name in given else keywords.pop(name) for name in self.positional
        ]
        for name, argument in self.keywords:
            keywords[name] = given[argument]
        return positional, keywords


def bind_handler(function: Callable[..., Any], door: Door) -> BoundHandler:
    """Decide what each parameter of `function` gets.

    Raises DefinitionError when it is not callable, a required parameter cannot be filled, or one
    says that it takes something else than what its name stands for.
    """
    if not callable(function):
        raise DefinitionError("handler", function, "allowed is a function, async or sync")
    if is_generator(function):
        raise DefinitionError("handler", function, _GENERATOR)
    return _Binding(function, parameters_of(function), door).bound()


def bound_again(function: Callable[..., Any], values: tuple[Any, ...]) -> BoundHandler:
    """Return in another process the handler of which these are `as_values()`."""
    positional, keywords, is_async, names = values
    fields = None
    if names is not None:
        fields = _fields(function, [each for each in parameters_of(function) if each.name in names])
    return BoundHandler(function, positional, keywords, is_async, payload_type(function), fields)


class _Binding:
    """One function on its way to become a handler."""

    def __init__(
        self, function: Callable[..., Any], parameters: Sequence[Parameter], door: Door
    ) -> None:
        self._function = function
        self._parameters = parameters
        self._door = door
        self._arguments = {
            each.name: argument
            for each in parameters
            if each.kind not in _VARIABLE and (argument := _argument(each)) is not None
        }
        """What is given by name or class, by parameter."""
        self._arguments |= self._by_position()
        self._fields = [each for each in parameters if self._is_field(each)]

    def bound(self) -> BoundHandler:
        """Return the handler."""
        taken = {each.name for each in self._fields} | set(self._arguments)
        for each in self._parameters:
            if each.is_required and each.name not in taken:
                raise self._cannot_fill(each)
        positional, keywords = self._calls()
        return BoundHandler(
            function=self._function,
            positional=positional,
            keywords=keywords,
            is_async=is_async(self._function),
            payload_type=payload_type(self._function),
            fields=_fields(self._function, self._fields) if self._fields else None,
        )

    def _by_position(self) -> dict[str, Argument]:
        """Return what required parameters without an annotation get, by their names."""
        filled: dict[str, Argument] = {}
        by_position, taken = self._door.by_position, set(self._arguments.values())
        for index, each in enumerate(each for each in self._parameters if each.kind in POSITIONAL):
            named = each.name in self._arguments
            if named or each.is_annotated or not each.is_required or index >= len(by_position):
                continue
            own = by_position[index]
            free = [other for other in by_position if other not in taken]
            filled[each.name] = free[0] if own in taken and free else own
        if filled:
            self._warn(filled)
        return filled

    def _warn(self, filled: dict[str, Argument]) -> None:
        told = ", ".join(f"{name!r} gets the {argument}" for name, argument in filled.items())
        logging.getLogger("job_processor").warning(
            "%s: %s, by position; name it so, since under @processor.job it would be a field of "
            "the payload",
            getattr(self._function, "__qualname__", self._function),
            told,
        )

    def _is_field(self, parameter: Parameter) -> bool:
        if parameter.name in self._arguments or not self._door.takes_fields:
            return False
        if "payload" in self._arguments.values():
            return False
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            return False
        by_name = not self._door.by_position or self._has_annotated_fields()
        return parameter.is_annotated or by_name

    def _has_annotated_fields(self) -> bool:
        return any(
            each.is_annotated and each.name not in self._arguments and each.kind not in _VARIABLE
            for each in self._parameters
        )

    def _calls(self) -> tuple[tuple[str, ...], tuple[tuple[str, Argument], ...]]:
        """Return what is given by position, and what by keyword."""
        positional: list[str] = []
        keywords: list[tuple[str, Argument]] = []
        skipped = False
        for each in self._parameters:
            argument = self._arguments.get(each.name)
            only = each.kind is inspect.Parameter.POSITIONAL_ONLY
            if only and argument is None and each in self._fields:
                positional.append(each.name)
            elif argument is None:
                skipped = skipped or each.kind in POSITIONAL
            elif skipped and only:
                raise self._cannot_fill(each)
            elif skipped or each.kind not in POSITIONAL:
                keywords.append((each.name, argument))
            else:
                positional.append(argument)
        takes_all = any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in self._parameters)
        if takes_all and not skipped:
            positional.extend(self._door.by_position[len(positional) :])
        return tuple(positional), tuple(keywords)

    def _cannot_fill(self, parameter: Parameter) -> DefinitionError:
        if "payload" in self._arguments.values():
            why = (
                "it takes the whole payload: let that parameter go, and all others are fields, or "
                "read it from the payload"
            )
        elif not self._door.takes_fields:
            why = "a cron has no payload: allowed are job, signal, context, resources, and defaults"
        else:
            why = (
                "allowed are job, signal, payload, context and resources, and fields with an "
                "annotation"
            )
        allowed = f"its parameter {parameter.name!r} cannot be filled; {why}"
        return DefinitionError("handler", self._function, allowed)


def _fields(function: Callable[..., Any], parameters: Sequence[Parameter]) -> Fields:
    """Return the fields of a handler; one without needs nothing of what they are made of."""
    from job_processor.handlers.fields import Fields  # noqa: PLC0415  # see above

    return Fields(function, parameters)


def _argument(parameter: Parameter) -> Argument | None:
    """Return what a parameter gets by its name or its class; None: neither says it."""
    by_name, by_class = NAMES.get(parameter.name), _by_class(parameter.annotation)
    if by_name is None or by_class == by_name or _says_nothing(parameter.annotation):
        return by_class if by_name is None else by_name
    telling = _OF_ANY_CLASS.get(by_name)
    if by_class is None and telling and not _is_all_of(telling, parameter.annotation):
        return by_name
    raise DefinitionError(
        parameter.name,
        parameter.annotation,
        f"a parameter of this name gets the {by_name}; give the field another name",
    )


def _by_class(annotation: Any) -> Argument | None:
    if isinstance(annotation, Unresolved):
        last = (
            annotation.text.strip("'\"").replace(" ", "").removesuffix("|None").rpartition(".")[2]
        )
        return _BY_TEXT.get(last)
    found = {
        argument
        for each in _members(annotation)
        for kind, argument in _CLASSES.items()
        if isinstance(each, type) and issubclass(each, kind)
    }
    return found.pop() if len(found) == 1 else None


def _says_nothing(annotation: Any) -> bool:
    """True for an annotation that anything may have, such as Any or a protocol."""
    if annotation is EMPTY or isinstance(annotation, Unresolved):
        return True
    return any(
        each in (Any, object) or isinstance(each, typing.TypeVar) or _is_protocol(each)
        for each in _members(annotation)
    )


def _is_protocol(kind: Any) -> bool:
    return isinstance(kind, type) and Protocol in kind.__mro__


def _is_all_of(kinds: tuple[Any, ...], annotation: Any) -> bool:
    """True for a union of nothing but these, or of what is derived from a kind of value."""
    return all(
        each in kinds or (isinstance(each, type) and issubclass(each, Enum))
        for member in _members(annotation)
        for each in [typing.get_origin(member) or member]
    )


def _members(annotation: Any) -> list[Any]:
    """Return what a union is of, without None; anything else alone."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _members(typing.get_args(annotation)[0])
    arguments = typing.get_args(annotation)
    is_union = typing.get_origin(annotation) is typing.Union or type(annotation) is type(int | str)
    if not is_union:
        return [typing.get_origin(annotation) or annotation]
    return [member for each in arguments if each is not type(None) for member in _members(each)]
