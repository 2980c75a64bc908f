"""Functions of a connection that give the rows of a statement a slot of their lane, in turn.

So that one statement claims many jobs: which of them has which slot of a lane is all the same.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator, Mapping

_NAME = "job_processor_slot"

OF_ONE, OF_EACH = f"{_NAME}()", f"{_NAME}(lane)"
"""What a statement sets a slot to, of the only lane that it claims of, or of the row's own. For the
only one SQLite calls no Python, which takes a fifth of the time."""


class Slots:
    """What is given, to one connection at a time."""

    def __init__(self) -> None:
        self._connection: sqlite3.Connection | None = None
        self._of_one = deque[str | None]()
        self._of_each: dict[str, Iterator[str | None]] = {}

    def give(
        self, connection: sqlite3.Connection, slots: Mapping[str, Iterable[str | None]]
    ) -> None:
        """Give these, by lane, to what this connection executes next; None stands for no slot.

        A statement that asks for more than there are fails, and writes nothing.
        """
        if connection is not self._connection:  # each that broke is made anew
            self._make_functions(connection)
            self._connection = connection
        self._of_one.clear()
        self._of_each.clear()
        if len(slots) == 1:
            (of_lane,) = slots.values()
            self._of_one.extend(of_lane)
        else:
            self._of_each.update((lane, iter(of_lane)) for lane, of_lane in slots.items())

    def _make_functions(self, connection: sqlite3.Connection) -> None:
        of_each = self._of_each  # a connection refers to nothing that keeps the store
        connection.create_function(_NAME, 0, self._of_one.popleft)
        connection.create_function(_NAME, 1, lambda lane: next(of_each[lane]))
