"""From the annotation of a handler's `payload` to the class that it is checked by."""

from __future__ import annotations

import dataclasses
import sys
import typing
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Annotated, Any, Union

from job_processor.errors import DefinitionError
from job_processor.handlers.payloads.base import PARAMETER, PayloadType
from job_processor.handlers.payloads.secrets import REFUSED, secret_in
from job_processor.handlers.signature import Unresolved, parameters_of, warn_unresolved

_NO_OBJECTS = (list, tuple, set, frozenset, str, bytes, int, float, bool)


def payload_type(function: Callable[..., Any]) -> PayloadType | None:
    """Return the class that a function's `payload` is annotated with; None: take what comes.

    An annotation that cannot be resolved, such as one imported for type checkers only, is warned
    of. Raises DefinitionError as `class_type` does.
    """
    for parameter in parameters_of(function):
        if parameter.name == PARAMETER:
            if isinstance(parameter.annotation, Unresolved):
                warn_unresolved(function, f"the {PARAMETER}", parameter.annotation)
                return None
            return class_type(parameter.annotation)
    return None


def class_type(annotation: Any) -> PayloadType | None:
    """Return the type of an annotated class that is written as an object; None: it is no such.

    Raises DefinitionError when the library that a class needs is not installed, and for a class
    that cannot be stored.
    """
    kind, optional = _without_none(annotation)
    members = [_bare(each) for each in _members(kind)]
    _refuse_lists(kind, members)
    of_pydantic = any(_is_pydantics(each) for each in members)
    if not of_pydantic and not (members and all(_is_msgspecs(each) for each in members)):
        return None
    secret = secret_in(kind, getattr(kind, "__name__", PARAMETER))
    if secret is not None:
        raise DefinitionError(PARAMETER, kind, f"{secret}: {REFUSED}")
    instances = tuple(each for each in members if isinstance(each, type) and not _is_typed(each))
    # Loaded where a handler has such a class.
    if of_pydantic:
        from job_processor.handlers.payloads.pydantic_models import PydanticType  # noqa: PLC0415

        return PydanticType(kind, instances, optional=optional)
    from job_processor.handlers.payloads.msgspec_classes import MsgspecType  # noqa: PLC0415

    return MsgspecType(kind, instances, optional=optional)


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """Return what else `X | None` is with True; anything without a None as it is with False."""
    annotation = _meant(annotation)
    if typing.get_origin(annotation) is Annotated:
        inner, *metadata = typing.get_args(annotation)
        kind, optional = _without_none(inner)
        return (Annotated[(kind, *metadata)], True) if optional else (annotation, False)
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) not in (Union, UnionType) or NoneType not in arguments:
        return annotation, False
    others = [each for each in arguments if each is not NoneType]
    return (Union[tuple(others)], True) if others else (annotation, False)  # noqa: UP007  # of a tuple


def _members(kind: Any) -> list[Any]:
    """Return what a union is of, of unions in it too; anything else alone."""
    kind = _meant(kind)
    if typing.get_origin(kind) is Annotated:
        return _members(typing.get_args(kind)[0])
    if typing.get_origin(kind) in (Union, UnionType):
        return [member for each in typing.get_args(kind) for member in _members(each)]
    return [kind]


def _meant(kind: Any) -> Any:
    """Return what `type Alias = ...` stands for, anything else as it is."""
    while type(kind).__name__ == "TypeAliasType":
        kind = kind.__value__
    return kind


def _bare(kind: Any) -> Any:
    """Return the class of a generic one."""
    return typing.get_origin(kind) or kind


def _is_pydantics(kind: Any) -> bool:
    pydantic = sys.modules.get("pydantic")  # whoever has a model has imported it
    if pydantic is None or not isinstance(kind, type):
        return False
    return issubclass(kind, pydantic.BaseModel) or hasattr(kind, "__is_pydantic_dataclass__")


def _is_msgspecs(kind: Any) -> bool:
    if not isinstance(kind, type):
        return False
    msgspec = sys.modules.get("msgspec")
    is_struct = msgspec is not None and issubclass(kind, msgspec.Struct)
    return is_struct or dataclasses.is_dataclass(kind) or _is_typed(kind)


def _is_typed(kind: type[Any]) -> bool:
    """True for a TypedDict, that of typing_extensions too."""
    return issubclass(kind, dict) and hasattr(kind, "__required_keys__")


def _refuse_lists(kind: Any, members: list[Any]) -> None:
    """Refuse what is written as something else than an object."""
    if any(_is_list(each) for each in members):
        allowed = "it is not written as an object, which a payload is; allowed is a dataclass"
        raise DefinitionError(PARAMETER, kind, allowed)


def _is_list(kind: Any) -> bool:
    """True for a NamedTuple, a Struct that is an array, and a root model of a list or scalar."""
    if not isinstance(kind, type):
        return False
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return True
    if getattr(getattr(kind, "__struct_config__", None), "array_like", False):
        return True
    root = getattr(kind, "__pydantic_fields__", {}).get("root")
    return root is not None and _bare(root.annotation) in _NO_OBJECTS
