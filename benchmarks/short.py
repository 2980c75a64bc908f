"""The table that a reader wants first: ours, the best three peers, and the limit of the database.

Those on MongoDB have a table of their own, with the same figures.

    python -m benchmarks --short                                      # all of it
    python -m benchmarks --short --systems sqlite,raw-sqlite-hundred  # a part; the rest stays

What was not run again is taken from the last run of all systems, and marked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmarks.results import Result, Row
from benchmarks.tables import NOTHING, Cells, number

Results = Mapping[str, Result]
OLDER = "*"
PEERS = 3
OURS, LIMIT = "sqlite", "raw-sqlite-hundred"


class Figure(NamedTuple):
    """A column of the table."""

    header: str
    scenario: str
    column: str
    digits: int = 0


FIGURES = (
    Figure("drain, jobs/s", "drain", "rate"),
    Figure("schedule one by one/s", "enqueue", "single"),
    Figure("schedule in bulk/s", "enqueue", "bulk"),
    Figure("pickup, ms", "pickup", "p50", 1),
    Figure("idle, MB", "memory", "idle"),
    Figure("idle, % of a core", "idle", "cpu", 2),
)
TRIPS = Figure("database calls/job", "roundtrips", "calls", 3)
SCENARIOS = tuple(dict.fromkeys(figure.scenario for figure in FIGURES))


def systems(whole: Results) -> list[str]:
    """Return whom the table shows: the peers are those that drained fastest when all were run."""
    rows = [row for row in _rows(whole, OURS) if row.key != OURS and not row.key.startswith("raw-")]
    best = sorted(rows, key=lambda row: -(row.median("rate") or 0.0))[:PEERS]
    return [OURS, *(row.key for row in best), LIMIT]


def table(whole: Results, anew: Results) -> Cells:
    """Return the table; whole: of the run of all systems, anew: of those that were run again."""
    return _table(systems(whole), FIGURES, whole, anew)


def of_mongodb(whole: Results) -> Cells:
    """Return the same of all systems on MongoDB."""
    keys = [row.key for row in _rows(whole, "mongodb")]
    return _table(keys, (*FIGURES, TRIPS), whole, {})


def _table(keys: Sequence[str], figures: Sequence[Figure], whole: Results, anew: Results) -> Cells:
    header = ["", *(figure.header for figure in figures)]
    rows = [
        [_title(key, whole), *(_cell(key, figure, whole, anew) for figure in figures)]
        for key in keys
    ]
    return [header, *rows]


def _rows(whole: Results, rival: str) -> list[Row]:
    """Return what drained beside one of ours."""
    drain = whole.get("drain")
    return [row for row in (drain.rows if drain else ()) if row.rival == rival]


def _title(key: str, whole: Results) -> str:
    row = whole["drain"].row(key) if "drain" in whole else None
    return key if row is None else row.title


def _cell(key: str, figure: Figure, whole: Results, anew: Results) -> str:
    for results, mark in ((anew, ""), (whole, OLDER if anew else "")):
        result = results.get(figure.scenario)
        value = result.median(key, figure.column) if result else None
        if value is not None:
            return number(value, figure.digits) + mark
    return NOTHING
