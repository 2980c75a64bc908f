"""Secrets of pydantic in the class of a payload: they are written as a mask, `**********`.

A job with one would run with the mask for a password, so such a class is refused when it is
defined, unless it says itself how the secret is written.
"""

from __future__ import annotations

import dataclasses
import sys
import typing
from typing import Any

REFUSED = (
    "a secret is written as a mask, and the handler would get the mask; allowed is a reference "
    "by which the handler looks the secret up, or a str, which is then stored as it is, "
    "readable in the database"
)


def is_secret(kind: object) -> bool:
    """True for SecretStr, SecretBytes, Secret, and what is derived of them."""
    pydantic = sys.modules.get("pydantic")
    if pydantic is None or not isinstance(kind, type):
        return False
    names = ("SecretStr", "SecretBytes", "Secret")
    return issubclass(
        kind, tuple(getattr(pydantic, name) for name in names if hasattr(pydantic, name))
    )


def secret_in(annotation: Any, path: str, seen: set[int] | None = None) -> str | None:
    """Return where a secret stands in an annotation, or in a class that it names; None: nowhere."""
    seen = set() if seen is None else seen
    if is_secret(typing.get_origin(annotation) or annotation):
        return path
    if id(annotation) in seen:
        return None
    seen.add(id(annotation))
    inner = [*typing.get_args(annotation), *_meant(annotation)]
    if any(_is_serializer(each) for each in inner):
        return None  # it says itself how it is written
    for each in inner:
        found = secret_in(each, path, seen)
        if found is not None:
            return found
    for name, field in _fields(annotation):
        found = secret_in(field, f"{path}.{name}", seen)
        if found is not None:
            return found
    return None


def _meant(annotation: Any) -> list[Any]:
    """Return what an alias, a NewType or a generic class stands for."""
    names = ("__value__", "__supertype__")
    meant = [getattr(annotation, name) for name in names if hasattr(annotation, name)]
    origin = typing.get_origin(annotation)
    return [*meant, origin] if isinstance(origin, type) else meant


def _fields(kind: Any) -> list[tuple[str, Any]]:
    if not isinstance(kind, type):
        return []
    fields = getattr(kind, "__pydantic_fields__", None)
    if fields is not None:
        own = _written_by_itself(kind)
        return [
            (name, field.annotation)
            for name, field in fields.items()
            if not own & {name, "*"} and not any(map(_is_serializer, field.metadata))
        ]
    if not any(
        hasattr(kind, name) for name in ("__struct_fields__", "__required_keys__", "_fields")
    ) and not dataclasses.is_dataclass(kind):
        return []
    try:
        return list(typing.get_type_hints(kind, include_extras=True).items())
    except Exception:  # noqa: BLE001  # it names what is defined later, or for type checkers only
        return []


def _written_by_itself(kind: type[Any]) -> set[str]:
    """Return the fields for which a model says itself how they are written; `*`: all."""
    decorators = getattr(kind, "__pydantic_decorators__", None)
    if decorators is None:
        return set()
    if decorators.model_serializers:
        return {"*"}
    return {name for each in decorators.field_serializers.values() for name in each.info.fields}


def _is_serializer(metadata: object) -> bool:
    return type(metadata).__name__ in ("PlainSerializer", "WrapSerializer")
