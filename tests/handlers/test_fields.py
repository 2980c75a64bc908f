"""Parameters that are fields of the payload: checked where they are scheduled, converted to run."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType, TypedDict
from uuid import UUID

import msgspec
import pytest
from bson import ObjectId
from pydantic import BaseModel, Field, SecretStr

from job_processor import DefinitionError, InvalidPayloadError, PayloadError
from job_processor.handlers.binding import BoundHandler, Door, bind_handler

if TYPE_CHECKING:
    from somewhere import Unknown  # type: ignore[import-not-found]  # what is tested

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ID = ObjectId("6b0c0bd978f7692be409eafd")
KEY = UUID("12345678-1234-5678-1234-567812345678")
Name = NewType("Name", str)


class Colour(Enum):
    RED = "red"


class Size(IntEnum):
    BIG = 2


class Kind(StrEnum):
    A = "a"


class Odd(Enum):
    PAIR = (1, 2)


class Model(BaseModel):
    width: int


@dataclass
class Data:
    width: int


class Struct(msgspec.Struct):
    width: int


class Typed(TypedDict):
    width: int


class Connection:
    """What no payload can hold."""


def taking(annotation: Any) -> BoundHandler:
    """Return a handler with one field of this annotation."""

    def handler(field: Any) -> Any:
        return field

    handler.__annotations__["field"] = annotation
    return bind_handler(handler, Door())


def stored(annotation: Any, value: Any) -> Any:
    """Return what is stored of a field."""
    payload = taking(annotation).stored({"field": value})
    assert payload is not None
    return payload["field"]


def read(annotation: Any, plain: Any) -> Any:
    """Return what a handler gets for what is stored."""

    class Job:
        payload: Mapping[str, Any] = {"field": plain}

    return taking(annotation).arguments(Job, "signal")[1]["field"]


SAME: list[tuple[Any, Any, Any]] = [
    (str, "a", "a"),
    (int, 3, 3),
    (float, 1.5, 1.5),
    (bool, True, True),
    (bytes, b"\0", b"\0"),
    (datetime, NOW, NOW),
    (ObjectId, ID, ID),
    (Any, {"a": [1]}, {"a": [1]}),
    (date, date(2026, 3, 2), "2026-03-02"),
    (time, time(12, 30), "12:30:00"),
    (timedelta, timedelta(minutes=1.5), 90.0),
    (UUID, KEY, str(KEY)),
    (Decimal, Decimal("1.50"), "1.50"),
    (Path, Path("/a/b"), "/a/b"),
    (Colour, Colour.RED, "red"),
    (Size, Size.BIG, 2),
    (Kind, Kind.A, "a"),
    (Literal["x", 1] | None, 1, 1),
    (Literal[Colour.RED], Colour.RED, "red"),
    (Model, Model(width=1), {"width": 1}),
    (Data, Data(1), {"width": 1}),
    (Struct, Struct(1), {"width": 1}),
    (Typed, {"width": 1}, {"width": 1}),
    (int | None, None, None),
    (date | None, date(2026, 3, 2), "2026-03-02"),
    (Model | None, Model(width=1), {"width": 1}),
    (Model | Struct | None, None, None),
    (int | str, "3", "3"),
    (UUID | int, KEY, str(KEY)),
    (list[date], [date(2026, 3, 2)], ["2026-03-02"]),
    (list[Model], [Model(width=1)], [{"width": 1}]),
    (list, [1, "a"], [1, "a"]),
    (Sequence[int], [1], [1]),
    (set[int], {1}, [1]),
    (frozenset[UUID], frozenset({KEY}), [str(KEY)]),
    (tuple[int, ...], (1, 2), [1, 2]),
    (tuple[int, Colour], (1, Colour.RED), [1, "red"]),
    (dict[str, Data], {"a": Data(1)}, {"a": {"width": 1}}),
    (dict[UUID, date], {KEY: date(2026, 3, 2)}, {str(KEY): "2026-03-02"}),
    (dict, {"a": 1}, {"a": 1}),
    (Mapping[str, Any], {"a": NOW}, {"a": NOW}),
    (Name, "ada", "ada"),
    (Annotated[int, "a note"], 3, 3),
    (Annotated[int, Field(gt=0)], 3, 3),
    (Annotated[str, msgspec.Meta(min_length=2)], "ab", "ab"),
]


@pytest.mark.parametrize(("annotation", "value", "plain"), SAME, ids=lambda each: repr(each)[:40])
def test_a_value_comes_back_as_it_was_given(annotation: Any, value: Any, plain: Any) -> None:
    """What is stored is plain, and the handler gets a value of the class that it names."""
    assert stored(annotation, value) == plain
    back = read(annotation, plain)
    assert (back, type(back)) == (value, type(value))
    assert stored(annotation, plain) == plain  # as it comes from JSON


@pytest.mark.parametrize(
    ("annotation", "value", "back"),
    [
        (float, 3, 3.0),
        (int, 3.0, 3),
        (datetime, "2026-03-02T12:00:00Z", NOW),
        (ObjectId, str(ID), ID),
        (Decimal, 3, Decimal(3)),
        (timedelta, 3, timedelta(seconds=3)),
        (list[int], (1, 2), [1, 2]),
        (set[int], [1, 1], {1}),
    ],
)
def test_what_stands_for_it(annotation: Any, value: Any, back: Any) -> None:
    """What JSON, JavaScript or a caller writes for it becomes it."""
    assert read(annotation, stored(annotation, value)) == back


@pytest.mark.parametrize(
    ("annotation", "value", "told"),
    [
        (str, 3, r"payload\.field: .*Expected `str`, got `int`"),
        (int, "3", "Expected `int`, got `str`"),
        (int, True, "Expected `int`, got `bool`"),
        (int, 1.5, "Expected `int`, got `float`"),
        (float, "x", "Expected `float`"),
        (datetime, datetime(2026, 1, 1), "with a time zone"),  # noqa: DTZ001  # what is refused
        (datetime, "2026-01-01", "with a time zone"),
        (datetime, "noon", "got a `str` that is none"),
        (date, NOW, "Expected `date`, got `datetime`"),
        (date, "tomorrow", "got a `str` that is none"),
        (UUID, "x", "Expected `UUID`"),
        (ObjectId, "x", "Expected `ObjectId`"),
        (Decimal, "x", "Expected `Decimal`"),
        (timedelta, True, "Expected `timedelta`"),
        (timedelta, 1e300, "Expected `timedelta`"),
        (Path, 3, "Expected `Path`"),
        (Colour, "blue", "Expected one of 'red'"),
        (Size, True, "Expected one of 2"),
        (Literal["x", 1], True, "Expected one of 'x', 1"),
        (bytes, "text", "Expected `bytes`"),
        (Model, {"width": "wide"}, "width: .*valid integer"),
        (Data, {}, "missing required field `width`"),
        (Data, Model(width=1), "payload.field"),
        (list[int], [1, "a"], r"payload\.field\[1\]: .*Expected `int`"),
        (list[int], {1}, "Expected `list"),
        (list[list[int]], [[1], ["a"]], r"field\[1\]\[0\]"),
        (tuple[int, int], [1], "Expected 2 items, got 1"),
        (tuple[int, int], 3, r"Expected `tuple\[int, int\]`"),
        (dict[str, int], {"a": "b"}, r"payload\.field\.a: .*Expected `int`"),
        (dict[UUID, int], {"b": 1}, "Expected `UUID`"),
        (dict[str, int], [1], "Expected `dict"),
        (int | None, "a", "Expected `int`"),
        (int | date, "a", r"Expected `int \| date`, got `str`"),
        (date | str, date(2026, 1, 1), "comes back otherwise"),
        (list | set, {1}, "comes back otherwise"),
        (Annotated[int, Field(gt=0)], 0, "payload.field: .*greater than 0"),
        (Annotated[str, msgspec.Meta(min_length=2)], "a", "length >= 2"),
        (Any, Connection(), "this is a Connection"),
        (int, 2**70, "64 bits"),
    ],
    ids=lambda each: repr(each)[:40],
)
def test_a_wrong_value_is_refused_where_it_is_scheduled(
    annotation: Any, value: Any, told: str
) -> None:
    """The message names the field and the types."""
    with pytest.raises(PayloadError, match=told):
        stored(annotation, value)


def test_a_message_has_nothing_of_the_value() -> None:
    """What is wrong is told by types: a payload may hold secrets."""
    for annotation in (int, UUID, Colour, Model, Annotated[int, Field(gt=0)], list[int], date):
        with pytest.raises(InvalidPayloadError) as caught:
            stored(annotation, ["hunter2"])
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "told"),
    [
        (Connection, r"handler\(field: …\): .*no payload can hold that"),
        (list[Connection], "no payload can hold that"),
        (Callable[[], None], "no payload can hold that"),
        (Odd, "enums of text and numbers"),
        (dict[int, str], "keys of a mapping"),
        (dict[Any, Connection], "no payload can hold that"),
        (SecretStr, "mask"),
        (list[SecretStr], "mask"),
    ],
)
def test_an_annotation_that_cannot_work_is_refused(annotation: Any, told: str) -> None:
    """Where it is defined, with the parameter and what is allowed."""
    with pytest.raises(DefinitionError, match=told):
        taking(annotation)


def send(to: str, subject: str = "hi", *, loud: bool = False) -> str:
    """Take fields, with defaults."""
    return f"{to} {subject} {loud}"


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        ({}, r"'to' is missing; write send\.schedule\(to=…\) \(it also takes 'subject', 'loud'\)"),
        (None, "'to' is missing"),
        (
            {"to": "a", "sbject": "b"},
            r"'sbject' is none of its fields \(did you mean 'subject'\?\)",
        ),
        ({"too": "a"}, "'to' is missing and 'too' is none of its fields"),
        ({"to": "a", "priority": 3}, r"write send\.options\(priority=…\)\.schedule\(to=…\)"),
        ("ada", "no mapping of its fields"),
        ({"to": "a", 3: 4}, "'3' is none of its fields"),
    ],
)
def test_missing_and_unknown_fields(payload: Any, told: str) -> None:
    """They are named, with the nearest one, and the line to write."""
    with pytest.raises(InvalidPayloadError, match=told):
        bind_handler(send, Door()).stored(payload)


def test_only_what_is_given_is_stored() -> None:
    """A default is the handler's when it runs."""
    assert bind_handler(send, Door()).stored({"to": "ada"}) == {"to": "ada"}


def test_positional_only_and_all_others() -> None:
    """Positional-only fields keep their defaults; `**others` takes fields of any name."""

    def handler(a: int, b: date = date(2026, 1, 1), /, *, signal: Any, **others: date) -> Any:
        return a, b, signal, others

    bound = bind_handler(handler, Door())
    payload = bound.stored({"a": 1, "other": date(2026, 3, 2)})

    class Job:
        pass

    Job.payload = payload  # type: ignore[attr-defined]  # as a job has one
    arguments, keywords = bound.arguments(Job, "signal")
    expected = (1, date(2026, 1, 1), "signal", {"other": date(2026, 3, 2)})
    assert handler(*arguments, **keywords) == expected
    with pytest.raises(InvalidPayloadError, match=r"payload\.other: .*Expected `date`"):
        bound.stored({"a": 1, "other": 3})


def test_what_cannot_be_resolved_is_taken_as_it_comes(caplog: pytest.LogCaptureFixture) -> None:
    """It is warned of."""

    def handler(field: Unknown) -> None: ...

    with caplog.at_level(logging.WARNING, "job_processor"):
        assert bind_handler(handler, Door()).stored({"field": [1]}) == {"field": [1]}
    assert "the field 'field'" in caplog.text
    assert "'Unknown' cannot be resolved" in caplog.text


def test_fields_need_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but classes of pydantic and msgspec work without them; a dataclass names the extra."""
    for library in ("msgspec", "pydantic"):
        monkeypatch.setitem(sys.modules, library, None)
    assert stored(list[date] | None, [date(2026, 3, 2)]) == ["2026-03-02"]
    assert read(dict[str, Colour], {"a": "red"}) == {"a": Colour.RED}
    with pytest.raises(DefinitionError, match=r"handler\(field: …\).*job-processor\[typed\]"):
        taking(Data)
