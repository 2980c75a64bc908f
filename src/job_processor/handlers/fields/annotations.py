"""From the annotation of a parameter to the kind of its field."""

from __future__ import annotations

import collections.abc
import types
import typing
from collections.abc import Callable, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Annotated, Any, Literal, TypeVar, Union
from uuid import UUID

from bson import ObjectId

from job_processor.errors import DefinitionError
from job_processor.handlers.fields.base import Kind
from job_processor.handlers.fields.classes import OfClass, OfLibrary, library_of
from job_processor.handlers.fields.containers import AnyOf, Items, Maybe, Row, Table
from job_processor.handlers.fields.kinds import KINDS, Anything, OneOf, path_kind
from job_processor.handlers.payloads import class_type
from job_processor.handlers.payloads.secrets import REFUSED, secret_in

ALLOWED = (
    "allowed are str, int, float, bool, bytes, datetime, date, time, timedelta, Decimal, UUID, "
    "Path, ObjectId, enums, Literal, pydantic models, dataclasses, TypedDicts and Structs, and "
    "lists, sets, tuples, mappings, unions and Optional of these"
)
_LISTS: dict[Any, tuple[Callable[..., Any], type[Any]]] = {
    list: (list, list),
    collections.abc.Sequence: (list, list),
    collections.abc.MutableSequence: (list, list),
    collections.abc.Iterable: (list, list),
    collections.abc.Collection: (list, list),
    set: (set, set),
    collections.abc.Set: (set, set),
    collections.abc.MutableSet: (set, set),
    frozenset: (frozenset, frozenset),
}
_TABLES = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_WRITTEN_AS_TEXT = (UUID, date, time, Decimal)


def kind_of(annotation: Any, name: str) -> Kind:
    """Return what a field of this annotation may be.

    Raises DefinitionError for a class that cannot be written as what stores keep.
    """
    secret = secret_in(annotation, name)
    if secret is not None:
        raise DefinitionError(name, annotation, f"{secret}: {REFUSED}")
    return _kind(annotation, name)


def plain_of(value: Any) -> Any:
    """Return what is stored of a value that says itself what it is, such as an enum's member."""
    if isinstance(value, Enum | PurePath) or type(value) in (*_WRITTEN_AS_TEXT, timedelta):
        return kind_of(type(value), "value").write(value)
    if isinstance(value, Mapping):
        return {key: plain_of(each) for key, each in value.items()}
    return [plain_of(each) for each in value] if isinstance(value, list | tuple) else value


def _kind(annotation: Any, name: str) -> Kind:
    annotation, metadata = meant(annotation)
    library = library_of(annotation, metadata)
    if metadata and library is not None:
        return OfLibrary(_told(annotation), Annotated[(annotation, *metadata)], library)
    if annotation in (Any, object) or isinstance(annotation, TypeVar):
        return Anything()
    if annotation in KINDS:
        return KINDS[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, types.UnionType):
        return _union(annotation, arguments, name)
    if origin is Literal:
        return OneOf(_told(annotation), arguments)
    whole = class_type(annotation)
    if whole is not None:
        return OfClass(_told(annotation), whole)
    container = _container(origin or annotation, arguments, name)
    if container is not None:
        return container
    if library is not None:
        return OfLibrary(_told(annotation), annotation, library)
    return _class(annotation, name)


def _union(annotation: Any, arguments: tuple[Any, ...], name: str) -> Kind:
    others = tuple(each for each in arguments if each is not types.NoneType)
    if len(others) == 1:
        kind = _kind(others[0], name)
    else:
        whole = class_type(Union[others])  # noqa: UP007  # of a tuple
        members = tuple(_kind(each, name) for each in others) if whole is None else ()
        kind = AnyOf(members) if whole is None else OfClass(_told(annotation), whole)
    return Maybe(kind) if len(others) < len(arguments) else kind


def _container(origin: Any, arguments: tuple[Any, ...], name: str) -> Kind | None:
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        return Row(tuple(_kind(each, name) for each in arguments))
    if origin is tuple:
        return Items(tuple, tuple, _kind(arguments[0] if arguments else Any, name))
    if origin in _LISTS:
        made, native = _LISTS[origin]
        inner = _kind(arguments[0] if arguments else Any, name)
        sources = (list, tuple) if native is list else (set, frozenset, list, tuple)
        return Items(made, native, inner, sources)
    if origin in _TABLES:
        keys, values = arguments or (str, Any)
        return Table(_keys(keys, name), _kind(values, name))
    return None


def _keys(annotation: Any, name: str) -> Kind:
    """Return the kind of a mapping's keys, which are stored as text."""
    kind = _kind(str if annotation is Any else annotation, name)
    written = (str, PurePath, Enum)
    by_text = all(issubclass(each, written) or each in _WRITTEN_AS_TEXT for each in kind.natives)
    if not kind.natives or not by_text:
        allowed = "allowed as keys of a mapping are str, and what is written as text, such as UUID"
        raise DefinitionError(name, annotation, allowed)
    return kind


def _class(annotation: Any, name: str) -> Kind:
    if isinstance(annotation, type) and issubclass(annotation, PurePath):
        return path_kind(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        try:
            return OneOf(annotation.__name__, tuple(annotation))
        except TypeError as error:
            allowed = f"allowed are enums of text and numbers; {error}"
            raise DefinitionError(name, annotation, allowed) from None
    if isinstance(annotation, type) and issubclass(annotation, ObjectId):
        return KINDS[ObjectId]
    raise DefinitionError(name, annotation, f"no payload can hold that; {ALLOWED}")


def meant(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return what stands behind aliases, NewTypes and Annotated, and its metadata."""
    metadata: tuple[Any, ...] = ()
    while True:
        if typing.get_origin(annotation) is Annotated:
            annotation, *more = typing.get_args(annotation)
            metadata = (*more, *metadata)
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif annotation is None:
            return types.NoneType, metadata
        else:
            return annotation, metadata


def _told(annotation: Any) -> str:
    name = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return name.replace("typing.", "")
