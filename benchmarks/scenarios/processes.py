"""What do a second and a fourth worker process bring?"""

from __future__ import annotations

from typing import ClassVar

from benchmarks.programs import ProgramError
from benchmarks.results import Column
from benchmarks.scenarios.base import Bench, Measured, Scenario
from benchmarks.sessions import Session
from benchmarks.systems.base import System, Task, Variant

PROCESSES = (1, 2, 4)
WORK_MS = 10
SLOTS = 10
"""Jobs that each process runs at a time where they take 10 ms: far from any limit but that."""

WARM_UP_MS, WARM_UP_ROUNDS = 20, 50


class Processes(Scenario):
    """Several workers on one queue. All are idle, then frozen while it fills, then all go."""

    name = "processes"
    title = "Several processes"
    question = (
        "Several worker processes of one machine share a queue: jobs that do nothing, and jobs of "
        f"{WORK_MS} ms, {SLOTS} at a time in each process. Workers are frozen while the queue is "
        "filled, so that all begin together. For ours the time is until all is settled."
    )
    columns = tuple(
        Column(f"{task}_{number}", f"{label}, {number}: jobs/s", better="higher", plot=True)
        for task, label in (("noop", "no-op"), ("work", f"{WORK_MS} ms"))
        for number in PROCESSES
    )
    peers: ClassVar[frozenset[str] | None] = frozenset({"bullmq", "dramatiq", "saq", "taskiq"})

    def measure(self, bench: Bench, system: System) -> Measured:
        """Measure each number of processes with both kinds of jobs."""
        measured: dict[str, float] = {}
        for number in PROCESSES:
            count = bench.jobs_for(system)
            variant = bench.fastest(system)
            measured[f"noop_{number}"] = self._rate(bench, system, variant, "noop", number, count)
            slots = _slots(system)
            work = min(count, max(100, 2 * 1000 // WORK_MS * slots.slots * number))
            measured[f"work_{number}"] = self._rate(bench, system, slots, "work", number, work)
        return measured

    def _rate(
        self, bench: Bench, system: System, variant: Variant, task: Task, number: int, count: int
    ) -> float:
        with bench.session(system, variant) as session:
            session.connect()
            for _ in range(number):
                session.start_worker()
            self._warm_up(session, number, variant)
            session.pause_workers()
            session.probe.clear()
            session.fill(count, task, WORK_MS if task == "work" else None)
            session.resume_workers()
            return session.drained(count).settled_rate

    def _warm_up(self, session: Session, number: int, variant: Variant) -> None:
        """Return once every worker has run something: more jobs than one takes at a time."""
        at_once = min(1000, 2 * number * variant.slots)
        for attempt in range(1, WARM_UP_ROUNDS + 1):
            session.fill(at_once, "work", WARM_UP_MS)
            session.wait_for(at_once * attempt)
            if session.probe.processes() >= number:
                return
        raise ProgramError("one of the workers never got a job")


def _slots(system: System) -> Variant:
    return next((each for each in system.variants if each.slots == SLOTS), system.variants[0])
