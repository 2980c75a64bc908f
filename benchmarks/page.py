"""Puts the tables between their markers in docs/performance.md, and names the plots.

Each table has those that are compared with ours on SQLite; what ran on MongoDB has one of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import reach, short, tables
from benchmarks.programs import ROOT
from benchmarks.results import Result
from benchmarks.scenarios.base import Scenario

PAGE = ROOT / "docs" / "performance.md"
PLOTS = ROOT / "docs" / "performance"


def render(
    scenarios: Mapping[str, Scenario], results: Mapping[str, Result], anew: Mapping[str, Result]
) -> None:
    """Write every figure that there is into the page; anew: those of the short table."""
    from benchmarks import plots  # matplotlib is slow to import

    text = PAGE.read_text(encoding="utf-8")
    for name, result in results.items():
        scenario = scenarios[name]
        picture = plots.draw(scenario, _of(result, short.OURS), PLOTS)
        text = between(text, name, _part(scenario, result, picture))
    text = between(text, "short", tables.markdown(short.table(results, anew)))
    text = between(text, "reach", tables.markdown(reach.table(results, reach.of_sqlite)))
    text = between(text, "mongodb", _mongodb(results))
    PAGE.write_text(text, encoding="utf-8")


def between(text: str, name: str, part: str) -> str:
    """Return the page with `part` between the markers of that name."""
    begin, end = f"<!-- figures: {name} -->", f"<!-- end: {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"docs/performance.md lacks the markers {begin} … {end}")
    return pattern.sub(lambda _: f"{begin}\n\n{part}\n\n{end}", text)


def _part(scenario: Scenario, result: Result, picture: Path | None) -> str:
    parts = [tables.markdown(tables.cells(result, scenario.columns, short.OURS))]
    notes = [f"- {note}" for note in tables.notes(result, short.OURS)]
    if notes:
        parts.append("\n".join(notes))
    if picture is not None:
        parts.append(f"![{scenario.title}](performance/{picture.name})")
    parts.append(_measured_on(result.machine, result.options))
    return "\n\n".join(parts)


def _mongodb(results: Mapping[str, Result]) -> str:
    parts = [tables.markdown(short.of_mongodb(results))]
    drain = results.get("drain")
    if drain is not None:
        named = [server for server in drain.machine["servers"] if "answers as" in server]
        parts.append(f"Server: {', '.join(named)}.")
    return "\n\n".join(parts)


def _of(result: Result, rival: str) -> Result:
    """Return what of a result is compared with one of ours."""
    return replace(result, rows=[row for row in result.rows if row.rival == rival])


def _measured_on(machine: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    servers = ", ".join(machine["servers"]) or "no server"
    runs = options["runs"]
    figures = f"Medians of {runs} runs (lowest, highest)" if runs > 1 else "One run of each"
    return (
        f"{figures} on {machine['cores']} cores of "
        f"{machine['processor']}, {machine['memory_gib']} GiB, {machine['system']}, Python "
        f"{machine['python']}, SQLite {machine['sqlite']}; {servers}; {versions}."
    )
