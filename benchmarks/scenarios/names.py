"""What do many names and tags cost?"""

from __future__ import annotations

from typing import ClassVar

from benchmarks.results import Column
from benchmarks.scenarios.base import Bench, Measured, Scenario
from benchmarks.systems.base import System

NAMES = 300
SERVED_TAG = "tag_3"
"""One of ten: it has a tenth of the names."""


class Names(Scenario):
    """The drain again, with jobs of 300 names; and by a worker that serves one tag of ten."""

    name = "names"
    title = "Many names and tags"
    question = (
        f"The drain again: jobs of one name, of {NAMES} names in random order, and those of "
        f"{NAMES} names that a worker takes which serves one tag of ten while the others' wait."
    )
    columns = (
        Column("one", "1 name, jobs/s", better="higher"),
        Column("many", f"{NAMES} names, jobs/s", better="higher", plot=True),
        Column("tag", "1 tag of 10, jobs/s", better="higher", plot=True),
    )
    kinds: ClassVar[frozenset[str]] = frozenset({"ours"})

    def measure(self, bench: Bench, system: System) -> Measured:
        """Drain three queues."""
        count = bench.jobs_for(system)
        return {
            "one": self._rate(bench, system, 1, count),
            "many": self._rate(bench, system, NAMES, count),
            "tag": self._rate(bench, system, NAMES, count, "--tags", SERVED_TAG),
        }

    def _rate(self, bench: Bench, system: System, names: int, count: int, *arguments: str) -> float:
        with bench.session(system, self.variant(bench, system), BENCH_NAMES=str(names)) as session:
            session.enqueue(do="named", names=names, count=count)
            session.start_worker(*arguments)
            if not arguments:
                return session.drained(count).settled_rate
            served = sum(1 for i in range(count) if i % names % 10 == 3)
            reading = session.wait_for(served)
            return served / reading.seconds
