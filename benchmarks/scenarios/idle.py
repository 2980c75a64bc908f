"""What does a worker cost that has nothing to do?"""

from __future__ import annotations

import time

from benchmarks.results import Column
from benchmarks.scenarios.base import Bench, Measured, Scenario
from benchmarks.systems.base import System

SETTLING_SECONDS = 12.0
"""After its first job, before we look: until all that belongs to it is written."""
SECONDS, QUICK_SECONDS = 20.0, 3.0


class Idle(Scenario):
    """An idle worker, watched for a while."""

    name = "idle"
    with_stand_in = True
    title = "Idle worker"
    plain = True
    question = (
        "A worker without work for 20 s: processor time of its processes in percent of one core, "
        "and what it asks of its database each second (ours: calls of its driver, statements on "
        "SQLite; peers: what their server counts, its own housekeeping included)."
    )
    columns = (
        Column("cpu", "% of a core", 2, better="lower", plot=True),
        Column("commands", "commands/s", 2, better="lower", plot=True),
        Column("statements", "statements/s", 2, better="lower"),
    )

    def measure(self, bench: Bench, system: System) -> Measured:
        """Wait, and look twice. Ours has a second turn, so that counting costs no time."""
        seconds = QUICK_SECONDS if bench.quick else SECONDS
        with bench.session(system, self.variant(bench, system)) as session:
            worker = session.ready_worker()
            time.sleep(SETTLING_SECONDS)
            commands = session.server.commands() if session.server else 0.0
            before = worker.cpu_seconds()
            time.sleep(seconds)
            cpu = 100 * (worker.cpu_seconds() - before) / seconds
            asked = None
            if session.server and system.kind == "peer":
                asked = (session.server.commands() - commands) / seconds
        if system.kind == "peer":
            return {"cpu": cpu, "commands": asked or None}
        with bench.session(system, self.variant(bench, system), BENCH_COUNT="1") as session:
            session.ready_worker()
            time.sleep(SETTLING_SECONDS)
            start = session.probe.read()
            time.sleep(seconds)
            end = session.probe.read()
        return {
            "cpu": cpu,
            "commands": (end.calls - start.calls) / seconds,
            "statements": (end.statements - start.statements) / seconds,
        }
