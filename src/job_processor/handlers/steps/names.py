"""The names of the steps of one run."""

from __future__ import annotations

import threading


class Names:
    """Gives each step of a run a name of its own; safe in threads.

    Whoever takes the same way through a handler gets the same names.
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._given: set[str] = set()
        self._lock = threading.Lock()

    def numbered(self, name: str) -> str:
        """Return `name` for its first step; those that follow are numbered: `ship:2`, `ship:3`."""
        with self._lock:
            count = self._counts.get(name, 0) + 1
            numbered = name if count == 1 else f"{name}:{count}"
            while numbered in self._given:  # another step was called "ship:2"
                count += 1
                numbered = f"{name}:{count}"
            self._counts[name] = count
            self._given.add(numbered)
            return numbered
