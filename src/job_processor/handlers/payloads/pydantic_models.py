"""Payloads that are pydantic's: models, its dataclasses, unions of these."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cached_property
from inspect import signature
from typing import Any

from bson import ObjectId

from job_processor.errors import InvalidPayloadError, shorten
from job_processor.handlers.payloads.base import PARAMETER, PayloadType
from job_processor.handlers.payloads.secrets import REFUSED, is_secret
from job_processor.redaction import without_values

_WRITTEN_BY_HAND = ("value_error", "assertion_error")
"""Errors whose words are of the model's own validators, which may repeat a value."""


class PydanticType(PayloadType):
    """Stored by alias, as models are by custom; by name where the aliases do not lead back."""

    @cached_property
    def _adapter(self) -> Any:
        """Made with the first payload: a model may name classes that are defined after it."""
        return sys.modules["pydantic"].TypeAdapter(self._kind)

    @cached_property
    def _names(self) -> dict[str, bool]:
        """Let fields be read by alias and by name; pydantic knows that from 2.11 on."""
        known = "by_name" in signature(self._adapter.validate_python).parameters
        return {"by_alias": True, "by_name": True} if known else {}

    def _convert(self, payload: Any) -> Any:
        return self._adapter.validate_python(payload, **self._names)

    def _forms(self, payload: Any) -> Iterator[Any]:
        # `round_trip` leaves out computed fields, and writes a Json field as it was read.
        for by_alias in (True, False):
            yield self._adapter.dump_python(
                payload, by_alias=by_alias, round_trip=True, warnings=False
            )

    def _jsonable(self, payload: Any) -> Any:
        return _jsonable(payload)

    def _is_invalid(self, error: Exception) -> bool:
        return isinstance(error, sys.modules["pydantic"].ValidationError)

    def _told(self, error: Any, payload: Any) -> str:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        parts = [
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" if each["loc"] else each["msg"]
            for each in found
        ]
        told = shorten("; ".join(parts), 1000)
        plain = all(each["type"] not in _WRITTEN_BY_HAND for each in found)
        return told if plain else without_values(told, payload)


def _jsonable(value: Any) -> Any:
    """Return a value as JSON has it, but times, bytes and ids as they are: the stores keep them."""
    if isinstance(value, Mapping):
        return {_key(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_jsonable(item) for item in value]
    if value is None or isinstance(value, str | int | float | bytes | datetime | ObjectId):
        return value
    if is_secret(type(value)):  # pydantic would write a mask
        raise InvalidPayloadError(PARAMETER, value, REFUSED)
    if hasattr(value, "model_dump"):
        return _jsonable(value.model_dump(by_alias=True, round_trip=True, warnings=False))
    import pydantic_core  # noqa: PLC0415  # whoever has a model has it

    return pydantic_core.to_jsonable_python(value)


def _key(key: Any) -> Any:
    """Return a key as JSON has it: text."""
    if isinstance(key, str):
        return key
    import pydantic_core  # noqa: PLC0415  # see above

    (text,) = pydantic_core.to_jsonable_python({key: None})
    return text
