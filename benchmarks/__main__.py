"""`python -m benchmarks`: measure us beside our peers, and beside the bare databases."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import page, reach, short, tables
from benchmarks.results import Result, load, save
from benchmarks.running import run
from benchmarks.scenarios import SCENARIOS
from benchmarks.scenarios.base import Bench
from benchmarks.servers import Servers
from benchmarks.systems import MODULES

RESULTS = Path(__file__).parent / "results"
SHORT = RESULTS / "short"
CHOSEN = "variants.json"


def main() -> None:
    """Run what the command line asks for."""
    options = _options()
    if options.render:
        page.render(SCENARIOS, _all(RESULTS), _all(SHORT))
        return
    folder = SHORT if options.short else RESULTS
    if options.quick or (options.systems and not options.short):
        folder = RESULTS / ("quick" if options.quick else "partial")
    # A stopped benchmark ends its servers and workers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    temporary = Path(tempfile.mkdtemp(prefix="bench-servers-"))
    temporary.chmod(0o711)  # PostgreSQL's user has to pass
    servers = Servers(temporary)
    bench = Bench(
        servers=servers,
        jobs=options.jobs or (500 if options.quick else 20_000),
        backlog=options.backlog or (2_000 if options.quick else 1_000_000),
        quick=options.quick,
        chosen={**({} if options.quick else _chosen(RESULTS)), **_chosen(folder)},
    )
    try:
        _measure(bench, options, folder)
    finally:
        servers.stop()
        shutil.rmtree(temporary, ignore_errors=True)
    results = _all(folder)
    if options.short:
        print(tables.text(short.table(_all(RESULTS), results)))
    else:
        print(tables.text(reach.table(results)))
    if folder in (RESULTS, SHORT):
        page.render(SCENARIOS, _all(RESULTS), _all(SHORT))


def _measure(bench: Bench, options: argparse.Namespace, folder: Path) -> None:
    keys = options.systems or list(MODULES)
    for name in options.scenarios or SCENARIOS:
        scenario = SCENARIOS[name]

        def keep(result: Result) -> None:
            save(result, folder)
            text = json.dumps(bench.chosen, indent=1)
            (folder / CHOSEN).write_text(text + "\n", encoding="utf-8")

        result = run(bench, scenario, keys, bool(options.systems), options.runs, keep)
        _show(name, result)
        if folder == RESULTS:  # what was measured again before it is older now
            (SHORT / f"{name}.json").unlink(missing_ok=True)


def _show(name: str, result: Result) -> None:
    scenario = SCENARIOS[name]
    print(f"{scenario.title}: {scenario.question}\n")
    if any(row.values for row in result.rows):
        print(tables.text(tables.cells(result, scenario.columns)))
    for note in tables.notes(result):
        print(note)
    print(flush=True)


def _all(folder: Path) -> dict[str, Result]:
    found = {name: load(name, folder) for name in SCENARIOS}
    return {name: result for name, result in found.items() if result is not None}


def _chosen(folder: Path) -> dict[str, str]:
    path = folder / CHOSEN
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--runs", type=int, help="of each system (5)")
    parser.add_argument("--systems", type=_systems, help=f"some of: {','.join(MODULES)}")
    parser.add_argument("--jobs", type=int, help="in a drain (20000)")
    parser.add_argument("--backlog", type=int, help="that make a queue long (1000000)")
    parser.add_argument("--quick", action="store_true", help="tiny numbers: does it work?")
    parser.add_argument(
        "--short", action="store_true", help="only what the table that readers want first needs"
    )
    parser.add_argument("--render", action="store_true", help="only write the page again")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.scenarios if name not in SCENARIOS]
    if unknown:
        parser.error(f"unknown scenario {unknown[0]!r}; allowed are {', '.join(SCENARIOS)}")
    if options.short:
        options.scenarios = options.scenarios or list(short.SCENARIOS)
        options.systems = options.systems or short.systems(_all(RESULTS))
    options.runs = options.runs or (1 if options.quick else 5)
    return options


def _systems(text: str) -> list[str]:
    keys = text.split(",")
    for key in keys:
        if key not in MODULES:
            raise argparse.ArgumentTypeError(f"{key!r} is none of {', '.join(MODULES)}")
    return keys


if __name__ == "__main__":
    main()
