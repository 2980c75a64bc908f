"""The table that a reader wants first: ours, the best three peers, and the limit of the database.

    python -m benchmarks --short                                      # all of it
    python -m benchmarks --short --systems sqlite,raw-sqlite-hundred  # a part; the rest stays

What was not run again is taken from the last run of all systems, and marked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from benchmarks.results import Result
from benchmarks.tables import NOTHING, Cells, number

Results = Mapping[str, Result]
OLDER = "*"
PEERS = 3
OURS = ("sqlite", "mongodb")
LIMITS = ("raw-sqlite-hundred", "raw-mongodb")


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
SCENARIOS = tuple(dict.fromkeys(figure.scenario for figure in FIGURES))


def systems(whole: Results) -> list[str]:
    """Return whom the table shows: the peers are those that drained fastest when all were run."""
    drain = whole.get("drain")
    known = {*OURS, *LIMITS, "raw-sqlite-one"}
    rows = [row for row in (drain.rows if drain else ()) if row.key not in known]
    best = sorted(rows, key=lambda row: -(row.median("rate") or 0.0))[:PEERS]
    return ["sqlite", *(row.key for row in best), "raw-sqlite-hundred", "mongodb", "raw-mongodb"]


def table(whole: Results, anew: Results) -> Cells:
    """Return the table; whole: of the run of all systems, anew: of those that were run again."""
    header = ["", *(figure.header for figure in FIGURES)]
    return [header, *(_row(key, whole, anew) for key in systems(whole))]


def _row(key: str, whole: Results, anew: Results) -> list[str]:
    return [_title(key, whole), *(_cell(key, figure, whole, anew) for figure in FIGURES)]


def _title(key: str, whole: Results) -> str:
    row = whole["drain"].row(key) if "drain" in whole else None
    return key if row is None else row.title


def _cell(key: str, figure: Figure, whole: Results, anew: Results) -> str:
    for results, mark in ((anew, ""), (whole, OLDER)):
        result = results.get(figure.scenario)
        value = result.median(key, figure.column) if result else None
        if value is not None:
            return number(value, figure.digits) + mark
    return NOTHING
