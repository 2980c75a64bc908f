"""The fields of a payload, as the parameters of its handler say them."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from job_processor.errors import DefinitionError, InvalidPayloadError, PayloadError, shorten
from job_processor.handlers.fields.annotations import kind_of
from job_processor.handlers.fields.base import Kind, WrongValueError
from job_processor.handlers.fields.kinds import Anything
from job_processor.handlers.signature import (
    EMPTY,
    POSITIONAL,
    Parameter,
    Unresolved,
    warn_unresolved,
)
from job_processor.values import normalize_payload

Convert: TypeAlias = Callable[[Any], Any]

PAYLOAD = "payload"
OPTIONS = frozenset(
    (
        "scheduled_for",
        "priority",
        "expires_at",
        "unique_key",
        "on_conflict",
        "unique_for",
        "session",
    )
)
"""What is said of a job beside its payload."""


class Fields:
    """What a handler takes of its payload, field by field.

    parameters: those of the handler that are fields; one of `**keywords` takes all other names.

    Raises DefinitionError for an annotation of which no payload can hold a value.
    """

    def __init__(self, function: Callable[..., Any], parameters: Sequence[Parameter]) -> None:
        self._name = getattr(function, "__name__", type(function).__name__)
        self.parameters = tuple(each.name for each in parameters)
        """The names of the parameters that they are."""
        named = [each for each in parameters if each.kind is not inspect.Parameter.VAR_KEYWORD]
        kinds = {each.name: _kind(function, each) for each in named}
        self._writers: dict[str, Convert] = {name: kind.write for name, kind in kinds.items()}
        self._readers: dict[str, Convert] = {name: kind.read for name, kind in kinds.items()}
        other = next((_kind(function, each) for each in parameters if each not in named), None)
        self._write_other = None if other is None else other.write
        self._read_other = None if other is None else other.read
        self._required = frozenset(each.name for each in named if each.default is EMPTY)
        self._positional = tuple(each.name for each in named if each.kind in POSITIONAL)
        self._given_by_position = {
            each.name: each.default
            for each in named
            if each.kind is inspect.Parameter.POSITIONAL_ONLY and each.default is not EMPTY
        }

    @property
    def is_open(self) -> bool:
        """True where it takes names that it does not say."""
        return self._read_other is not None

    def bind(self, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> dict[str, Any]:
        """Return the payload of a call; raises InvalidPayloadError for too many, or one twice."""
        if not arguments:
            return keywords
        if len(arguments) == 1 and not keywords:
            self._check_no_payload(arguments[0])
        payload = dict(zip(self._positional, arguments, strict=False))
        if len(payload) < len(arguments):
            told = f"it has {len(arguments)} values by position, of {len(self._positional)} fields"
            raise self._refused(arguments, told)
        if not keywords:
            return payload
        payload.update(keywords)
        if len(payload) < len(arguments) + len(keywords):
            twice = [name for name in self._positional[: len(arguments)] if name in keywords]
            raise self._refused(arguments, f"{_listed(twice)} is given twice")
        return payload

    def _check_no_payload(self, value: Any) -> None:
        """Refuse a mapping of the fields in the place of the first, which takes no mapping."""
        names = self._positional
        if not isinstance(value, Mapping) or not names or not value.keys() & self._writers.keys():
            return
        try:
            self._writers[names[0]](value)
        except WrongValueError:
            told = f"it is the first field, {names[0]!r}; write {self._name}.schedule(**payload)"
            raise InvalidPayloadError(PAYLOAD, value, told) from None

    def check(self, payload: object) -> dict[str, Any]:
        """Return what is to be stored of a payload: the fields that are given, defaults are not.

        Raises InvalidPayloadError for a field that is missing, unknown or wrong, PayloadError for
        what cannot be stored at all.
        """
        plain = normalize_payload(self._converted(payload, self._writers, self._write_other))
        assert plain is not None  # noqa: S101  # of a mapping
        return plain

    def part(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is stored of some fields; of a mapping in one of them, what is given of it.

        Raises InvalidPayloadError for one that is unknown or wrong.
        """
        plain: dict[str, Any] = {}
        for name, value in payload.items():
            convert = self._writers.get(name, self._write_other)
            if convert is None:
                raise self._misfit({**dict.fromkeys(self._required), **payload})
            try:
                plain[name] = value if isinstance(value, Mapping) else convert(value)
            except WrongValueError as error:
                path = f"{PAYLOAD}.{name}{error.path}"
                raise InvalidPayloadError(path, value, error.told) from None
        return plain

    def read(self, payload: object) -> dict[str, Any]:
        """Return the handler's arguments for a stored payload; raises InvalidPayloadError."""
        values = self._converted(payload, self._readers, self._read_other)
        if self._given_by_position:
            return {**self._given_by_position, **values}
        return values

    def _converted(
        self, payload: object, converts: dict[str, Convert], other: Convert | None
    ) -> dict[str, Any]:
        given = {} if payload is None else payload
        if type(given) is not dict and not isinstance(given, Mapping):  # the first is faster
            raise self._refused(payload, "it is no mapping of its fields")
        converted: dict[str, Any] = {}
        name: Any = None
        try:
            for name, value in given.items():
                convert = converts.get(name, other)
                if convert is None:
                    break
                converted[name] = convert(value)
        except WrongValueError as error:
            path = f"{PAYLOAD}.{name}{error.path}"
            raise InvalidPayloadError(path, given[name], error.told) from None
        if len(converted) < len(given) or not self._required.issubset(converted):
            raise self._misfit(given)
        return converted

    def _misfit(self, payload: Mapping[Any, Any]) -> PayloadError:
        """Return the error for fields that are missing or unknown."""
        open_to_all = self._write_other is not None
        unknown = [each for each in payload if each not in self._writers and not open_to_all]
        missing = [each for each in self._writers if each in self._required and each not in payload]
        told = []
        if missing:
            told.append(f"{_listed(missing)} is missing")
        if unknown:
            told.append(f"{_listed(unknown)} is none of its fields{self._meant(unknown)}")
        options = [each for each in unknown if each in OPTIONS]
        return self._refused(payload, " and ".join(told), options)

    def _refused(
        self, payload: object, told: str, options: Sequence[str] = ()
    ) -> InvalidPayloadError:
        said = f".options({', '.join(f'{each}=…' for each in options)})" if options else ""
        required = [each for each in self._writers if each in self._required]
        others = [each for each in self._writers if each not in self._required]
        call = (
            f"{self._name}{said}.schedule({', '.join(f'{each}=…' for each in required or others)})"
        )
        also = f" (it also takes {_listed(others)})" if required and others else ""
        return InvalidPayloadError(PAYLOAD, payload, f"{told}; write {call}{also}")

    def _meant(self, unknown: list[Any]) -> str:
        """Return which fields may be meant by the unknown ones."""
        found = [
            match
            for each in unknown
            for match in difflib.get_close_matches(str(each), self._writers, 1)
        ]
        return f" (did you mean {_listed(found)}?)" if found else ""


def _kind(function: Callable[..., Any], parameter: Parameter) -> Kind:
    if parameter.annotation is EMPTY:
        return Anything()
    if isinstance(parameter.annotation, Unresolved):
        warn_unresolved(function, f"the field {parameter.name!r}", parameter.annotation)
        return Anything()
    try:
        return kind_of(parameter.annotation, parameter.name)
    except DefinitionError as error:
        where = f"{getattr(function, '__name__', function)}({parameter.name}: …)"
        raise DefinitionError(where, error.value, error.allowed) from error.__cause__


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(repr(shorten(str(name), 50)) for name in names)
