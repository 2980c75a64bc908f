"""Results as plain tables: for the terminal, and as Markdown for docs/performance.md."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.results import Column, Result, Row

NOTHING = "–"
Cells = list[list[str]]


def cells(result: Result, columns: Sequence[Column], rival: str = "") -> Cells:
    """Return the header and a row for each system that was measured.

    rival: only those that are compared with this one of ours.
    """
    chosen = [row for row in result.rows if row.values and rival in ("", row.rival)]
    shown = [c for c in columns if any(row.values.get(c.key) for row in chosen)]
    header = ["system"]
    for column in shown:
        header.append(column.header)
        if column.ratio:
            header.append("× better")
    rows = [
        [_title(row), *(cell for column in shown for cell in _figures(result, row, column))]
        for row in chosen
    ]
    return [header, *rows]


def text(table: Cells) -> str:
    """Return it with aligned columns, as a terminal shows it."""
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    lines = []
    for row in table:
        first, *rest = (
            cell.ljust(w) if i == 0 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *rest]))
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def markdown(table: Cells) -> str:
    """Return it as Markdown."""
    header, *rows = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in table]
    rule = " | ".join(["---"] + ["---:"] * (len(table[0]) - 1))
    return "\n".join(f"| {line} |" for line in (header, rule, *rows))


def notes(result: Result, rival: str = "") -> list[str]:
    """Return what was not measured, and why."""
    chosen = [row for row in result.rows if row.note and rival in ("", row.rival)]
    return [f"{row.title}: not measured: {row.note}" for row in chosen]


def number(value: float, digits: int) -> str:
    """Return a number as people read it."""
    return f"{value:,.{digits}f}"


def _title(row: Row) -> str:
    return f"{row.title} ({row.variant})" if row.variant else row.title


def _figures(result: Result, row: Row, column: Column) -> list[str]:
    values = row.values.get(column.key)
    if not values:
        return [NOTHING] * (1 + column.ratio)
    middle = row.median(column.key)
    assert middle is not None
    figure = number(middle, column.digits)
    if len(values) > 1:
        low, high = number(min(values), column.digits), number(max(values), column.digits)
        figure += f" ({low}, {high})"
    return [figure, _ratio(result, row, column)] if column.ratio else [figure]


def _ratio(result: Result, row: Row, column: Column) -> str:
    """Return how many times better ours is: above 1 is in our favour."""
    ours, its = result.median(row.rival, column.key), row.median(column.key)
    if row.key == row.rival or not ours or not its:
        return NOTHING
    return f"{ours / its if column.better == 'higher' else its / ours:.2f}"
