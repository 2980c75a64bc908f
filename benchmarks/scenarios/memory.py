"""How much memory does a worker take?"""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.programs import Program
from benchmarks.results import Column
from benchmarks.scenarios.base import Bench, Measured, Scenario
from benchmarks.systems.base import System

SETTLING_SECONDS = 1.0


class Memory(Scenario):
    """Resident memory of all processes of one worker."""

    name = "memory"
    with_stand_in = True
    title = "Memory"
    plain = True
    question = (
        "Resident memory, in MB of 10^6 bytes, of one worker with all its processes: idle after "
        "its first job, and after a drain. What processes share counts once."
    )
    columns = (
        Column("idle", "idle MB", 1, better="lower", ratio=True, plot=True),
        Column("drained", "after a drain MB", 1, better="lower", ratio=True, plot=True),
        Column("pymongo", "pymongo loaded", 0),
    )

    def measure(self, bench: Bench, system: System) -> Measured:
        """Look twice."""
        count = bench.jobs_for(system)
        with bench.session(system, self.variant(bench, system)) as session:
            worker = session.ready_worker()
            time.sleep(SETTLING_SECONDS)
            idle = worker.memory_mb()
            session.fill(count)
            session.drained(count + 1)
            time.sleep(SETTLING_SECONDS)
            drained = worker.memory_mb()
            pymongo = _has_pymongo(worker) if system.kind == "ours" else None
        return {"idle": idle, "drained": drained, "pymongo": pymongo}


def _has_pymongo(worker: Program) -> float | None:
    """Tell whether the driver's own machine code is loaded: 1 or 0; None where nobody can say.

    `bson` comes from the same distribution and is needed for ids; it has a file of its own.
    """
    maps = Path(f"/proc/{worker.process.pid}/maps")
    return float("/pymongo/_cmessage" in maps.read_text()) if maps.exists() else None
