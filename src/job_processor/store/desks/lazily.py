"""Desks that are made, and loaded, when they are first used: who only schedules needs few."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar, overload

if TYPE_CHECKING:
    from job_processor.store.desks.desk import Desk

D_co = TypeVar("D_co", covariant=True)


class HasDesks(Protocol):
    """A store, or a desk of it."""

    def desk(self, name: str) -> Any:
        """Return the desk of a name, made by now."""


class Lazily(Generic[D_co]):
    """The desk of a name, by default that of the attribute."""

    def __init__(self, name: str = "") -> None:
        self._name = name

    def __set_name__(self, owner: type, name: str) -> None:
        """Note the name."""
        self._name = self._name or name

    @overload
    def __get__(self, holder: None, owner: type) -> Self: ...
    @overload
    def __get__(self, holder: HasDesks, owner: type) -> D_co: ...
    def __get__(self, holder: HasDesks | None, owner: type) -> Self | D_co:
        """Return the desk."""
        if holder is None:
            return self
        desk: D_co = holder.desk(self._name)
        return desk


def kind_of(package: str, prefix: str, name: str) -> Callable[..., Desk]:
    """Return the class of a desk: `SqliteIntake` is in the module `intake` of its package."""
    module = import_module(f"{package}.{name}")
    kind: Callable[..., Desk] = getattr(module, prefix + name.capitalize())
    return kind
