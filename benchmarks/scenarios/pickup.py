"""How long until an idle worker runs a job that somebody enqueues?"""

from __future__ import annotations

import json
import random
import subprocess
import time

from benchmarks.programs import PYTHON, ProgramError, python_environment
from benchmarks.results import Column, percentile
from benchmarks.scenarios.base import Bench, Measured, Scenario
from benchmarks.sessions import Session
from benchmarks.systems.base import System

SAMPLES, QUICK_SAMPLES = 40, 8
PAUSE = (0.1, 0.4)
"""Seconds between two jobs, of random length: no poll can be in step with us."""


class Pickup(Scenario):
    """One job at a time, to a worker that has nothing else to do."""

    name = "pickup"
    with_stand_in = True
    title = "Pickup"
    question = (
        "Another process enqueues one job now and then. The time is from before the enqueuing "
        "call to the handler's first line, in ms. Same process: worker and caller share one event "
        "loop."
    )
    columns = (
        Column("p50", "p50 ms", 2, better="lower", ratio=True, plot=True),
        Column("p95", "p95 ms", 2, better="lower", plot=True),
        Column("same_p50", "same process p50 ms", 2, better="lower"),
        Column("same_p95", "same process p95 ms", 2, better="lower"),
    )

    def measure(self, bench: Bench, system: System) -> Measured:
        """Send one job after the other."""
        samples = QUICK_SAMPLES if bench.quick else SAMPLES
        with bench.session(system, self.variant(bench, system)) as session:
            session.ready_worker()
            times = [self._one(session) for _ in range(samples)]
        measured = {"p50": percentile(times, 50), "p95": percentile(times, 95)}
        if system.kind == "ours":
            with bench.session(system, self.variant(bench, system)) as session:
                same = _same_process(session, samples)
            measured |= {"same_p50": percentile(same, 50), "same_p95": percentile(same, 95)}
        return measured

    def _one(self, session: Session) -> float:
        time.sleep(random.uniform(*PAUSE))
        before = session.probe.read().count
        began: int = session.enqueue(do="single", count=1)["began_ns"]
        return (session.wait_for(before + 1).last_ns - began) / 1e6


def _same_process(session: Session, samples: int) -> list[float]:
    """Return the times of a process that schedules what it runs itself."""
    command = [PYTHON, "-m", "benchmarks.systems.ours_same_process", str(samples)]
    done = subprocess.run(
        command,
        env={**python_environment(), **session.environment},
        cwd=session.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ProgramError((done.stderr.strip().splitlines() or ["it said nothing"])[-1])
    times: list[float] = json.loads(done.stdout)
    return times
