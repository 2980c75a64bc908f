"""Which classes of payloads come back from a database, and what is said of the others."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import (
    SecretBytes,
    SecretStr,
)

from job_processor import PayloadError
from job_processor.handlers.payloads import payload_type
from tests.handlers.payload_classes import (
    ID,
    NOW,
    Anything,
    Camel,
    Cat,
    CatOrDog,
    Chosen,
    Color,
    Computed,
    Data,
    DayOrText,
    Dog,
    Doubling,
    Excluded,
    Extra,
    Hashing,
    Ids,
    Mapped,
    OptionalCat,
    OtherStruct,
    Owner,
    Page,
    Pet,
    Puppy,
    PydanticData,
    Revealed,
    Rich,
    Serialized,
    Strict,
    StrictDay,
    Struct,
    TextOrNumber,
    Validated,
    WithJson,
    taking,
)
from tests.processors import Processors

SURVIVE: list[tuple[Any, Any]] = [
    (Computed, Computed(w=2)),
    (Validated, Validated(userId=7, otherId=8)),  # type: ignore[call-arg]  # by alias
    (Serialized, Serialized(id=7, other=8)),
    (Chosen, Chosen(second=7, a={"b": 1})),  # type: ignore[call-arg]  # the same
    (Camel, Camel(userId=1, inner=Serialized(id=2))),  # type: ignore[call-arg]  # the same
    (WithJson, WithJson(extra='{"a": 1}')),  # type: ignore[arg-type]  # as JSON
    (Strict, Strict(n=1, at=NOW)),
    (Excluded, Excluded(n=1)),
    (Extra, Extra(n=1, more=[1, "a"])),  # type: ignore[call-arg]  # allowed
    (DayOrText, DayOrText(day="tomorrow")),
    (TextOrNumber, TextOrNumber(value="1")),
    (TextOrNumber, TextOrNumber(value=1)),
    (Anything, Anything(value={"a": [1, None, NOW]})),
    (Owner, Owner(pet=Cat(lives=7), other=Dog())),
    (Page[date], Page[date](items=[date(2026, 1, 2)])),
    (Page[Cat], Page[Cat](items=[Cat()])),
    (Mapped, Mapped({"a": date(2026, 1, 2)})),
    (Rich, Rich(nested=[{"a": Rich(), "b": None}])),
    (PydanticData, PydanticData(1, date(2026, 1, 2))),
    (Annotated[Cat, "a note"], Cat(lives=3)),
    (Annotated[Cat | None, "a note"], Cat(lives=3)),
    (Annotated[Data[int], "a note"], Data(1)),
    (OptionalCat, Cat(lives=3)),
    (Pet, Dog()),
    (CatOrDog, Dog()),
    (Cat | Dog | None, Cat(lives=2)),
    (Revealed, Revealed(password=SecretStr("hunter2"), token=SecretBytes(b"k3y"))),
    (Data[int], Data(1)),
    (Data[int], Data(1, price=Decimal(2), tags=set())),
    (Struct, Struct(7, date(2026, 1, 2))),
    (Struct | OtherStruct, OtherStruct(3)),
    (Ids, Ids(id=ID, color=Color.RED)),
]


@pytest.mark.parametrize("use_text", [False, True])
async def test_what_survives(processors: Processors, use_text: bool) -> None:
    """What is accepted when it is scheduled reaches its handler as it was given, on every store."""
    got: dict[str, Any] = {}
    processor = await processors.make()
    names = {}
    for i, (annotation, instance) in enumerate(SURVIVE):

        def handler(payload: Any, job: Any) -> None:
            got[job.name] = payload

        if use_text:  # as with `from __future__ import annotations`
            globals()[f"_TYPE_{i}"] = annotation
            annotation = f"_TYPE_{i}"  # noqa: PLW2901  # the same, as text
        handler.__annotations__["payload"] = annotation
        processor.job(f"take{i}")(handler)
        names[f"take{i}"] = instance
    await processor.schedule_jobs(list(names.items()))
    await processor.run_worker(burst=True)
    for name, instance in names.items():
        assert type(got[name]) is type(instance), instance
        assert _to_the_millisecond(got[name]) == _to_the_millisecond(instance)


def _to_the_millisecond(value: Any) -> str:
    return repr(value).replace("123456", "123000")


@pytest.mark.parametrize(
    ("annotation", "given", "field"),
    [
        (StrictDay, StrictDay(day=date(2026, 1, 2)), "day: Input should be a valid date"),
        (Excluded, Excluded(n=1, token="t"), "Excluded.token comes back otherwise"),  # noqa: S106  # none
        (DayOrText, DayOrText(day=date(2026, 1, 2)), "DayOrText.day comes back otherwise"),
        (DayOrText, {"day": date(2026, 1, 2)}, "DayOrText.day comes back otherwise"),
        (Anything, Anything(value=ID), "Anything.value comes back otherwise"),
        (Anything, Anything(value=SecretStr("hunter2")), "a secret is written as a mask"),
        (Anything, {"value": SecretStr("hunter2")}, "a secret is written as a mask"),
        (Dog, Puppy(), "Puppy comes back otherwise"),
        (Owner, Owner(pet=Puppy()), "Owner.pet comes back otherwise"),
        (Hashing, Hashing(word="a"), "Hashing.word comes back otherwise"),
        (Doubling, Doubling(1), "Doubling.n comes back otherwise"),
        (Anything, Anything(value=lambda: None), "its class raises PydanticSerializationError"),
        (Rich, Rich(pattern=re.compile("a", re.IGNORECASE)), "Rich.pattern comes back otherwise"),
        (Ids, {"id": ID, "color": Color.RED, "more": object()}, "its class raises"),
    ],
)
def test_what_would_not_survive(annotation: Any, given: Any, field: str) -> None:
    """What would reach its handler as something else is refused when it is scheduled."""
    kind = payload_type(taking(annotation))
    assert kind is not None
    with pytest.raises(PayloadError, match=re.escape(field)) as raised:
        kind.check(given)
    assert "hunter2" not in str(raised.value)
