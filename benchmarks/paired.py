"""Whether a change costs or saves time: the same work by two checkouts in turn, pair by pair.

    python -m benchmarks.paired ../before --pairs 20
    python -m benchmarks.paired ../before lone tasks threads pickup memory

Each run is a process of its own with a new SQLite file (or a database of the MongoDB of `--db`):
see `benchmarks/measures.py` for what there is to measure. Processor time, user and system, of all
threads, is moved less by other work on the machine than time on the clock. Which of the two goes
first alternates. Printed are the medians, the ratio (this checkout to the other one) and its 95%
interval, by the differences of logarithms within each pair.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
sys.path.insert(1, str(HERE))  # a child has the sources of its checkout, and the measures of this
from benchmarks.measures import MEASURES, Options  # noqa: E402  # see above

_T = {10: 2.262, 15: 2.145, 20: 2.093, 25: 2.064, 30: 2.045, 40: 2.023}
"""Student's t for 95%, by the number of pairs at least."""

_UNITS = {"processor": (1e6, "µs of processor a job"), "clock": (1e6, "µs a job")}


def _run(checkout: Path, what: str, options: argparse.Namespace) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        db = options.db or f"sqlite:///{folder}/paired.db"
        if options.db:  # a database of its own for each run
            address, _, query = options.db.partition("?")
            db = f"{address.rstrip('/')}_{os.getpid()}_{time.monotonic_ns()}?{query}"
        command = [sys.executable, __file__, "--child", db, "--concurrency"]
        command += [str(options.concurrency), ".", what]
        if options.jobs is not None:
            command += ["--jobs", str(options.jobs)]
        environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{checkout}: {done.stderr}")
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def interval(ratios: list[float]) -> tuple[float, float, float]:
    """Return the mean ratio with the ends of its 95% interval."""
    logs = [math.log(ratio) for ratio in ratios]
    mean = statistics.fmean(logs)
    t = next((_T[n] for n in sorted(_T, reverse=True) if n <= len(logs)), 2.262)
    half = t * statistics.stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else 0.0
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def compare(what: str, options: argparse.Namespace) -> None:
    """Measure one thing in both checkouts, and print it."""
    for checkout in (HERE, options.other):  # the first ones warm the disk up
        _run(checkout, what, options)
    here: list[dict[str, float]] = []
    there: list[dict[str, float]] = []
    for pair in range(options.pairs):
        order = [(here, HERE), (there, options.other)]
        for found, checkout in order if pair % 2 else order[::-1]:
            found.append(_run(checkout, what, options))
    for figure in here[0]:
        ratios = [a[figure] / b[figure] for a, b in zip(here, there, strict=True)]
        mean, low, high = interval(ratios)
        factor, unit = _UNITS.get(figure, (1.0, figure))
        mine, theirs = (
            factor * statistics.median(each[figure] for each in side) for side in (here, there)
        )
        rate = f", {1e6 / mine:,.0f} a second" if figure == "clock" else ""
        print(
            f"{what:8} {mine:8.2f} {unit} here, {theirs:.2f} there;"
            f" ratio {mean:.3f} ({low:.3f} to {high:.3f}){rate}",
            flush=True,
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("other", type=Path, help="the checkout to compare with")
    parser.add_argument("what", nargs="*", default=["drain"], help=", ".join(MEASURES))
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--jobs", type=int, help="20,000 without in a drain, fewer elsewhere")
    parser.add_argument("--concurrency", type=int, default=100, help="of the worker of a drain")
    parser.add_argument("--db", help="a MongoDB address with the beginning of a name of a database")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.what) - MEASURES.keys():
        parser.error(f"{', '.join(unknown)}: allowed are {', '.join(MEASURES)}")
    if options.child:
        (what,) = options.what
        print(json.dumps(MEASURES[what](Options(options.child, options.jobs, options.concurrency))))
        return
    for what in options.what:
        compare(what, options)


if __name__ == "__main__":
    main()
