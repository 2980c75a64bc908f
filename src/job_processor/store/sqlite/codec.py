"""Payloads, results and settings as JSON text, decoded to exactly what was encoded.

What JSON lacks is an object with one key: `{"$date": milliseconds}`, `{"$oid": "24 hex digits"}`,
`{"$bytes": "base64"}`. A user's own object with one such key is `{"$dict": [[key, value]]}`.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId

from job_processor.clock import from_ms, to_ms

_ESCAPES = frozenset({"$date", "$oid", "$bytes", "$dict"})
_MARK = '"$'  # in every text that holds an escape, and in few others


def encode(value: Any) -> str:
    """Return plain values (see `values.normalize`) as JSON text."""
    text = _encoder.encode(value)
    if _MARK in text and _has_lookalike(value):
        return _encoder.encode(_wrap(value))
    return text


def decode(text: str) -> Any:
    """Return what `encode` was given."""
    decoder = _escapes if _MARK in text else _plain
    return decoder.raw_decode(text)[0]


def _escape(value: Any) -> Any:
    """Return what stands for a value that JSON lacks."""
    if isinstance(value, datetime):
        return {"$date": to_ms(value)}
    if isinstance(value, ObjectId):
        return {"$oid": str(value)}
    if isinstance(value, bytes):
        return {"$bytes": b64encode(value).decode("ascii")}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a value of type {type(value).__name__} cannot be stored")


def _unescape(fields: dict[str, Any]) -> Any:
    if len(fields) != 1:
        return fields
    ((key, value),) = fields.items()
    match key:
        case "$date":
            return from_ms(value)
        case "$oid":
            return ObjectId(value)
        case "$bytes":
            return b64decode(value)
        case "$dict":
            return dict(value)
        case _:
            return fields


def _has_lookalike(value: Any) -> bool:
    """Tell whether a mapping of the user's looks like one of our escapes."""
    if isinstance(value, Mapping):
        return _is_lookalike(value) or any(_has_lookalike(item) for item in value.values())
    if isinstance(value, list):
        return any(_has_lookalike(item) for item in value)
    return False


def _is_lookalike(value: Mapping[str, Any]) -> bool:
    return len(value) == 1 and next(iter(value)) in _ESCAPES


def _wrap(value: Any) -> Any:
    if isinstance(value, Mapping):
        wrapped = {key: _wrap(item) for key, item in value.items()}
        return {"$dict": list(wrapped.items())} if _is_lookalike(value) else wrapped
    if isinstance(value, list):
        return [_wrap(item) for item in value]
    return value


_plain = json.JSONDecoder()
_escapes = json.JSONDecoder(object_hook=_unescape)
_encoder = json.JSONEncoder(
    ensure_ascii=False,
    check_circular=False,  # plain values have no cycles
    separators=(",", ":"),
    default=_escape,
)
