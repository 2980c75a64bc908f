"""Whether what comes out of a database is what went in, times to the millisecond."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from job_processor.clock import truncate

_SCALARS = (str, int, bool, float, bytes, type(None))


def difference(one: Any, other: Any, path: str) -> str | None:
    """Return the first field in which two values are not the same; None: there is none.

    Stricter than `==`, which takes 1 for True, and a str for an enum of its value; looser for
    times, and for objects of classes that compare by identity.
    """
    kind = type(one)
    if type(other) is not kind:
        return path
    if kind in _SCALARS:
        return None if one == other else path
    if isinstance(one, datetime):
        return None if _moment(one) == _moment(other) else path
    if isinstance(one, Mapping):
        return _of_mappings(one, other, path)
    if isinstance(one, list | tuple):
        return _of_items(one, other, path)
    names = _fields(one)
    if names is None:
        return None if _equal(one, other) else path
    pairs = (
        (name, getattr(one, name, dataclasses.MISSING), getattr(other, name, dataclasses.MISSING))
        for name in names
    )
    return _first(difference(mine, its, f"{path}.{name}") for name, mine, its in pairs)


def _fields(value: Any) -> list[str] | None:
    """Return the names of what a value consists of; None: it is compared as a whole."""
    kind = type(value)
    model_fields = getattr(kind, "__pydantic_fields__", None)
    if model_fields is not None:
        extra = getattr(value, "__pydantic_extra__", None)
        return [*model_fields, *(extra or ())]
    for attribute in ("__struct_fields__", "__dataclass_fields__"):
        names = getattr(kind, attribute, None)
        if names is not None:
            return list(names)
    return None


def _of_mappings(one: Mapping[Any, Any], other: Mapping[Any, Any], path: str) -> str | None:
    if len(one) != len(other):
        return path
    keys = {(type(key), key) for key in other}
    if any((type(key), key) not in keys for key in one):
        return path
    return _first(difference(one[key], other[key], f"{path}.{key}") for key in one)


def _of_items(one: Any, other: Any, path: str) -> str | None:
    if len(one) != len(other):
        return path
    pairs = zip(one, other, strict=True)
    return _first(difference(mine, its, f"{path}[{i}]") for i, (mine, its) in enumerate(pairs))


def _first(found: Iterable[str | None]) -> str | None:
    return next((path for path in found if path is not None), None)


def _moment(value: datetime) -> datetime:
    return value if value.utcoffset() is None else truncate(value)


def _equal(one: Any, other: Any) -> bool:
    if one == other:
        return True
    by_identity = getattr(type(one), "__eq__", None) is getattr(object, "__eq__", None)
    return by_identity and difference(vars(one), vars(other), "") is None
