"""For tests of handlers: a processor in memory, a clock to move, a look at what was scheduled."""

from __future__ import annotations

from job_processor.testing.clock import MovableClock
from job_processor.testing.tester import JobTester, in_memory

__all__ = ["JobTester", "MovableClock", "in_memory"]
