"""What a payload and a result may hold, the same on both stores.

JSON types, aware datetimes (kept to the millisecond, in UTC), bytes and ObjectId; text keys; whole
numbers of 64 bits; finite floats; at most `MAX_DEPTH` levels and `MAX_BYTES` bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import bson
from bson import ObjectId

from job_processor.clock import truncate
from job_processor.errors import CodecError, PayloadError
from job_processor.texts import shown, told

MAX_BYTES = 15 * 1024 * 1024  # a MongoDB document holds 16 MiB, the rest of the job included
MAX_DEPTH = 90  # MongoDB takes 100 levels, those of the job's own document included
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_CHEAP_BYTES = 64 * 1024  # a rough sum below this needs no exact measure
_ENDLESS = 12 * MAX_BYTES  # a rough sum that nothing reaches which is small enough, see `_grow`
_REASON_LIMIT = 500  # characters

SEALED = "job_processor:encoded"
"""The only field of what stands in place of a value that a codec has encoded."""

SEALED_SHOWN = "[encrypted]"
"""What is shown of it to who has no codec that opens it."""

ALLOWED = (
    "allowed are None, bool, int (64 bits), finite float, str, bytes, aware datetime, ObjectId, "
    "and lists and mappings (with str keys) of these"
)


class Sealed(dict[str, Any]):
    """What a codec has encoded, and why the codec of this process could not decode it."""

    reason: CodecError | None = None


def is_sealed(value: object) -> bool:
    """True for what stands in place of a value that a codec has encoded."""
    return isinstance(value, dict) and SEALED in value and len(value) == 1


def check_open(value: object, what: str) -> None:
    """Raise CodecError for what a codec has encoded, and nothing here could decode."""
    if isinstance(value, Sealed) and value.reason is not None:
        raise value.reason
    if is_sealed(value):
        raise CodecError(
            f"{what} is encrypted or kept elsewhere, and the codec of this processor, if it has "
            "one, does not open it: give JobProcessor(codec=…) the codec and the keys it was "
            "stored with"
        )


def normalize_payload(payload: object) -> dict[str, Any] | None:
    """Return `payload` as plain values that both stores keep.

    Raises PayloadError when it is no mapping, holds what cannot be kept, or is over 15 MiB.
    """
    if payload is None:
        return None
    if type(payload) is not dict and not isinstance(payload, Mapping):
        raise PayloadError("payload", payload, "allowed is a mapping with str keys, or None")
    plain: dict[str, Any] = normalize(payload, "payload")
    return plain


def normalize(value: object, argument: str) -> Any:
    """Return `value` as plain values that both stores keep; raise PayloadError where it cannot."""
    size = [0]
    plain = _plain(value, argument, 0, size)
    if size[0] > _CHEAP_BYTES:
        exact = size_of(plain)
        if exact > MAX_BYTES:
            allowed = f"allowed are at most {MAX_BYTES:,} bytes; it has {exact:,}"
            raise PayloadError(argument, plain, allowed)
    return plain


def size_of(plain: Any) -> int:
    """Return the bytes that plain values take in BSON, about as many as in JSON."""
    return len(bson.encode({"": plain}))


def copied(plain: Any) -> Any:
    """Return plain values of which nobody else has any that can be changed."""
    kind = type(plain)
    if kind is dict:
        return {key: copied(item) for key, item in plain.items()}
    if kind is list:
        return [copied(item) for item in plain]
    return plain


def kept(value: object, argument: str) -> tuple[Any, str | None]:
    """Return `value` as `normalize` does, or its description and why it cannot be kept.

    Never raises: what is read is a handler's, and may fail, end or change while it is read.
    """
    try:
        return normalize(value, argument), None
    except BaseException as error:  # noqa: BLE001  # see above
        return describe(value), told(error, _REASON_LIMIT)


def describe(value: object, limit: int = 10_000) -> str:
    """Return a readable representation of a value that cannot be kept; never raises."""
    return shown(value, limit)


def _plain(  # noqa: C901  # one branch a type
    value: object, path: str, depth: int, size: list[int]
) -> Any:
    kind = type(value)
    if kind is str:
        return _text(value, path, size)  # type: ignore[arg-type]  # its type was just checked
    if value is None or kind is bool:
        return value
    if kind is dict:  # sooner than the question whether it is a Mapping, which is a slow one
        if depth >= MAX_DEPTH:
            raise _too_deep(path, value)
        return _mapping(value, path, depth, size)  # type: ignore[arg-type]  # just checked
    if isinstance(value, str):
        return _text(str.__str__(value), path, size)  # a str enum's value, not its name
    if isinstance(value, int):
        if not _INT64_MIN <= value <= _INT64_MAX:
            raise PayloadError(path, value, "allowed are whole numbers of 64 bits")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise PayloadError(path, value, "allowed are finite numbers")
        return float(value)
    if depth >= MAX_DEPTH:
        raise _too_deep(path, value)
    if isinstance(value, Mapping):
        return _mapping(value, path, depth, size)
    if isinstance(value, list | tuple):
        items = value if kind is list or kind is tuple else _grow(value, path, size)
        size[0] += 16 * len(value)
        return [_plain(item, f"{path}[{i}]", depth + 1, size) for i, item in enumerate(items)]
    return _special(value, path, size)


def _too_deep(path: str, value: object) -> PayloadError:
    return PayloadError(path[:80], value, f"allowed are at most {MAX_DEPTH} levels")


def _grow(items: Iterable[Any], path: str, size: list[int]) -> Iterator[Any]:
    """Give the items of a class that may do anything, such as have no end.

    BSON takes 3 bytes for the smallest there is, the rough sum at least 16.
    """
    for item in items:
        size[0] += 16
        if size[0] > _ENDLESS:
            raise PayloadError(path[:80], "…", f"allowed are at most {MAX_BYTES:,} bytes")
        yield item


def _text(value: str, path: str, size: list[int]) -> str:
    size[0] += 16 + len(value)
    if not value.isascii():
        try:
            size[0] += len(value.encode())
        except UnicodeEncodeError as error:
            raise PayloadError(path, value, "allowed is text that UTF-8 can hold") from error
    return value


def _mapping(value: Mapping[Any, Any], path: str, depth: int, size: list[int]) -> dict[str, Any]:
    plain = {}
    items = value.items()
    for key, item in items if type(value) is dict else _grow(items, path, size):
        if not isinstance(key, str):
            raise PayloadError(path, key, "allowed are keys of type str")
        if "\0" in key:
            raise PayloadError(path, key, "allowed are keys without a null character")
        text = _text(str.__str__(key), path, size)
        plain[text] = _plain(item, f"{path}.{text}", depth + 1, size)
    return plain


def _special(value: object, path: str, size: list[int]) -> Any:
    if isinstance(value, datetime):
        if value.tzinfo is None or value.utcoffset() is None:
            raise PayloadError(path, value, "allowed are aware datetimes (give it a time zone)")
        try:
            return truncate(value)
        except OverflowError as error:
            raise PayloadError(path, value, "allowed are years 1 to 9999 in UTC") from error
    if isinstance(value, bytes | bytearray | memoryview):
        size[0] += len(value)
        return bytes(value)
    if isinstance(value, ObjectId):
        return value
    raise PayloadError(path, value, f"{ALLOWED}; this is a {type(value).__name__}")
