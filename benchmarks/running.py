"""Runs scenarios: run 1 of each system, run 2 of each system, so that noise falls on all alike."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from benchmarks import machine
from benchmarks.programs import ProgramError
from benchmarks.results import Result, Row
from benchmarks.scenarios.base import Bench, Scenario
from benchmarks.servers import MissingServer
from benchmarks.systems import load
from benchmarks.systems.base import System


def run(
    bench: Bench,
    scenario: Scenario,
    keys: Sequence[str],
    named: bool,
    runs: int,
    keep: Callable[[Result], None],
) -> Result:
    """Measure a scenario with all systems of these keys that it makes sense for.

    keep: is given what there is after each run of all, so that one that is stopped leaves it.
    """
    rows, systems = _line_up(scenario, keys, named)
    for system in systems:
        _try(rows[system.key], partial(scenario.prepare, bench, system))
    runs = min(runs, scenario.most_runs)
    result = Result(
        scenario=scenario.name,
        machine={},
        options={},
        rows=list(rows.values()),
    )
    for number in range(1, runs + 1):
        for system in systems:
            row = rows[system.key]
            if row.note:
                continue
            _tell(f"{scenario.name}: run {number} of {runs}: {system.title}")
            _try(row, partial(_measure, scenario, bench, system, row))
            row.variant = "" if row.note else scenario.remark(bench, system)
        # Servers are started when a system first needs them.
        result.machine = machine.facts(systems, bench.servers.versions())
        result.options = _options(bench, number)
        keep(result)
    _tell("")
    return result


def _line_up(
    scenario: Scenario, keys: Sequence[str], named: bool
) -> tuple[dict[str, Row], list[System]]:
    rows: dict[str, Row] = {}
    systems = []
    for key in keys:
        system = load(key)
        if isinstance(system, str):
            rows[key] = Row(key, key, "sqlite", note=system)
            continue
        if scenario.includes(system, named):
            rows[key] = Row(key, system.title, system.rival)
            systems.append(system)
    return rows, systems


def _measure(scenario: Scenario, bench: Bench, system: System, row: Row) -> None:
    row.add(scenario.measure(bench, system))


def _try(row: Row, call: Callable[[], Any]) -> None:
    """Call; what fails is noted, and costs the others nothing."""
    if row.note:
        return
    try:
        call()
    except (MissingServer, ProgramError) as error:
        row.note = str(error)
    except Exception as error:  # noqa: BLE001  # hours of the others' figures are at stake
        traceback.print_exc()
        row.note = type(error).__name__


def _options(bench: Bench, runs: int) -> dict[str, Any]:
    return {"runs": runs, "jobs": bench.jobs, "backlog": bench.backlog, "quick": bench.quick}


def _tell(line: str) -> None:
    """Show what goes on, on one line of a terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
    elif line:
        print(line, file=sys.stderr, flush=True)
