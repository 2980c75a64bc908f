"""How fast does one worker empty a full queue?"""

from __future__ import annotations

from typing import ClassVar

from benchmarks.results import Column
from benchmarks.scenarios.base import Bench, Measured, Scenario
from benchmarks.systems.base import System, Variant

TUNING_PART = 0.25
"""Part of the jobs with which the variants are compared."""

BATCHES, PEERS_BATCHES = 20, 4
"""A drain has at least so many: what the first claim holds begins at once, and would make few jobs
look fast. Of the slow peers there are few jobs."""


class DrainQueue(Scenario):
    """Jobs that do nothing, one worker process, started when all jobs are in the queue."""

    name = "drain"
    with_stand_in = True
    title = "Drain"
    question = (
        "One worker process empties a queue of jobs that do nothing. The time is from the first to "
        "the last handler call; for ours also until the store says that all are settled."
    )
    columns = (
        Column("jobs", "jobs"),
        Column("rate", "jobs/s", better="higher", ratio=True, plot=True),
        Column("settled_rate", "ends stored/s", better="higher"),
    )
    kinds: ClassVar[frozenset[str]] = frozenset({"ours", "raw", "peer"})

    def prepare(self, bench: Bench, system: System) -> None:
        """Try every variant once and keep the fastest, for this and all other scenarios."""
        if len(system.variants) == 1:
            return
        rates = {}
        count = bench.jobs_for(system, TUNING_PART)
        for variant in _candidates(bench, system):
            with bench.session(system, variant) as session:
                session.fill(count)
                rates[variant.name] = session.drain(count).settled_rate
        bench.chosen[system.key] = max(rates, key=lambda name: rates[name])

    def measure(self, bench: Bench, system: System) -> Measured:
        """Fill, start, wait."""
        count = bench.jobs_for(system)
        with bench.session(system, self.variant(bench, system)) as session:
            session.fill(count)
            drained = session.drain(count)
        settled = drained.settled_rate if drained.settled_seconds else None
        return {"jobs": count, "rate": drained.rate, "settled_rate": settled}


def _candidates(bench: Bench, system: System) -> list[Variant]:
    """Return the variants to try: those that the number of jobs can tell apart."""
    most = bench.jobs_for(system) / (BATCHES if system.kind == "ours" else PEERS_BATCHES)
    return [each for each in system.variants if each.slots <= most] or [system.variants[0]]
