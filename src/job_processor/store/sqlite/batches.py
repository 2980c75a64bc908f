"""Many rows in a few statements, and those of them that cannot be stored told from the rest.

What one row cannot be stored for keeps no other from being stored, and costs a constant number of
statements, however many there are.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from job_processor.store.sqlite.errors import unbindable, unstorable
from job_processor.store.sqlite.rows import Row

LARGEST_PART = 128
"""Rows of one part."""

T = TypeVar("T")


def write_storable(
    connection: sqlite3.Connection,
    items: Sequence[T],
    row: Callable[[T], Row],
    write: Callable[[sqlite3.Connection, Sequence[Row]], int],
    refuse: Callable[[T, str], object],
) -> int:
    """Write the rows of items in parts, in the caller's transaction; return the sum of `write`.

    row: returns the parameters of an item.
    write: writes a part and returns how many rows changed. What it wrote before it failed is asked
        for again, and must be found written then.
    refuse: called with each item that cannot be stored, and why.
    """
    return sum(_write(connection, part, row, write, refuse) for part in _parts(items))


def _write(
    connection: sqlite3.Connection,
    part: Sequence[T],
    row: Callable[[T], Row],
    write: Callable[[sqlite3.Connection, Sequence[Row]], int],
    refuse: Callable[[T, str], object],
) -> int:
    try:
        return write(connection, [row(item) for item in part])
    except Exception as error:
        why = unstorable(error)
        if why is None or not connection.in_transaction:  # a trigger may end it
            raise
    found = {i: why_not for i, item in enumerate(part) if (why_not := _look(item, row))}
    if len(part) == 1:
        found = {0: why}
    for i, why_not in found.items():
        refuse(part[i], why_not)
    if found:
        left = [item for i, item in enumerate(part) if i not in found]
        return write_storable(connection, left, row, write, refuse)
    half = len(part) // 2  # it is of those that only the database refuses
    return write_storable(connection, part[:half], row, write, refuse) + write_storable(
        connection, part[half:], row, write, refuse
    )


def _look(item: T, row: Callable[[T], Row]) -> str | None:
    """Return why SQLite cannot even be given an item, None where it can."""
    try:
        return unbindable(row(item))
    except Exception as error:
        why = unstorable(error)
        if why is None:
            raise
        return why


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), LARGEST_PART):
        yield items[start : start + LARGEST_PART]
