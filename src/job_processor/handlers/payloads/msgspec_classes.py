"""Payloads that are msgspec's: dataclasses, TypedDicts, its Structs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import PurePath
from typing import Any

from bson import ObjectId

from job_processor.errors import DefinitionError, how_to_install, shorten
from job_processor.handlers.payloads.base import PARAMETER, PayloadType
from job_processor.redaction import without_values

_KNOWN = (datetime, bytes)
"""Of what stores keep and JSON lacks, what msgspec can read by itself."""
_KEPT = (*_KNOWN, ObjectId)
_WITHOUT_VALUES = ("Expected ", "Object ")
"""How messages begin that name types and fields only."""


class MsgspecType(PayloadType):
    """Times, bytes and ids stay as they are: the stores keep them.

    Raises DefinitionError where msgspec is missing, or cannot read the class.
    """

    def __init__(self, kind: Any, instances: tuple[type[Any], ...], *, optional: bool) -> None:
        super().__init__(kind, instances, optional=optional)
        try:
            import msgspec  # noqa: PLC0415  # an extra, imported by those that need it
        except ImportError:
            missing = f"its class needs msgspec: {how_to_install('typed')}"
            raise DefinitionError(PARAMETER, kind, missing) from None
        self._library: Any = msgspec
        self._check_class()

    def _check_class(self) -> None:
        """Refuse what msgspec would refuse with the first payload."""
        try:
            self._convert({})
            described = self._library.inspect.type_info(self._kind)
        except self._library.ValidationError:
            described = self._library.inspect.type_info(self._kind)
        except NameError:  # it names a class that is defined later
            return
        except TypeError as error:
            raise DefinitionError(PARAMETER, self._kind, f"msgspec says: {error}") from error
        unknown = _unknown(described, set())
        if unknown is not None:
            allowed = (
                f"{unknown.__name__} is none of the types that msgspec reads; allowed are those, "
                "and a pydantic model, which can have types of its own"
            )
            raise DefinitionError(PARAMETER, self._kind, allowed)

    def _convert(self, payload: Any) -> Any:
        return self._library.convert(
            payload, self._kind, builtin_types=_KNOWN, str_keys=True, dec_hook=_read
        )

    def _forms(self, payload: Any) -> Iterator[Any]:
        yield self._jsonable(payload)

    def _jsonable(self, payload: Any) -> Any:
        return self._library.to_builtins(
            payload, builtin_types=_KEPT, str_keys=True, enc_hook=_written
        )

    def _is_invalid(self, error: Exception) -> bool:
        return isinstance(error, self._library.ValidationError)

    def _told(self, error: Exception, payload: Any) -> str:
        told = shorten(str(error), 1000)
        return told if told.startswith(_WITHOUT_VALUES) else without_values(told, payload)


def _read(kind: type[Any], value: Any) -> Any:
    """Read what is of a class that msgspec does not know."""
    if isinstance(value, kind):
        return value
    if issubclass(kind, PurePath) and isinstance(value, str):
        return kind(value)
    raise ValueError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


def _written(value: Any) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    raise NotImplementedError(type(value).__name__)


def _unknown(described: Any, seen: set[int]) -> type[Any] | None:
    """Return a class in msgspec's description of a type that neither it nor we can read."""
    if id(described) in seen:
        return None
    seen.add(id(described))
    kind = getattr(described, "cls", None)
    if type(described).__name__ == "CustomType":
        known = isinstance(kind, type) and issubclass(kind, ObjectId | PurePath)
        return None if known else kind
    for name in getattr(described, "__struct_fields__", ()):
        value = getattr(described, name)
        for each in value if isinstance(value, tuple) else (value,):
            found = _unknown(each, seen) if hasattr(each, "__struct_fields__") else None
            if found is not None:
                return found
    return None
