"""Classes of payloads that are refused when they are defined: with secrets, or never to be read."""

from __future__ import annotations

import dataclasses
from datetime import date
from typing import Annotated, Any, Optional, TypedDict

import msgspec
import pydantic
import pytest
from pydantic import (
    BaseModel,
    Field,
    RootModel,
    Secret,
    SecretBytes,
    SecretStr,
    field_validator,
)

from job_processor import DefinitionError, InvalidPayloadError, JobDef
from tests.handlers.payload_classes import Cat, Data, Doubling, Listed, Page, Point, taking
from tests.processors import Processors


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
