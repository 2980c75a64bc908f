"""What a handler says its payload is: checked when a job is made, converted when it runs.

A pydantic model is pydantic's affair; dataclasses, TypedDicts and msgspec Structs are msgspec's.
Anything else (no annotation, a plain mapping) is taken as it comes.
"""

from __future__ import annotations

import dataclasses
import inspect
import logging
import sys
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import datetime
from types import NoneType
from typing import Any, ClassVar, Protocol, TypeAlias

from bson import ObjectId

from job_processor.errors import DefinitionError, InvalidPayloadError, shorten
from job_processor.redaction import without_values

PARAMETER = "payload"
_WRITTEN_BY_HAND = ("value_error", "assertion_error")
"""Errors of pydantic whose words are of the model's own validators, which may repeat a value."""
_WITHOUT_VALUES = ("Expected ", "Object ")
"""How messages of msgspec begin that name types and fields only."""


class _DataclassInstance(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


class _PydanticModel(Protocol):
    model_fields_set: Any

    def model_dump(self) -> dict[str, Any]: ...


class _Struct(Protocol):
    __struct_fields__: ClassVar[tuple[str, ...]]


TypedPayload: TypeAlias = _DataclassInstance | _PydanticModel | _Struct
"""An instance of a class that a payload may be of."""


class PayloadType(ABC):
    """The class of a handler's payload."""

    def __init__(self, kind: Any, *, optional: bool) -> None:
        self._kind = kind
        self._optional = optional

    def check(self, payload: object) -> Mapping[str, Any] | None:
        """Return what is to be stored of a payload, given as an instance or as a mapping.

        Raises InvalidPayloadError, whose message is the library's, when it is not of the class.
        """
        if isinstance(payload, self._instances()):
            return self._plain(payload)
        self.convert(payload)
        return payload  # type: ignore[return-value]  # it is a mapping or None: it was converted

    def convert(self, payload: object) -> Any:
        """Return what a handler gets for a stored payload; raises InvalidPayloadError."""
        if payload is None and self._optional:
            return None
        try:
            return self._convert({} if payload is None else payload)
        except Exception as error:
            if not self._is_invalid(error):
                raise
            # No cause: the library's own message repeats what the payload has.
            raise InvalidPayloadError(PARAMETER, payload, self._told(error, payload)) from None

    def _instances(self) -> type[Any]:
        """Return the class whose instances may be given."""
        instances: type[Any] = typing.get_origin(self._kind) or self._kind
        return instances

    @abstractmethod
    def _convert(self, payload: Any) -> Any: ...

    @abstractmethod
    def _plain(self, payload: Any) -> Mapping[str, Any]: ...

    @abstractmethod
    def _is_invalid(self, error: Exception) -> bool: ...

    @abstractmethod
    def _told(self, error: Exception, payload: Any) -> str:
        """Return what the library says is wrong, without the values that are."""


class _Pydantic(PayloadType):
    def _convert(self, payload: Any) -> Any:
        return self._kind.model_validate(payload)

    def _plain(self, payload: Any) -> Mapping[str, Any]:
        plain: Mapping[str, Any] = _storable(payload.model_dump(by_alias=True))
        return plain

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


class _Msgspec(PayloadType):
    """Times, bytes and ids stay as they are: the stores keep them."""

    _KNOWN = (datetime, bytes)
    """Of those, the ones that msgspec can read by itself."""

    def __init__(self, kind: Any, *, optional: bool) -> None:
        super().__init__(kind, optional=optional)
        try:
            import msgspec  # noqa: PLC0415  # an extra, imported by those that need it
        except ImportError:
            missing = "its class needs msgspec: pip install 'job-processor[typed]'"
            raise DefinitionError(PARAMETER, kind, missing) from None
        self._library = msgspec

    def _convert(self, payload: Any) -> Any:
        return self._library.convert(
            payload, self._kind, builtin_types=self._KNOWN, dec_hook=_only_instances
        )

    def _plain(self, payload: Any) -> Mapping[str, Any]:
        plain: Mapping[str, Any] = self._library.to_builtins(
            payload, builtin_types=(*self._KNOWN, ObjectId)
        )
        return plain

    def _instances(self) -> type[Any]:
        if typing.is_typeddict(self._kind):
            return _Nothing  # its instances are mappings
        return super()._instances()

    def _is_invalid(self, error: Exception) -> bool:
        return isinstance(error, self._library.ValidationError)

    def _told(self, error: Exception, payload: Any) -> str:
        told = shorten(str(error), 1000)
        return told if told.startswith(_WITHOUT_VALUES) else without_values(told, payload)


class _Nothing:
    """A class without instances."""


def payload_type(function: Callable[..., Any]) -> PayloadType | None:
    """Return the class that a function's `payload` is annotated with; None: take what comes.

    An annotation that cannot be resolved, such as one imported for type checkers only, is warned
    of. Raises DefinitionError when the library that a class needs is not installed.
    """
    annotation = _annotation(function)
    kind, optional = _without_none(annotation)
    bare = typing.get_origin(kind) or kind
    if not isinstance(bare, type):
        return None
    pydantic = sys.modules.get("pydantic")  # whoever has a model has imported it
    if pydantic is not None and issubclass(bare, pydantic.BaseModel):
        return _Pydantic(kind, optional=optional)
    if dataclasses.is_dataclass(bare) or typing.is_typeddict(bare) or _is_struct(bare):
        return _Msgspec(kind, optional=optional)
    return None


def _annotation(function: Callable[..., Any]) -> Any:
    """Return the annotation of `payload`, evaluated where it is text."""
    parameter = inspect.signature(function).parameters.get(PARAMETER)
    annotation = None if parameter is None else parameter.annotation
    if not isinstance(annotation, str):
        return annotation
    inner: Any = inspect.unwrap(function)
    while hasattr(inner, "func"):  # functools.partial
        inner = inner.func
    if not hasattr(inner, "__globals__"):
        inner = inner.__call__
    holder = type("holder", (), {"__annotations__": {PARAMETER: annotation}})
    try:
        return typing.get_type_hints(holder, globalns=inner.__globals__)[PARAMETER]
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        logging.getLogger("job_processor").warning(
            "the payload of %s is not checked: its annotation %r cannot be resolved (%s)",
            getattr(function, "__qualname__", function),
            annotation,
            error,
        )
        return None


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """Return the class of `X | None` with True; of `X` with False."""
    arguments = typing.get_args(annotation)
    others = [each for each in arguments if each is not NoneType]
    if NoneType in arguments and len(others) == 1:
        return others[0], True
    return annotation, False


def _is_struct(kind: type[Any]) -> bool:
    msgspec = sys.modules.get("msgspec")
    return msgspec is not None and issubclass(kind, msgspec.Struct)


def _only_instances(kind: type[Any], value: Any) -> Any:
    """Let pass what is of a class that msgspec does not know."""
    if isinstance(value, kind):
        return value
    raise ValueError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


def _storable(value: Any) -> Any:
    """Return what a model has dumped as values that the stores keep."""
    if isinstance(value, Mapping):
        return {key: _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_storable(item) for item in value]
    if value is None or isinstance(value, str | int | float | bytes | datetime | ObjectId):
        return value
    import pydantic_core  # noqa: PLC0415  # whoever has a model has it

    return pydantic_core.to_jsonable_python(value)
