"""Keys: what a limit or a rate counts by itself for each value of, as a payload has it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from job_processor.errors import InvalidArgumentError, Unshown
from job_processor.settings import check_text

Key: TypeAlias = str | Callable[[Mapping[str, Any]], object]
"""A field of the payload (a dot leads into a mapping), or a function of the payload."""

_KEYS = "allowed is a non-empty text or a number, or None: then nothing {limits} this job"
_LIMITS = {"limit": "limits", "rate": "rates"}


def check_key(key: object) -> None:
    """Raise InvalidArgumentError for what can be no key of a definition."""
    if key is None or callable(key):
        return
    if not isinstance(key, str) or not key.strip():
        allowed = "allowed is a field of the payload, such as 'tenant', or a function of it"
        raise InvalidArgumentError("key", key, allowed)
    check_text("key", key)


def key_of(what: str, name: str, key: Key, payload: Mapping[str, Any]) -> str | None:
    """Return the key of a job as text; None where it has none.

    what: `limit` or `rate`, for messages. Raises InvalidArgumentError for a key that cannot be one,
    or that its function cannot tell.
    """
    argument = _called(what, name, key)
    if callable(key):
        try:
            value = key(payload)
        except Exception as error:
            told = f"the function of the key failed: {type(error).__name__}"
            raise InvalidArgumentError(argument, key, told) from error
    else:
        value = _field(payload, key)
    return None if value is None else key_text(argument, value, what, shown=False)


def key_text(argument: str, value: object, what: str, *, shown: bool = True) -> str:
    """Return a key as text; raises InvalidArgumentError for what is neither text nor number."""
    told = value if shown else Unshown.of(value)
    allowed = _KEYS.format(limits=_LIMITS[what])
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidArgumentError(argument, told, allowed)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidArgumentError(argument, told, allowed)
        value = int(value) if value.is_integer() else value
    if isinstance(value, str):
        if not value.strip() or "\0" in value:
            raise InvalidArgumentError(argument, told, allowed)
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InvalidArgumentError(argument, told, allowed) from error
    return str(value)


def _field(payload: Mapping[str, Any], path: str) -> object:
    if path in payload:
        return payload[path]
    value: object = payload
    for name in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _called(what: str, name: str, key: object) -> str:
    called = key if isinstance(key, str) else getattr(key, "__name__", "function")
    return f"{what} key {called!r} of {name!r}"
