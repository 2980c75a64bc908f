"""Results as bars, in SVG files that change only with their figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

from benchmarks.results import Column, Result, Row
from benchmarks.scenarios.base import Scenario
from benchmarks.tables import number

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "job-processor"  # ids that do not change with each drawing

from matplotlib import pyplot as plt  # noqa: E402  # after the backend was chosen

OURS, OTHERS, RAW = "#0b6e4f", "#9aa5b1", "#d9b650"
WIDTH, BAR_HEIGHT = 9.0, 0.3  # inches


def draw(scenario: Scenario, result: Result, folder: Path) -> Path | None:
    """Write `<scenario>.svg`; None when there is nothing to draw."""
    columns = [
        c for c in scenario.columns if c.plot and any(r.values.get(c.key) for r in result.rows)
    ]
    if not columns:
        return None
    most = max(sum(1 for row in result.rows if row.values.get(c.key)) for c in columns)
    height = len(columns) * (0.7 + BAR_HEIGHT * most)
    figure, axes = plt.subplots(len(columns), 1, figsize=(WIDTH, height), squeeze=False)
    for axis, column in zip(axes[:, 0], columns, strict=True):
        _bars(axis, column, [row for row in result.rows if row.values.get(column.key)])
    figure.tight_layout()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{scenario.name}.svg"
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)
    return path


def _bars(axis: plt.Axes, column: Column, rows: Sequence[Row]) -> None:
    """Draw a bar for each system, the best on top, with its lowest and highest run."""
    best_last = sorted(
        rows, key=lambda row: row.median(column.key) or 0, reverse=column.better == "lower"
    )
    medians = [row.median(column.key) or 0 for row in best_last]
    low = [m - min(r.values[column.key]) for m, r in zip(medians, best_last, strict=True)]
    high = [max(r.values[column.key]) - m for m, r in zip(medians, best_last, strict=True)]
    bars = axis.barh(
        [row.title for row in best_last],
        medians,
        xerr=[low, high],
        color=[_color(row) for row in best_last],
        error_kw={"elinewidth": 0.8},
    )
    axis.bar_label(bars, [f" {number(m, column.digits)}" for m in medians], fontsize=8, padding=2)
    axis.set_title(f"{column.header} ({column.better} is better)", fontsize=9, loc="left")
    axis.tick_params(labelsize=8)
    axis.margins(x=0.12)
    axis.spines[["top", "right"]].set_visible(False)


def _color(row: Row) -> str:
    if row.key in ("sqlite", "mongodb"):
        return OURS
    return RAW if row.key.startswith("raw-") else OTHERS
