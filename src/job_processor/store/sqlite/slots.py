"""A function of each connection that gives the rows of a statement a slot of their lane, in turn.

So that one statement claims many jobs: which of them has which slot of a lane is all the same.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping

FUNCTION = "job_processor_slot"


class _Given(threading.local):
    slots: Mapping[str, Iterator[str] | None] = {}


_given = _Given()


def make_function(connection: sqlite3.Connection) -> None:
    """Let statements of a connection call it, with the lane of a row."""
    connection.create_function(FUNCTION, 1, _next)


def give(slots: Mapping[str, Iterator[str] | None]) -> None:
    """Give these, by lane, to what this thread executes next; None stands for no slot.

    A statement that asks for more than there are fails, and writes nothing.
    """
    _given.slots = slots


def _next(lane: str) -> str | None:
    slots = _given.slots[lane]
    return None if slots is None else next(slots)
