"""Who is told, asked or entered when something happens, until it takes itself out again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Listeners(Generic[T]):
    """Listeners in the order in which they came; the same one may be there more than once.

    They may come and go in any thread, also while `all` is walked through.
    """

    def __init__(self) -> None:
        self.all: tuple[T, ...] = ()
        """Those that are there; a new tuple with each change."""
        self._kept: dict[object, T] = {}
        self._lock = threading.Lock()

    def add(self, listener: T) -> Callable[[], None]:
        """Take one in; returns a function that takes it out, whose second call does nothing."""
        key = object()

        def forget() -> None:
            with self._lock:
                self._kept.pop(key, None)
                self.all = tuple(self._kept.values())

        with self._lock:
            self._kept[key] = listener
            self.all = tuple(self._kept.values())
        return forget
