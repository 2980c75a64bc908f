"""What somebody may fill in to make a payload: the fields of its class, or of its handler.

A form is made of it. What is filled in is still checked as any other payload is.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, Literal, TypeAlias, Union
from uuid import UUID

from bson import ObjectId

from job_processor.errors import DefinitionError, JobProcessorError
from job_processor.handlers.definitions import JobDef
from job_processor.handlers.fields import plain_of
from job_processor.handlers.fields.annotations import meant
from job_processor.handlers.signature import EMPTY, Parameter, Unresolved, parameters_of

MOST = 60
"""Fields of a form; a payload that has more of them is written as JSON."""

MOST_CHOICES = 200
"""Values that a field lets somebody choose from."""

InputKind: TypeAlias = Literal[
    "text",
    "integer",
    "number",
    "decimal",
    "checkbox",
    "date",
    "datetime",
    "time",
    "choice",
    "json",
]

_KINDS: Mapping[Any, InputKind] = {
    str: "text",
    UUID: "text",
    ObjectId: "text",
    int: "integer",
    float: "number",
    Decimal: "decimal",
    bool: "checkbox",
    date: "date",
    datetime: "datetime",
    time: "time",
}
_WITH_THE_PAYLOAD = {"payload", "payloads", "job", "jobs"}
"""What a handler may read the payload of."""


_MADE = dataclasses.MISSING
"""For a default that is made when it is needed, or that nothing tells."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the values that a field may have."""

    value: Any
    """As it is stored: a text, a number, a truth."""
    told: str
    """How people know it."""


@dataclass(frozen=True, slots=True)
class Input:
    """One field of a payload."""

    name: str
    """As it is stored."""
    kind: InputKind
    """How it is filled in; `json`: a value of any other type, written as JSON."""
    required: bool
    """True where a payload without it is refused."""
    nullable: bool = False
    """True where it may be null."""
    default: Any = None
    """What holds where it is left out, as it is stored; None where that is None, or not known."""
    choices: tuple[Choice, ...] = ()
    """Of the kind `choice`."""
    type: str = ""
    """What its annotation says, for people."""

    def as_json(self) -> dict[str, Any]:
        """Return it in plain JSON values."""
        return {
            "name": self.name,
            "kind": self.kind,
            "type": self.type,
            "required": self.required,
            "nullable": self.nullable,
            "choices": [each.value for each in self.choices],
        }


def inputs_of(definition: JobDef | None) -> tuple[Input, ...] | None:
    """Return the fields of a job's payload in their order; none where it takes no payload.

    None where nothing says what fields there are: its handler takes any mapping, or is elsewhere.
    """
    if definition is None or definition.handler is None:
        return None
    try:
        found = tuple(_input(each) for each in _members_of(definition))
    except (_OpenError, JobProcessorError, NameError, TypeError, AttributeError):
        return None  # a class that is defined later, or for type checkers only
    return found if len(found) <= MOST else None


class _OpenError(Exception):
    """The payload may have fields that nothing names."""


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    annotation: Any
    default: Any = EMPTY
    """EMPTY where it is required, MISSING where it is not known."""


def _members_of(definition: JobDef) -> Iterator[_Member]:
    bound = definition.bound
    parameters = parameters_of(bound.function)
    if bound.fields is not None:
        if bound.fields.is_open:
            raise _OpenError
        named = set(bound.fields.parameters)
        return (
            _Member(each.name, each.annotation, each.default)
            for each in parameters
            if each.name in named and each.kind is not inspect.Parameter.VAR_KEYWORD
        )
    if bound.payload_type is not None:
        return _of_class(_class_of(parameters))
    wanted = {*bound.positional, *(argument for _, argument in bound.keywords)}
    if wanted & _WITH_THE_PAYLOAD:
        raise _OpenError
    return iter(())


def _class_of(parameters: list[Parameter]) -> Any:
    """Return the class of the payload, of each one in a batch."""
    for each in parameters:
        if each.name == "payload":
            return _without_none(each.annotation)[0]
        if each.name == "payloads":
            return _without_none(typing.get_args(each.annotation)[0])[0]
    raise _OpenError


def _of_class(kind: Any) -> Iterator[_Member]:
    """Give the fields of a class, as they are stored."""
    bare = typing.get_origin(kind) or kind
    if not isinstance(bare, type):
        raise _OpenError
    if hasattr(bare, "__pydantic_fields__"):
        return _of_pydantic(bare.__pydantic_fields__)
    if hasattr(bare, "__struct_fields__"):
        return _of_struct(bare)
    hints = typing.get_type_hints(bare, include_extras=True)
    if hasattr(bare, "__required_keys__"):
        return (_of_key(name, hint, bare.__required_keys__) for name, hint in hints.items())
    return (
        _Member(each.name, hints[each.name], _default(each, _MADE))
        for each in dataclasses.fields(bare)
        if each.init
    )


def _of_key(name: str, hint: Any, required: Collection[str]) -> _Member:
    """Return a key of a TypedDict, which cannot tell itself what a text says, as of annotations."""
    said = typing.get_origin(hint)
    may_lack = name not in required if said is not typing.Required else False
    return _Member(name, hint, _MADE if may_lack or said is typing.NotRequired else EMPTY)


def _of_pydantic(fields: Mapping[str, Any]) -> Iterator[_Member]:
    for name, field in fields.items():
        alias = field.validation_alias or field.alias
        default: Any = EMPTY
        if not field.is_required():
            default = _MADE if field.default_factory else field.default
        yield _Member(alias if isinstance(alias, str) else name, field.annotation, default)


def _of_struct(kind: Any) -> Iterator[_Member]:
    import msgspec  # noqa: PLC0415  # whoever has a Struct has it

    for each in msgspec.structs.fields(kind):
        yield _Member(each.encode_name, each.type, _default(each, msgspec.NODEFAULT))


def _default(field: Any, missing: Any) -> Any:
    """Return the default of a dataclass's or a Struct's field."""
    if field.default is not missing:
        return field.default
    return EMPTY if field.default_factory is missing else _MADE


def _input(member: _Member) -> Input:
    annotation, nullable = _without_none(member.annotation)
    choices = _choices(annotation)
    kind = _kind(annotation) if not choices else "choice"
    unknown = member.default is EMPTY or member.default is _MADE
    default = None if unknown else _stored(member.default)
    if kind == "checkbox" and nullable:
        kind, choices = "choice", (Choice(True, "true"), Choice(False, "false"))
    return Input(
        name=member.name,
        kind=kind,
        required=member.default is EMPTY,
        nullable=nullable,
        default=default,
        choices=choices,
        type=_told(member.annotation),
    )


def _kind(annotation: Any) -> InputKind:
    if annotation in _KINDS:
        return _KINDS[annotation]
    if not isinstance(annotation, type) or issubclass(annotation, Enum):
        return "json"
    if issubclass(annotation, PurePath | str | ObjectId) or _is_text_of_pydantic(annotation):
        return "text"
    return "json"


def _is_text_of_pydantic(kind: type[Any]) -> bool:
    """True for what pydantic reads from a text, such as EmailStr and its addresses."""
    return kind.__module__.partition(".")[0] == "pydantic" and not hasattr(
        kind, "__pydantic_fields__"
    )


def _choices(annotation: Any) -> tuple[Choice, ...]:
    """Return the values of an enum or a Literal; none of anything else, or of too many."""
    found: list[Choice] = []
    if typing.get_origin(annotation) is Literal:
        values = [(plain_of(each), "") for each in typing.get_args(annotation)]
    elif isinstance(annotation, type) and issubclass(annotation, Enum):
        values = [(plain_of(each), each.name) for each in annotation]
    else:
        return ()
    for value, name in values:
        same = name.lower() in ("", str(value).lower())
        found.append(Choice(value, str(value) if same else f"{name} ({value})"))
    return tuple(found) if len(found) <= MOST_CHOICES else ()


def _stored(value: Any) -> Any:
    """Return a default as it is stored; None of what is no plain value."""
    try:
        plain = plain_of(value)
    except DefinitionError:
        return None
    return plain if isinstance(plain, str | int | float | bool | list | dict) else None


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """Return what stands behind aliases and metadata, and whether it may be None as well."""
    if annotation is EMPTY or isinstance(annotation, Unresolved):
        return Any, False
    annotation, _ = meant(annotation)
    if typing.get_origin(annotation) in (typing.Required, typing.NotRequired):
        return _without_none(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) not in (Union, types.UnionType):
        return annotation, False
    members = typing.get_args(annotation)
    others = [each for each in members if each is not types.NoneType]
    nullable = len(others) < len(members)
    if len(others) != 1:
        return annotation, nullable
    inner, deeper = _without_none(others[0])
    return inner, nullable or deeper


def _told(annotation: Any) -> str:
    if annotation is EMPTY:
        return ""
    if isinstance(annotation, Unresolved):
        return annotation.text[:80]
    plain, nullable = _without_none(annotation)
    name = plain.__name__ if isinstance(plain, type) and not typing.get_args(plain) else str(plain)
    name = name.replace("typing.", "").replace("datetime.", "")[:80]
    return f"{name} | None" if nullable and "None" not in name else name
