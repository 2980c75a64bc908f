"""Classes of payloads, of each library, with what is special to it."""

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
    SecretBytes,
    SecretStr,
    computed_field,
    field_serializer,
    field_validator,
)
from pydantic.alias_generators import to_camel

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
