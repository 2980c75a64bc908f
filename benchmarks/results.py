"""Figures: several runs of each, kept as JSON beside what they were measured on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal

Better = Literal["higher", "lower", ""]


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of a scenario."""

    key: str
    header: str
    digits: int = 0
    better: Better = ""
    """Which direction is good; empty: it says nothing about speed, and gets no ratio."""
    ratio: bool = False
    """Whether the table has a column of ratios to ours."""
    plot: bool = False
    """Whether the plot of the scenario shows it."""


@dataclass(slots=True)
class Row:
    """One system in one scenario."""

    key: str
    title: str
    rival: str
    variant: str = ""
    values: dict[str, list[float]] = field(default_factory=dict)
    note: str = ""
    """Why it was not measured."""

    def add(self, measured: Mapping[str, float | None]) -> None:
        """Add a run."""
        for key, value in measured.items():
            if value is not None:
                self.values.setdefault(key, []).append(value)

    def median(self, key: str) -> float | None:
        """Return the median of the runs."""
        values = self.values.get(key)
        return median(values) if values else None


@dataclass(slots=True)
class Result:
    """All systems in one scenario."""

    scenario: str
    machine: dict[str, Any]
    options: dict[str, Any]
    rows: list[Row]

    def row(self, key: str) -> Row | None:
        """Return the row of a system."""
        return next((row for row in self.rows if row.key == key), None)

    def median(self, key: str, column: str) -> float | None:
        """Return a figure of a system, None where it was not measured."""
        row = self.row(key)
        return row.median(column) if row else None


def save(result: Result, folder: Path) -> None:
    """Write `<scenario>.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(result), indent=1, ensure_ascii=False)
    (folder / f"{result.scenario}.json").write_text(text + "\n", encoding="utf-8")


def load(scenario: str, folder: Path) -> Result | None:
    """Read it again; None where there is none."""
    path = folder / f"{scenario}.json"
    if not path.exists():
        return None
    data = json.loads(path.read_text(encoding="utf-8"))
    rows = [Row(**row) for row in data.pop("rows")]
    return Result(rows=rows, **data)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value below which so many percent lie (the nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
