"""How often does a worker under load ask its database, for one job?"""

from __future__ import annotations

from typing import ClassVar

from benchmarks.results import Column
from benchmarks.scenarios.base import Bench, Measured, Scenario
from benchmarks.systems.base import System


class RoundTrips(Scenario):
    """A drain whose worker counts what it asks."""

    name = "roundtrips"
    with_stand_in = True
    title = "Round trips"
    question = (
        "A worker that empties a queue counts what it asks of its database. Calls: uses of the "
        "driver (SQLite) or commands (MongoDB). Statements: what SQLite's trace callback sees, "
        "where one call with a hundred rows is a hundred."
    )
    columns = (
        Column("calls", "calls/job", 4, better="lower", plot=True),
        Column("statements", "statements/job", 3, better="lower"),
    )
    kinds: ClassVar[frozenset[str]] = frozenset({"ours"})

    def measure(self, bench: Bench, system: System) -> Measured:
        """Count from where an idle worker finds a full queue to where all is settled."""
        count = bench.jobs_for(system)
        with bench.session(system, self.variant(bench, system), BENCH_COUNT="1") as session:
            session.ready_worker()
            session.pause_workers()
            session.fill(count)
            start = session.probe.read()
            session.resume_workers()
            session.drained(start.count + count)
            end = session.probe.read()
        return {
            "calls": (end.calls - start.calls) / count,
            "statements": (end.statements - start.statements) / count,
        }
