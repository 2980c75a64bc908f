"""How long ago a moment was, by each clock of this machine: one alone may stand still, or step.

The monotonic clock stands still while a machine sleeps; the wall clock steps when it is set.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from job_processor.settings import CLOCK_TOLERANCE

_BOOT = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


def _boot_time() -> float:
    """Return the time that counts while the machine sleeps, where the system has it."""
    return time.monotonic() if _BOOT is None else time.clock_gettime(_BOOT)


class Moment(NamedTuple):
    """A moment, in seconds of each clock."""

    monotonic: float
    boot: float
    wall: float

    @classmethod
    def now(cls) -> Moment:
        """Return the present moment."""
        return cls(time.monotonic(), _boot_time(), time.time())


class Elapsed(NamedTuple):
    """The time between two moments, in seconds of each clock."""

    monotonic: float
    boot: float
    wall: float

    @classmethod
    def between(cls, earlier: Moment, later: Moment) -> Elapsed:
        """Return the time from one moment to a later one."""
        return cls(
            later.monotonic - earlier.monotonic,
            later.boot - earlier.boot,
            later.wall - earlier.wall,
        )

    @property
    def seconds(self) -> float:
        """The longest of the three: no more than this has passed."""
        return max(self)

    @property
    def is_certain(self) -> bool:
        """True when the clocks agree."""
        return max(self) - min(self) <= CLOCK_TOLERANCE

    @property
    def stepped(self) -> float:
        """Seconds by which the wall clock was set forward meanwhile, or back if negative.

        A machine that wakes up sets it, too, as it should: its sleep counts as elapsed.
        """
        return self.wall - self.boot
