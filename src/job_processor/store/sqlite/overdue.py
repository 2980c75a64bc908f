"""What is due, for who looks at it: in no lane, in line for a slot, free in a lane without a key.

Each is a line of its own in one of two indexes. Which lines have something due is told by their
heads; then one statement reads the first jobs of all of these together.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache, partial
from heapq import nsmallest
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from job_processor.store.sqlite.keyless import PUT_OFF
from job_processor.store.sqlite.selections import Source
from job_processor.store.sqlite.tables import AHEAD, IN_LINE, WAITING, Tables

if TYPE_CHECKING:
    from job_processor.store.sqlite.lanes import SqliteLanes

_LINES_AT_ONCE = 64  # lines of a kind that one statement merges at most
_KINDS = range(3)
_OF_DUE, _IN_LINE, _FREE = _KINDS
_NO_LINE = (None, None)  # stands in where a statement merges more lines than there are


class DueLine(NamedTuple):
    """A line with something due."""

    kind: int
    name: str
    priority: int
    head: int
    """When its first job was to begin, in milliseconds."""


class Overdue:
    """The statements that look, within somebody's reading."""

    def __init__(self, tables: Tables, in_line: SqliteLanes) -> None:
        self._in_line = in_line
        self._firsts = lru_cache(partial(_statement, tables))

    def sources(
        self, connection: sqlite3.Connection, now: int, limit: int, leaving_out: Collection[str]
    ) -> Iterator[Source]:
        """Give what selects the rows of what is due, the earliest ones, but for some names."""
        heads = self._in_line.keyless.all_heads(connection, leaving_out)
        lines = [DueLine(_OF_DUE, *line) for line in heads.early]
        lines += [DueLine(_FREE, *line[:3]) for line in heads.free]
        lines += [
            DueLine(_IN_LINE, *head) for head in self._in_line.all_heads(connection, leaving_out)
        ]
        due = [line for line in lines if line.head <= now]
        # Each line holds its head, so no more than `limit` lines can have a part in the result.
        due = nsmallest(limit, due, key=attrgetter("head"))
        for start in range(0, len(due), _LINES_AT_ONCE):
            some = due[start : start + _LINES_AT_ONCE]
            kinds = [[line for line in some if line.kind == kind] for kind in _KINDS]
            sizes = tuple(_rounded(len(kind)) for kind in kinds)
            values: list[Any] = [limit, now]
            for kind, size in zip(kinds, sizes, strict=True):
                for line in kind:
                    values += (line.name, line.priority)
                values += _NO_LINE * (size - len(kind))
            yield self._firsts(sizes), values


def _rounded(count: int) -> int:
    """Return the power of two that is not below: few sizes, so few statements."""
    return 1 << (count - 1).bit_length() if count else 0


def _statement(tables: Tables, sizes: Sequence[int]) -> str:
    """Return what selects the first ?1 of so many lines of each kind that are due at ?2."""
    due, line = (f"{tables.jobs} AS job INDEXED BY {each}" for each in (tables.due, tables.line))
    free = f"scheduled_for>={AHEAD} AND {PUT_OFF} AND job.scheduled_for"
    kinds = {
        _OF_DUE: (due, "name", "scheduled_for", "", f"scheduled_for<=?2 AND {WAITING}"),
        _IN_LINE: (line, "line", "ready", "", f"ready<=?2 AND {IN_LINE}"),
        _FREE: (due, "name", "scheduled_for", f"-{AHEAD}", f"{free}<=?2+{AHEAD} AND {WAITING}"),
    }
    arms, place = list[str](), 3
    for kind, size in zip(_KINDS, sizes, strict=True):
        source, name, time, ahead, condition = kinds[kind]
        for _ in range(size):
            arm = (
                f"SELECT job.{time}{ahead} AS time, job.rowid AS place FROM {source} "
                f"WHERE job.{name}=?{place} AND job.priority=?{place + 1} AND job.{condition}"
            )
            # What an index gives in the order of the whole is merged with it and read no further.
            first = f"SELECT * FROM ({arm} ORDER BY job.{time} LIMIT ?1)"
            arms.append(first if ahead else arm)
            place += 2
    return f"{' UNION ALL '.join(arms)} ORDER BY time LIMIT ?1"
