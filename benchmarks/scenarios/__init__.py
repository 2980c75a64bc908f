"""The questions, one file each."""

from __future__ import annotations

from benchmarks.scenarios.backlog import Backlog
from benchmarks.scenarios.base import Scenario
from benchmarks.scenarios.drain import DrainQueue
from benchmarks.scenarios.enqueue import Enqueue
from benchmarks.scenarios.idle import Idle
from benchmarks.scenarios.memory import Memory
from benchmarks.scenarios.names import Names
from benchmarks.scenarios.pickup import Pickup
from benchmarks.scenarios.processes import Processes
from benchmarks.scenarios.roundtrips import RoundTrips
from benchmarks.scenarios.startup import Startup
from benchmarks.scenarios.work import Work

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        DrainQueue(),
        Enqueue(),
        Pickup(),
        RoundTrips(),
        Backlog(),
        Names(),
        Processes(),
        Work(),
        Idle(),
        Memory(),
        Startup(),
    )
}
"""By name, in the order in which they run: `drain` chooses the variants that the others use."""
