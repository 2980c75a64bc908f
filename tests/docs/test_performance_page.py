"""The page about speed begins with the table that a reader wants, of the results that are kept."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from benchmarks import short, tables
from benchmarks.results import Result, load

from tests.docs.markdown import ROOT, read

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
PLOTTED = re.findall(r"\]\(performance/(\w+)\.svg\)", read("docs/performance.md"))


def results(folder: Path) -> dict[str, Result]:
    """Return the results of a folder that the table is made of."""
    names = (*short.SCENARIOS, short.TRIPS.scenario)
    found = {name: load(name, folder) for name in names}
    return {name: result for name, result in found.items() if result is not None}


def test_the_page_begins_with_the_short_table() -> None:
    """Its figures are those of the results, and what was not run again is marked."""
    table = tables.markdown(short.table(results(RESULTS), results(RESULTS / "short")))
    first = read("docs/performance.md").split("\n## ")[0]
    assert table in first
    assert (f"`{short.OLDER}`" in first) == (short.OLDER + " |" in table)


def test_a_figure_that_was_measured_again_has_no_mark() -> None:
    """And takes the place of the older one; what nobody measured is left open."""
    whole = results(RESULTS)
    old = short.table(whole, {})[1]
    new = short.table(whole, {"drain": whole["drain"]})[1]
    assert new[1] == old[1]
    assert new[2:] == [figure + short.OLDER for figure in old[2:]]
    assert short.table({}, {})[1][1:] == [tables.NOTHING] * len(short.FIGURES)


def test_what_stands_in_for_mongodb_has_a_table_of_its_own() -> None:
    """Its rates are in no other: they say little about MongoDB."""
    page = read("docs/performance.md")
    before, _, rest = page.partition("<!-- figures: mongodb -->")
    table = tables.markdown(short.of_mongodb(results(RESULTS)))
    assert table in rest
    titles = [row[0] for row in short.of_mongodb(results(RESULTS))[1:]]
    assert titles
    assert not [title for title in titles if f"| {title}" in before + rest.replace(table, "")]


@pytest.mark.parametrize("scenario", PLOTTED)
def test_a_picture_shows_the_systems_of_its_table(scenario: str) -> None:
    """A picture is drawn again with its table: no system is in one of the two alone."""
    result = load(scenario, RESULTS)
    assert result is not None
    page = read("docs/performance.md")
    shown = page.partition(f"<!-- figures: {scenario} -->")[2].partition("<!-- end:")[0]
    drawn = (ROOT / "docs" / "performance" / f"{scenario}.svg").read_text(encoding="utf-8")
    titles = {row.title for row in result.rows if row.values}
    in_table = {
        title for title in titles if re.search(rf"^\| {re.escape(title)} [|(]", shown, re.MULTILINE)
    }
    assert in_table
    assert {title for title in titles if f"<!-- {title} -->" in drawn} == in_table
