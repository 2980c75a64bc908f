"""What a payload and a result may hold."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum, IntEnum, StrEnum
from typing import Any

import pytest
from bson import ObjectId

from job_processor import PayloadError
from job_processor.values import MAX_BYTES, describe, normalize, normalize_payload


class Colour(StrEnum):
    RED = "red"


class Old(str, Enum):  # noqa: UP042  # the enums of before Python 3.11 are what is tested
    RED = "red"


class Level(IntEnum):
    HIGH = 3


def test_values_become_plain_ones() -> None:
    """Tuples become lists, enums their values, times UTC milliseconds, buffers bytes."""
    paris = timezone(timedelta(hours=2))
    given = {
        "tuple": (1, 2.5, None, True),
        "enum": [Colour.RED, Old.RED, Level.HIGH],
        "time": datetime(2026, 1, 1, 2, 0, 0, 123_456, tzinfo=paris),
        "bytes": bytearray(b"\0\1"),
        "id": ObjectId("64b7f0000000000000000000"),
        "": {"é": "ü"},
    }
    assert normalize_payload(given) == {
        "tuple": [1, 2.5, None, True],
        "enum": ["red", "red", 3],
        "time": datetime(2026, 1, 1, 0, 0, 0, 123_000, tzinfo=UTC),
        "bytes": b"\0\1",
        "id": ObjectId("64b7f0000000000000000000"),
        "": {"é": "ü"},
    }
    plain = normalize_payload(given)
    assert plain is not None
    assert [type(item) for item in plain["enum"]] == [str, str, int]


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"a": {1, 2}}, "payload.a"),
        ({"a": [object()]}, "payload.a[0]"),
        ({"a": 2**63}, "payload.a"),
        ({"a": math.nan}, "payload.a"),
        ({"a": math.inf}, "payload.a"),
        ({"a": datetime(2026, 1, 1)}, "aware"),  # noqa: DTZ001  # naive is what is refused
        ({"a": "\ud800"}, "UTF-8"),
        ({1: "a"}, "keys"),
        ({"a\0b": 1}, "null"),
        ({"a": deep(200)}, "levels"),
        ({"a": "x" * (MAX_BYTES + 1)}, "bytes"),
        ({"a": [{"k": "x" * 1000}] * 20_000}, "bytes"),
        ([1], "mapping"),
        ("text", "mapping"),
        ({"a": 1j}, "complex"),
        ({"a": datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))}, "years"),
    ],
)
def test_what_a_store_cannot_hold_is_refused_with_its_place(value: Any, named: str) -> None:
    """The error names where in the payload the value is, and what is allowed."""
    with pytest.raises(PayloadError) as caught:
        normalize_payload(value)
    assert named in str(caught.value)
    assert len(str(caught.value)) < 2000


def test_a_payload_that_holds_itself_is_refused() -> None:
    """A cycle is too deep, not an endless loop."""
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    with pytest.raises(PayloadError, match="levels"):
        normalize_payload(cycle)


def test_just_under_the_limit_is_accepted() -> None:
    """15 MiB less what the document itself costs is fine."""
    assert normalize({"a": "x" * (MAX_BYTES - 100)}, "payload")


def test_a_description_is_readable_short_and_never_raises() -> None:
    """What cannot be stored is described, even when its repr() is broken or enormous."""

    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert describe({1, 2}) == "{1, 2}"
    assert "Broken" in describe(Broken())
    assert len(describe("x" * 1_000_000)) <= 10_000
