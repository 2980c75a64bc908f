"""How fast does a program put jobs into the queue, one by one and in bulk?"""

from __future__ import annotations

from typing import ClassVar

from benchmarks.results import Column
from benchmarks.scenarios.base import Bench, Measured, Scenario
from benchmarks.systems.base import System

SINGLE_PART = 0.1
"""Part of the jobs that are enqueued one by one."""


class Enqueue(Scenario):
    """One producer process, no worker."""

    name = "enqueue"
    with_stand_in = True
    title = "Enqueue"
    question = (
        "One process enqueues jobs with a small payload: one call after the other, each "
        "acknowledged before the next, then in the fastest way that the system has for many."
    )
    columns = (
        Column("single", "one by one/s", better="higher", ratio=True, plot=True),
        Column("bulk", "bulk/s", better="higher", ratio=True, plot=True),
    )
    without = frozenset({"raw-sqlite-one"})  # it inserts as its sister does
    kinds: ClassVar[frozenset[str]] = frozenset({"ours", "raw", "peer"})

    def measure(self, bench: Bench, system: System) -> Measured:
        """Enqueue both ways."""
        count = bench.jobs_for(system, SINGLE_PART)
        with bench.session(system, self.variant(bench, system)) as session:
            session.enqueue(do="single", count=min(count, 20))  # the first of all compile and plan
            single = session.enqueue(do="single", count=count)["seconds"]
            many = bench.jobs_for(system)
            bulk = session.fill(many) if system.bulk else None
        return {"single": count / single, "bulk": many / bulk if bulk else None}

    def remark(self, bench: Bench, system: System) -> str:
        """Return how many are enqueued at once."""
        return system.bulk
