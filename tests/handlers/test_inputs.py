"""What somebody may fill in for a payload, by the class or the parameters that say it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum, StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest

from job_processor import Context, JobDef
from job_processor.handlers.inputs import MOST, MOST_CHOICES, Input, inputs_of


class Size(StrEnum):
    """Its names and values differ."""

    SMALL = "small"
    LARGE = "xl"


async def order(  # type: ignore[no-untyped-def]  # one has no annotation: that is tried, too
    to: str,
    count: int = 3,
    price: Decimal | None = None,
    urgent: bool = False,
    day: date | None = None,
    at: datetime | None = None,
    clock: time = time(8, 30),
    size: Size = Size.LARGE,
    rank: Literal[1, 2, "last"] = 1,
    tags: list[str] = [],  # noqa: B006  # nobody changes it
    maybe: bool | None = None,
    reference: UUID | None = None,
    folder: Path | None = None,
    ratio: Annotated[float, pydantic.Field(gt=0)] = 0.5,
    free=None,
    *,
    context: Context,
) -> None:
    """Take one field of each kind, and the context."""


@dataclass
class Invoice:
    """With a default, and one that is made."""

    number: int
    text: str = "thanks"
    lines: list[int] = field(default_factory=list)


class Transfer(msgspec.Struct):
    """With a name that is stored differently."""

    amount: Annotated[int, msgspec.Meta(gt=0)]
    note: str | None = None
    fee: float = msgspec.field(default=1.5, name="FEE")


class Mail(pydantic.BaseModel):
    """With an alias, a type of pydantic's, and a class in it."""

    to: str = pydantic.Field(alias="To")
    link: pydantic.AnyUrl
    invoice: Invoice


class Note(TypedDict):
    """With a key that may be left out."""

    text: str
    author: NotRequired[str]


def shown(handler: Callable[..., Any], **options: Any) -> list[tuple[str, str, bool, Any]] | None:
    """Return name, kind, whether it is required, and default of each field."""
    found = inputs_of(JobDef(handler, **options))
    if found is None:
        return None
    return [(each.name, each.kind, each.required, each.default) for each in found]


def test_each_parameter_is_a_field_of_its_kind() -> None:
    """Text, numbers, dates, choices, truth; anything else is JSON; the context is none."""
    assert shown(order) == [
        ("to", "text", True, None),
        ("count", "integer", False, 3),
        ("price", "decimal", False, None),
        ("urgent", "checkbox", False, False),
        ("day", "date", False, None),
        ("at", "datetime", False, None),
        ("clock", "time", False, "08:30:00"),
        ("size", "choice", False, "xl"),
        ("rank", "choice", False, 1),
        ("tags", "json", False, []),
        ("maybe", "choice", False, None),
        ("reference", "text", False, None),
        ("folder", "text", False, None),
        ("ratio", "number", False, 0.5),
        ("free", "json", False, None),
    ]
    found = {each.name: each for each in inputs_of(JobDef(order)) or ()}
    assert [(each.value, each.told) for each in found["size"].choices] == [
        ("small", "small"),
        ("xl", "LARGE (xl)"),
    ]
    assert [each.value for each in found["maybe"].choices] == [True, False]
    assert (found["price"].type, found["price"].nullable) == ("Decimal | None", True)
    assert found["rank"].as_json() == {
        "name": "rank",
        "kind": "choice",
        "type": "Literal[1, 2, 'last']",
        "required": False,
        "nullable": False,
        "choices": [1, 2, "last"],
    }


async def with_dataclass(payload: Invoice) -> None:
    """Take a dataclass."""


async def with_struct(payload: Transfer | None) -> None:
    """Take a Struct, or nothing."""


async def with_model(payload: Mail) -> None:
    """Take a model."""


async def with_typed_dict(payload: Note) -> None:
    """Take a TypedDict."""


async def of_a_batch(payloads: list[Note]) -> None:
    """Take several."""


@pytest.mark.parametrize(
    ("handler", "options", "expected"),
    [
        (
            with_dataclass,
            {},
            [("number", "integer", True), ("text", "text", False), ("lines", "json", False)],
        ),
        (
            with_struct,
            {},
            [("amount", "integer", True), ("note", "text", False), ("FEE", "number", False)],
        ),
        (
            with_model,
            {},
            [("To", "text", True), ("link", "text", True), ("invoice", "json", True)],
        ),
        (with_typed_dict, {}, [("text", "text", True), ("author", "text", False)]),
        (of_a_batch, {"batch": 5}, [("text", "text", True), ("author", "text", False)]),
    ],
)
def test_a_class_has_its_fields(
    handler: Callable[..., Any], options: dict[str, Any], expected: list[tuple[str, str, bool]]
) -> None:
    """Those of dataclasses, Structs, models and TypedDicts, under the names that are stored."""
    found = shown(handler, **options)
    assert found is not None
    assert [each[:3] for each in found] == expected


async def any_payload(payload: dict[str, Any]) -> None:
    """Take what comes."""


async def any_field(number: int, **others: Any) -> None:
    """Take a field, and what comes."""


async def the_job(job: Any) -> None:
    """Read the payload of the job."""


async def nothing_at_all(context: Context) -> None:
    """Take no payload."""


def test_what_nothing_names_has_no_fields() -> None:
    """Any mapping is None, so is what runs elsewhere; no payload is no fields."""
    for handler in (any_payload, any_field, the_job):
        assert shown(handler) is None
    assert inputs_of(JobDef(None)) is None
    assert inputs_of(None) is None
    assert shown(nothing_at_all) == []


def test_a_form_is_bounded() -> None:
    """With more fields than people fill in it is JSON; so is a choice of too many values."""
    fields: dict[str, Any] = {f"f{n}": (int, 0) for n in range(MOST + 1)}
    many = pydantic.create_model("Many", **fields)

    async def take(payload: Any) -> None:
        """Take a model with many fields."""

    take.__annotations__["payload"] = many
    assert inputs_of(JobDef(take)) is None
    make: Any = Enum  # of members that no type checker can know
    countries = make("countries", {f"c{n}": n for n in range(MOST_CHOICES + 1)})

    async def pick(country: Any) -> None:
        """Take one of many."""

    pick.__annotations__["country"] = countries
    (found,) = inputs_of(JobDef(pick)) or (Input("", "text", required=False),)
    assert (found.kind, found.choices) == ("json", ())
