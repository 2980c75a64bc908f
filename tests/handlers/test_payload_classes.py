"""Which classes of payloads come back from a database, and what is said of the others."""

from __future__ import annotations

import dataclasses
import enum
import re
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Generic, Literal, NamedTuple, Optional, TypedDict, TypeVar, Union

import msgspec
import pydantic
import pytest
from bson import ObjectId
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    Json,
    PlainSerializer,
    RootModel,
    Secret,
    SecretBytes,
    SecretStr,
    computed_field,
    field_serializer,
    field_validator,
)
from pydantic.alias_generators import to_camel

from job_processor import DefinitionError, InvalidPayloadError, JobDef, PayloadError
from job_processor.handlers.payloads import payload_type
from tests.processors import Processors

T = TypeVar("T")
NOW = datetime(2026, 3, 2, 12, 0, 0, 123456, tzinfo=UTC)
ID = uuid.UUID(int=5)


def taking(annotation: Any) -> Callable[..., Any]:
    """Return a handler of payloads of a class."""

    def handler(payload: Any) -> Any:
        return payload

    handler.__annotations__["payload"] = annotation
    return handler


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Point(NamedTuple):
    x: int
    y: int


class Computed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    w: int

    @computed_field  # type: ignore[prop-decorator]  # as pydantic documents it
    @property
    def double(self) -> int:
        """Return what is not stored."""
        return self.w * 2


class Validated(BaseModel):
    id: int = Field(validation_alias="userId")
    other: int = Field(3, validation_alias="otherId")


class Serialized(BaseModel):
    id: int = Field(serialization_alias="userId")
    other: int = Field(3, serialization_alias="otherId")


class Chosen(BaseModel):
    id: int = Field(validation_alias=AliasChoices("first", "second"))
    deep: int = Field(4, validation_alias=AliasPath("a", "b"))


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)
    user_id: int
    inner: Serialized


class WithJson(BaseModel):
    extra: Json[dict[str, int]]


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    n: int
    at: datetime


class StrictDay(BaseModel):
    model_config = ConfigDict(strict=True)
    day: date


class Excluded(BaseModel):
    n: int
    token: str = Field(default="none", exclude=True)


class Extra(BaseModel):
    model_config = ConfigDict(extra="allow")
    n: int


class DayOrText(BaseModel):
    day: date | str


class TextOrNumber(BaseModel):
    value: int | str | None


class Anything(BaseModel):
    value: Any


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"


class Puppy(Dog):
    age: int = 1


class Owner(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    other: Optional[Dog] = None  # noqa: UP045  # as older code has it


class Page(BaseModel, Generic[T]):  # for 3.11
    items: list[T]


class Mapped(RootModel[dict[str, date]]):
    """A root that is an object."""


class Listed(RootModel[list[int]]):
    """A root that is none."""


class Hashing(BaseModel):
    word: str

    @field_validator("word")
    @classmethod
    def _hash(cls, word: str) -> str:
        return f"<{word}>"


class Rich(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    id: uuid.UUID = ID
    day: date = date(2026, 1, 2)
    at: datetime = NOW
    hour: time = time(1, 2, 3)
    delta: timedelta = timedelta(hours=5, microseconds=7)
    price: Decimal = Decimal("1.10")
    color: Color = Color.RED
    level: Level = Level.LOW
    tags: set[str] = {"a", "b"}
    frozen: frozenset[int] = frozenset({1})
    pair: tuple[int, str] = (1, "a")
    point: Point = Point(1, 2)
    path: Path = Path("/x")
    ip: IPv4Address = IPv4Address("10.0.0.1")
    url: pydantic.HttpUrl = pydantic.HttpUrl("https://example.org/")
    pattern: re.Pattern[str] = re.compile("a+")
    blob: bytes = b"\xff"
    owner: ObjectId = ObjectId("0" * 24)
    by_number: dict[int, date] = {1: date(2026, 1, 2)}
    by_color: dict[Color, int] = {Color.RED: 1}
    nested: list[dict[str, Optional["Rich"]]] = []  # noqa: UP037, UP045  # itself


@pydantic.dataclasses.dataclass
class PydanticData:
    n: int
    day: date


@dataclasses.dataclass
class Data(Generic[T]):  # for 3.11
    value: T
    id: uuid.UUID = ID
    day: date = date(2026, 1, 2)
    at: datetime = NOW
    delta: timedelta = timedelta(hours=5, microseconds=7)
    price: Decimal = Decimal("1.10")
    color: Color = Color.RED
    tags: set[str] = dataclasses.field(default_factory=lambda: {"a"})
    point: Point = Point(1, 2)  # noqa: RUF009  # immutable
    path: Path = Path("/x")
    pure: PurePosixPath = PurePosixPath("y")  # noqa: RUF009  # the same
    blob: bytes = b"\xff"
    owner: ObjectId = ObjectId("0" * 24)  # noqa: RUF009  # immutable
    by_number: dict[int, str] = dataclasses.field(default_factory=lambda: {1: "a"})


class Struct(msgspec.Struct, rename="camel", tag=True):
    user_id: int
    day: date | None = None


class OtherStruct(msgspec.Struct, tag=True):
    n: int


class Ids(TypedDict):
    id: uuid.UUID
    color: Color


@dataclasses.dataclass
class Doubling:
    n: int

    def __post_init__(self) -> None:
        self.n *= 2


OptionalCat = Optional[Cat]  # noqa: UP045  # as older code has it
CatOrDog = Union[Cat, Dog]  # noqa: UP007  # the same
Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


class Revealed(BaseModel):
    password: SecretStr
    token: Annotated[SecretBytes, PlainSerializer(lambda token: token.get_secret_value())]

    @field_serializer("password")
    def _reveal(self, password: SecretStr) -> str:
        return password.get_secret_value()


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


class Login(BaseModel):
    password: SecretStr


OptionalLogin = Optional[Login]  # noqa: UP045  # as older code has it


class Nested(BaseModel):
    logins: dict[str, list[Login | None]]


class WithSecretAlias(BaseModel):
    token: SecretBytes | None = Field(None, alias="t")


class GenericSecret(BaseModel):
    pin: Secret[int]


@dataclasses.dataclass
class SecretData:
    login: Annotated[SecretStr, "a note"]


class SecretStruct(msgspec.Struct):
    login: list[SecretStr]


class SecretDict(TypedDict):
    login: SecretStr


@pydantic.dataclasses.dataclass
class SecretPydanticData:
    data: SecretData


class Tree(BaseModel):
    children: list["Tree"]  # noqa: UP037  # itself
    secret: SecretStr


@pytest.mark.parametrize(
    ("annotation", "field"),
    [
        (Login, "Login.password"),
        (OptionalLogin, "Login.password"),
        (Nested, "Nested.logins.password"),
        (WithSecretAlias, "WithSecretAlias.token"),
        (GenericSecret, "GenericSecret.pin"),
        (Annotated[Login, "a note"], "password"),
        (Page[Login], "items.password"),
        (Page[SecretStr], "items"),
        (Cat | Login, "password"),
        (RootModel[dict[str, SecretStr]], "root"),
        (SecretData, "SecretData.login"),
        (SecretStruct, "SecretStruct.login"),
        (SecretDict, "SecretDict.login"),
        (SecretPydanticData, "data.login"),
        (Tree, "Tree.secret"),
    ],
)
def test_secrets(annotation: Any, field: str) -> None:
    """A class that would be stored with a mask is refused when it is defined, with the way out."""
    with pytest.raises(DefinitionError, match=rf"{field}: a secret is written as a mask.*a str"):
        JobDef(taking(annotation))


OptionalPoint = Optional[Point]  # noqa: UP045  # the same


@dataclasses.dataclass
class WithInitVar:
    n: int
    factor: dataclasses.InitVar[int] = 2


@dataclasses.dataclass
class DayOrTextData:
    day: date | str


class Plain:
    """A class that nobody can read."""


@dataclasses.dataclass
class WithPlain:
    inner: dict[str, list[Plain]]


@dataclasses.dataclass
class WithModel:
    inner: Cat


class AsArray(msgspec.Struct, array_like=True):
    n: int


@pytest.mark.parametrize(
    ("annotation", "told"),
    [
        (WithInitVar, "InitVar"),
        (DayOrTextData, "more than one str-like type"),
        (WithPlain, "Plain is none of the types"),
        (WithModel, "Cat is none of the types"),
        (Point, "not written as an object"),
        (OptionalPoint, "not written as an object"),
        (Listed, "not written as an object"),
        (AsArray, "not written as an object"),
        (Data[int] | Doubling, "more than one"),
    ],
)
def test_classes_that_can_never_be_read(annotation: Any, told: str) -> None:
    """They are refused when they are defined."""
    with pytest.raises(DefinitionError, match=f"payload: .*{told}"):
        JobDef(taking(annotation))


async def test_a_class_that_raises(processors: Processors) -> None:
    """What a class raises that is no word of its library is no way into the database either."""

    class Raising(BaseModel):
        n: int

        @field_validator("n")
        @classmethod
        def _fail(cls, n: int) -> int:
            raise ConnectionError("password=hunter2")

    processor = await processors.make(jobs={"take": JobDef(taking(Raising))})
    with pytest.raises(InvalidPayloadError, match="its class raises ConnectionError") as raised:
        await processor.schedule_job("take", {"n": 1})
    assert "hunter2" not in str(raised.value)
    assert (await processor.find_jobs()).jobs == ()
