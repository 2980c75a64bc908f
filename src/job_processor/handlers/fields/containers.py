"""Fields that hold others: optional ones, lists, mappings, unions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from job_processor.handlers.fields.base import Kind, WrongValueError

_MIXED_UP = (
    "comes back otherwise than it was given: what is stored of it is read as `{}`; allowed is a "
    "value that JSON tells from the union's other members"
)


class Maybe(Kind):
    """`X | None`."""

    def __init__(self, inner: Kind) -> None:
        self.told = f"{inner.told} | None"
        self.natives = (*inner.natives, type(None))
        self._inner = inner

    def write(self, value: Any) -> Any:
        """Return None for None."""
        return None if value is None else self._inner.write(value)

    def read(self, value: Any) -> Any:
        """Return None for None."""
        return None if value is None else self._inner.read(value)


class Items(Kind):
    """A list, a set, a tuple of any length: stored as a list.

    made: makes of the items what the handler gets.
    sources: the classes that may be given.
    """

    def __init__(
        self,
        made: Callable[[Iterable[Any]], Any],
        native: type[Any],
        inner: Kind,
        sources: tuple[type[Any], ...] = (list, tuple),
    ) -> None:
        self.told = f"{native.__name__}[{inner.told}]"
        self.natives = (native,)
        self._made, self._inner, self._sources = made, inner, sources

    def write(self, value: Any) -> Any:
        """Return the items as a list."""
        if not isinstance(value, self._sources):
            raise self.refused(value)
        return _each(self._inner.write, value)

    def read(self, value: Any) -> Any:
        """Return the items as what the annotation says."""
        if not isinstance(value, list | tuple):
            raise self.refused(value)
        return self._made(_each(self._inner.read, value))


class Row(Kind):
    """A tuple of so many items, each of its kind."""

    natives: tuple[type[Any], ...] = (tuple,)

    def __init__(self, inner: tuple[Kind, ...]) -> None:
        self.told = f"tuple[{', '.join(each.told for each in inner)}]"
        self._inner = inner

    def write(self, value: Any) -> Any:
        """Return the items as a list."""
        return [_at(f"[{i}]", kind.write, each) for i, kind, each in self._items(value)]

    def read(self, value: Any) -> Any:
        """Return them as a tuple."""
        return tuple(_at(f"[{i}]", kind.read, each) for i, kind, each in self._items(value))

    def _items(self, value: Any) -> Iterable[tuple[int, Kind, Any]]:
        if not isinstance(value, list | tuple):
            raise self.refused(value)
        if len(value) != len(self._inner):
            raise WrongValueError(f"Expected {len(self._inner)} items, got {len(value)}")
        return [(i, self._inner[i], each) for i, each in enumerate(value)]


class Table(Kind):
    """A mapping whose keys are text, or stored as text."""

    natives: tuple[type[Any], ...] = (dict,)

    def __init__(self, keys: Kind, inner: Kind) -> None:
        self.told = f"dict[{keys.told}, {inner.told}]"
        self._keys, self._inner = keys, inner

    def write(self, value: Any) -> Any:
        """Return it as a dict."""
        if not isinstance(value, Mapping):
            raise self.refused(value)
        return {
            _at(".<key>", self._keys.write, key): _at(f".{key}", self._inner.write, each)
            for key, each in value.items()
        }

    def read(self, value: Any) -> Any:
        """Return it as a dict."""
        if not isinstance(value, Mapping):
            raise self.refused(value)
        return {
            _at(".<key>", self._keys.read, key): _at(f".{key}", self._inner.read, each)
            for key, each in value.items()
        }


class AnyOf(Kind):
    """A union: the member whose own class a value has, else the first that takes it."""

    def __init__(self, members: tuple[Kind, ...]) -> None:
        self.told = " | ".join(each.told for each in members)
        self.natives = tuple(kind for each in members for kind in each.natives)
        self._members = members

    def write(self, value: Any) -> Any:
        """Return what is stored of it; refuse what would come back as another member's."""
        plain = self._first(value, "write")
        back = self.read(plain)
        given = isinstance(value, self.natives) and type(value) is not type(plain)
        if given and (type(back) is not type(value) or back != value):
            raise WrongValueError(_MIXED_UP.format(type(back).__name__))
        return plain

    def read(self, value: Any) -> Any:
        """Return what the member makes of it that it was written by."""
        return self._first(value, "read")

    def _first(self, value: Any, do: str) -> Any:
        own = [each for each in self._members if type(value) in each.natives]
        for member in (*own, *self._members):
            try:
                return getattr(member, do)(value)
            except WrongValueError:
                continue
        raise self.refused(value)


def _each(convert: Callable[[Any], Any], values: Iterable[Any]) -> list[Any]:
    done: list[Any] = []
    try:
        for value in values:
            done.append(convert(value))  # noqa: PERF401  # its length tells where it failed
    except WrongValueError as error:
        raise error.at(f"[{len(done)}]") from None
    return done


def _at(step: str, convert: Callable[[Any], Any], value: Any) -> Any:
    try:
        return convert(value)
    except WrongValueError as error:
        raise error.at(step) from None
