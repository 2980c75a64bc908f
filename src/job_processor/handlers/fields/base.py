"""What each kind of field does: write a value as plain ones, read it back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class WrongValueError(Exception):
    """A value is not of its field's kind. It tells types and places, and nothing of the value."""

    def __init__(self, told: str) -> None:
        super().__init__(told)
        self.told = told
        self.path = ""
        """Where in the field it is, such as `[2].name`."""

    def at(self, step: str) -> WrongValueError:
        """Return it as it is for whoever holds what holds the value."""
        self.path = step + self.path
        return self


class Kind(ABC):
    """What a field may be.

    Whatever `write` accepts, `read` reads: the worker takes what the caller could schedule.
    """

    told: str
    """How a message names it."""
    natives: tuple[type[Any], ...] = ()
    """The classes of what `read` returns."""

    @abstractmethod
    def write(self, value: Any) -> Any:
        """Return what is stored of a value, of the kind itself or as JSON has it.

        Raises WrongValueError.
        """

    @abstractmethod
    def read(self, value: Any) -> Any:
        """Return what the handler gets for what is stored; raises WrongValueError."""

    def refused(self, value: Any) -> WrongValueError:
        """Return the error for a value of another kind."""
        return WrongValueError(f"Expected `{self.told}`, got `{type(value).__name__}`")
