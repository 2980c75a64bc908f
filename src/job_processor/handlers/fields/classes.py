"""Fields whose class is a library's: pydantic models, dataclasses, Structs, constrained types."""

from __future__ import annotations

import sys
import typing
from typing import Any

from job_processor.errors import PayloadError
from job_processor.handlers.fields.base import Kind, WrongValueError
from job_processor.handlers.payloads import PayloadType
from job_processor.handlers.payloads.msgspec_classes import MsgspecType
from job_processor.handlers.payloads.pydantic_models import PydanticType

_FIELD = "value"


class OfClass(Kind):
    """A class that is written as an object, such as one that a whole payload may be of."""

    def __init__(self, told: str, payload_type: PayloadType) -> None:
        self.told = told
        self.natives = payload_type.instances
        self._type = payload_type

    def write(self, value: Any) -> Any:
        """Return what is stored of an instance, or of a mapping that can become one."""
        try:
            return self._type.check(value)
        except PayloadError as error:
            raise WrongValueError(error.allowed) from None

    def read(self, value: Any) -> Any:
        """Return an instance."""
        try:
            return self._type.convert(value)
        except PayloadError as error:
            raise WrongValueError(error.allowed) from None


class OfLibrary(Kind):
    """Anything else that pydantic or msgspec reads, such as `Annotated[int, Field(gt=0)]`.

    The library is asked for a mapping with this one field.
    """

    def __init__(self, told: str, annotation: Any, library: str) -> None:
        self.told = told
        self._type = _holder(annotation, library)

    def write(self, value: Any) -> Any:
        """Return what is stored of it."""
        return self._asked(self._type.check, value)

    def read(self, value: Any) -> Any:
        """Return what the library makes of it."""
        return self._asked(self._type.convert, value)

    def _asked(self, ask: Any, value: Any) -> Any:
        try:
            return ask({_FIELD: value})[_FIELD]
        except PayloadError as error:
            raise WrongValueError(_of_field(error.allowed)) from None


def library_of(annotation: Any, metadata: tuple[Any, ...]) -> str | None:
    """Return the library that an annotation or its metadata speaks to; None: neither."""
    pydantic = sys.modules.get("pydantic")
    msgspec = sys.modules.get("msgspec")
    if msgspec is not None and any(isinstance(each, msgspec.Meta) for each in metadata):
        return "msgspec"
    if pydantic is None:
        return None
    known = ("pydantic", "annotated_types")
    places = [type(each).__module__.partition(".")[0] for each in metadata]
    if any(place in known for place in places) or any(map(_is_pydantics, (annotation, *metadata))):
        return "pydantic"
    return None


def _is_pydantics(each: Any) -> bool:
    return hasattr(each, "__get_pydantic_core_schema__") or (
        isinstance(each, type) and each.__module__.partition(".")[0] == "pydantic"
    )


def _holder(annotation: Any, library: str) -> PayloadType:
    """Return the type of a mapping whose one field is of the annotation."""
    if library == "msgspec":
        return MsgspecType(
            typing.TypedDict("Holder", {_FIELD: annotation}),  # type: ignore[operator]  # made here
            (),
            optional=False,
        )
    import typing_extensions  # noqa: PLC0415  # pydantic brings it, and reads no other before 3.12

    return PydanticType(
        typing_extensions.TypedDict("Holder", {_FIELD: annotation}),  # type: ignore[operator]  # the same
        (),
        optional=False,
    )


def _of_field(told: str) -> str:
    """Return a library's message without the name of the field that we gave it."""
    shorter = told.replace(f" - at `$.{_FIELD}`", "").replace(f"`$.{_FIELD}", "`$")
    return shorter.removeprefix(f"{_FIELD}: ").removeprefix(f"{_FIELD}.")
