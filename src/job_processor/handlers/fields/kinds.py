"""Fields that are one value: what stores keep as it is, and what they keep as text or number."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from bson import ObjectId
from bson.errors import InvalidId

from job_processor.handlers.fields.base import Kind, WrongValueError

SCALARS = (str, int, float, bool, type(None))


class Anything(Kind):
    """What has no annotation, or `Any`: taken as it comes."""

    told = "anything"

    def write(self, value: Any) -> Any:
        """Return it."""
        return value

    read = write


class Kept(Kind):
    """What both stores keep as it is: text, truth, bytes, times, ids."""

    def __init__(self, kind: type[Any]) -> None:
        self.told = kind.__name__
        self.natives = (kind,)
        self._kind = kind

    def write(self, value: Any) -> Any:
        """Return it, of its class or of one derived from that."""
        if isinstance(value, self._kind):
            return value
        raise self.refused(value)

    read = write


class Whole(Kind):
    """An `int`; a float without a fraction is one, as JavaScript has no other numbers."""

    told = "int"
    natives: tuple[type[Any], ...] = (int,)

    def write(self, value: Any) -> Any:
        """Return it."""
        if type(value) is int:
            return value
        if isinstance(value, bool) or not isinstance(value, int | float) or value % 1 != 0:
            raise self.refused(value)
        return int(value)

    read = write


class Real(Kind):
    """A `float`; a whole number is one."""

    told = "float"
    natives: tuple[type[Any], ...] = (float,)

    def write(self, value: Any) -> Any:
        """Return it."""
        if type(value) is float:
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refused(value)
        return float(value)

    read = write


class Written(Kind):
    """What stores keep as something else: `dump` writes it, `load` reads it.

    sources: the classes that `load` takes, besides its own.
    """

    def __init__(
        self,
        kind: type[Any],
        sources: tuple[type[Any], ...],
        dump: Callable[[Any], Any],
        load: Callable[[Any], Any],
    ) -> None:
        self.told = kind.__name__
        self.natives = (kind,)
        self._kind, self._sources, self._dump, self._load = kind, sources, dump, load

    def write(self, value: Any) -> Any:
        """Return what is stored of it; what can be read is stored as it is given."""
        if isinstance(value, self._kind):
            plain = self._dump(value)
            self.read(plain)
            return plain
        self.read(value)
        return value

    def read(self, value: Any) -> Any:
        """Return it as one of its class."""
        if isinstance(value, bool) or not isinstance(value, self._sources):
            raise self.refused(value)
        try:
            return self._load(value)
        except (ValueError, InvalidOperation, InvalidId, OverflowError):
            told = f"Expected `{self.told}`, got a `{type(value).__name__}` that is none"
            raise WrongValueError(told) from None


class Day(Written):
    """A date without a time, of which a datetime is none."""

    def __init__(self) -> None:
        super().__init__(date, (str,), date.isoformat, date.fromisoformat)

    def write(self, value: Any) -> Any:
        """Return it as text."""
        if isinstance(value, datetime):
            raise self.refused(value)
        return super().write(value)


class Moment(Kind):
    """An aware datetime, which stores keep; as text in ISO 8601 for who has JSON only."""

    told = "datetime"
    natives: tuple[type[Any], ...] = (datetime,)

    def write(self, value: Any) -> Any:
        """Return it as it is given."""
        self.read(value)
        return value

    def read(self, value: Any) -> Any:
        """Return it as a datetime."""
        if isinstance(value, datetime):
            moment = value
        elif isinstance(value, str):
            moment = _moment(value)
        else:
            raise self.refused(value)
        if moment.utcoffset() is None:
            raise WrongValueError(
                "Expected a `datetime` with a time zone, got one without; write "
                "datetime.now(UTC), or 2026-01-31T12:00:00Z"
            )
        return moment


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise WrongValueError("Expected `datetime`, got a `str` that is none") from None


class OneOf(Kind):
    """An enum's members, or a Literal's values; by what is stored of each.

    Raises TypeError for a member whose value is more than text, a number, a truth or None.
    """

    def __init__(self, told: str, members: tuple[Any, ...]) -> None:
        self.told = told
        self.natives = tuple({type(each) for each in members})
        self._members = [(_stored(each), each) for each in members]
        for plain, _ in self._members:
            if not isinstance(plain, SCALARS):
                raise TypeError(f"{told}: a value of it is a {type(plain).__name__}")

    def write(self, value: Any) -> Any:
        """Return the stored value of a member."""
        plain = _stored(value)
        self.read(plain)
        return plain

    def read(self, value: Any) -> Any:
        """Return the member of a stored value."""
        for known, member in self._members:
            if known == value and type(known) is type(value):
                return member
        allowed = ", ".join(repr(known) for known, _ in self._members)
        raise WrongValueError(f"Expected one of {allowed}, got another `{type(value).__name__}`")


def _stored(member: Any) -> Any:
    """Return the plain value of an enum's member; anything else as it is."""
    value = member.value if isinstance(member, Enum) else member
    for kind in (str, int, float):
        if isinstance(value, kind) and not isinstance(value, bool):
            return kind(value) if kind is not str else str.__str__(value)
    return value


def _seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def _decimal(plain: Any) -> Decimal:
    return Decimal(str(plain))


KINDS: dict[Any, Kind] = {
    str: Kept(str),
    bool: Kept(bool),
    bytes: Kept(bytes),
    int: Whole(),
    float: Real(),
    datetime: Moment(),
    date: Day(),
    time: Written(time, (str,), time.isoformat, time.fromisoformat),
    timedelta: Written(timedelta, (int, float), timedelta.total_seconds, _seconds),
    Decimal: Written(Decimal, (str, int, float), str, _decimal),
    UUID: Written(UUID, (str,), str, UUID),
    ObjectId: Written(ObjectId, (str, ObjectId), lambda value: value, ObjectId),
}
"""The kinds of values that stand for themselves, by class."""


def path_kind(kind: type[PurePath]) -> Kind:
    """Return the kind of a class of paths."""
    return Written(kind, (str,), str, kind)
