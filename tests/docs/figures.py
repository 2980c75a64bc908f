"""The figures of docs/performance.md that other pages repeat."""

from __future__ import annotations

import re

from tests.docs.markdown import read


def measured(table: str = "short") -> dict[str, list[str]]:
    """Return the figures of each system, as a table has them, without marks.

    table: the name of its markers.
    """
    text = read("docs/performance.md").partition(f"<!-- figures: {table} -->")[2]
    cells = [[plain(cell) for cell in row] for row in rows(text)]
    return {name: figures for name, *figures in cells}


def rows(text: str) -> list[list[str]]:
    """Return the cells of the rows of the first table of a text."""
    lines = text[text.index("\n|") :].strip().split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def plain(text: str) -> str:
    """Return a text whose numbers have no signs for thousands, and a point, in either language."""
    text = re.sub(r"(?<=\d)[,\u202f\u00a0 ](?=\d{3}\b)", "", text.strip("*"))
    return re.sub(r"(?<=\d),(?=\d)", ".", text)
