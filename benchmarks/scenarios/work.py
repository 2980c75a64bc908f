"""How many jobs a second when each waits for 1, 10 or 100 ms?"""

from __future__ import annotations

from benchmarks.results import Column
from benchmarks.scenarios.base import Bench, Measured, Scenario
from benchmarks.systems.base import System, Variant

DURATIONS = (1, 10, 100)
"""Milliseconds."""
SECONDS, QUICK_SECONDS = 3.0, 0.3
"""What a drain without any overhead would last."""
MOST = 100
"""Jobs at a time."""


class Work(Scenario):
    """One worker with up to 100 jobs at a time, each of which waits."""

    name = "work"
    title = "Jobs that take time"
    question = (
        "One worker process runs jobs that wait for 1, 10 or 100 ms, as one does that asks another "
        f"service. Each system has the variant that is fastest for the duration, of up to {MOST} "
        f"jobs at a time: {MOST} slots could do 100,000, 10,000 and 1,000 jobs/s if nothing but "
        "the wait took time."
    )
    columns = tuple(
        Column(f"rate_{ms}", f"{ms} ms: jobs/s", better="higher", ratio=True, plot=True)
        for ms in DURATIONS
    )

    def __init__(self) -> None:
        self._fastest: dict[tuple[str, int], Variant] = {}

    def prepare(self, bench: Bench, system: System) -> None:
        """Choose the variant for each duration."""
        variants = [each for each in system.variants if each.slots <= MOST]
        for ms in DURATIONS:
            rates = [self._rate(bench, system, each, ms, QUICK_SECONDS) for each in variants]
            self._fastest[system.key, ms] = variants[rates.index(max(rates))]

    def measure(self, bench: Bench, system: System) -> Measured:
        """Drain a queue of each duration."""
        seconds = QUICK_SECONDS if bench.quick else SECONDS
        return {
            f"rate_{ms}": self._rate(bench, system, self._fastest[system.key, ms], ms, seconds)
            for ms in DURATIONS
        }

    def remark(self, bench: Bench, system: System) -> str:
        """Return the variants, where they differ."""
        names = [self._fastest[system.key, ms].name for ms in DURATIONS]
        if len(system.variants) == 1:
            return ""
        return names[0] if len(set(names)) == 1 else " / ".join(names)

    def _rate(
        self, bench: Bench, system: System, variant: Variant, ms: int, seconds: float
    ) -> float:
        wanted = variant.slots * 1000 / ms * seconds
        count = int(max(20, min(wanted, bench.jobs_for(system))))
        with bench.session(system, variant) as session:
            session.fill(count, "work", ms)
            return session.drain(count).rate
