"""The page about speed begins with the table that a reader wants, of the results that are kept."""

from __future__ import annotations

from pathlib import Path

from benchmarks import short, tables
from benchmarks.results import Result, load

from tests.docs.markdown import read

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def results(folder: Path) -> dict[str, Result]:
    """Return the results of a folder that the table is made of."""
    found = {name: load(name, folder) for name in short.SCENARIOS}
    return {name: result for name, result in found.items() if result is not None}


def test_the_page_begins_with_the_short_table() -> None:
    """Its figures are those of the results, and what was not run again is marked."""
    table = tables.markdown(short.table(results(RESULTS), results(RESULTS / "short")))
    first = read("docs/performance.md").split("\n## ")[0]
    assert table in first
    assert f"`{short.OLDER}`" in first


def test_a_figure_that_was_measured_again_has_no_mark() -> None:
    """And takes the place of the older one; what nobody measured is left open."""
    whole = results(RESULTS)
    old = short.table(whole, {})[1]
    new = short.table(whole, {"drain": whole["drain"]})[1]
    assert old[1] == new[1] + short.OLDER
    assert old[2:] == new[2:]
    assert short.table({}, {})[1][1:] == [tables.NOTHING] * len(short.FIGURES)
