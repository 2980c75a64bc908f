"""A class of payloads: what is stored of one, and what a handler gets for it.

What is accepted when a job is made is what the worker accepts: it is converted there and then from
what is stored, and an instance must come back as it was given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol, TypeAlias

from job_processor.errors import InvalidPayloadError, PayloadError
from job_processor.handlers.payloads.sameness import difference
from job_processor.values import normalize_payload

PARAMETER = "payload"
_LOST = (
    "comes back otherwise than it was given; allowed is what survives being written as JSON: no "
    "field with exclude=True, no value of a derived class, no union whose members JSON does not "
    "tell apart, no validator that changes what it has validated before"
)


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
    """The class of a handler's payload.

    instances: the classes whose instances may be given; a TypedDict has none of its own.
    """

    def __init__(self, kind: Any, instances: tuple[type[Any], ...], *, optional: bool) -> None:
        self._kind = kind
        self.instances = instances
        self._optional = optional

    def check(self, payload: object) -> dict[str, Any] | None:
        """Return what is to be stored of a payload, given as an instance or as a mapping.

        A mapping of plain values costs one conversion, an instance one and the comparison. Raises
        InvalidPayloadError, whose message is the library's, when it is not of the class, or would
        not be the same again for the handler; PayloadError for what cannot be stored at all.
        """
        if isinstance(payload, self.instances):
            return self._check_instance(payload)
        if not isinstance(payload, Mapping):
            self._checked(payload)
            return normalize_payload(payload)
        plain = self._normalized(payload)
        converted = self._checked(plain)
        if plain != payload:
            self._compare(payload, self._given(payload, converted), converted)
        return plain

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

    def _check_instance(self, payload: Any) -> dict[str, Any] | None:
        problem: PayloadError | None = None
        for form in self._dumped(payload):
            try:
                plain = self._normalized(form)
                self._compare(payload, payload, self._read_again(payload, plain))
            except PayloadError as error:
                problem = problem or error
            else:
                return plain
        assert problem is not None  # noqa: S101  # there is at least one form
        raise problem

    def _dumped(self, payload: Any) -> Iterator[Any]:
        """Give the forms in which an instance may be stored, the usual one first."""
        try:
            yield from self._forms(payload)
        except PayloadError:
            raise
        except Exception as error:
            raise _failing("written", payload, error) from error

    def _normalized(self, payload: Any) -> dict[str, Any] | None:
        """Return plain values; what no store keeps is written as JSON has it."""
        try:
            return normalize_payload(payload)
        except PayloadError:
            pass
        try:
            jsonable = self._jsonable(payload)
        except PayloadError:
            raise
        except Exception as error:
            raise _failing("written", payload, error) from error
        return normalize_payload(jsonable)

    def _checked(self, payload: Any) -> Any:
        """Return what the handler will get; whatever the class raises means that it gets none."""
        try:
            return self.convert(payload)
        except PayloadError:
            raise
        except Exception as error:
            raise _failing("read", payload, error) from error

    def _read_again(self, payload: Any, plain: Any) -> Any:
        try:
            return self._checked(plain)
        except InvalidPayloadError as error:
            allowed = f"what is stored of it cannot be read again: {error.allowed}"
            raise InvalidPayloadError(PARAMETER, payload, allowed) from error

    def _given(self, payload: Any, converted: Any) -> Any:
        """Return what a mapping means as it is given, without the way through the database."""
        try:
            return self.convert(payload)
        except Exception:  # noqa: BLE001  # it is of values that are read only as they are stored
            return converted

    def _compare(self, payload: Any, given: Any, converted: Any) -> None:
        try:
            field = difference(given, converted, type(given).__name__)
        except Exception as error:
            raise _failing("compared", payload, error) from error
        if field is not None:
            raise InvalidPayloadError(PARAMETER, payload, f"{field} {_LOST}")

    @abstractmethod
    def _convert(self, payload: Any) -> Any: ...

    @abstractmethod
    def _forms(self, payload: Any) -> Iterator[Any]:
        """Give the mappings that an instance may become."""

    @abstractmethod
    def _jsonable(self, payload: Any) -> Any:
        """Return a mapping whose values are those that stores keep, or JSON's."""

    @abstractmethod
    def _is_invalid(self, error: Exception) -> bool: ...

    @abstractmethod
    def _told(self, error: Exception, payload: Any) -> str:
        """Return what the library says is wrong, without the values that are."""


def _failing(done: str, payload: Any, error: Exception) -> InvalidPayloadError:
    return InvalidPayloadError(
        PARAMETER, payload, f"it cannot be {done}: its class raises {type(error).__name__}"
    )
