"""How long a stop takes: one budget, of which each of its phases takes what it needs.

A graceful stop ends within `shutdown_grace + 2 * kill_grace`, a forced one within `kill_grace`,
and either at most `STOP_SPARE` seconds later, whatever hangs.

==========  ==========================================================================
handlers    asked, forced `kill_grace` later, given up after another `kill_grace`
writes      their ends, `on_job_exited`, and what was claimed and never began
leaving     the registration, the threads of the engine
lifespan    what it opened is closed again
==========  ==========================================================================

What a phase leaves of its time, the next one has.
"""

from __future__ import annotations

import time

from job_processor.settings import LEAVE_TIMEOUT, Settings, graceful_stop_seconds

_RUNS = 3.2
"""Seconds beyond the graces in which a handler's process that is killed ends: it gets 3 s first."""
_WRITES = 4.0
_LEAVING = 4.5
_LIFESPAN = 4.8
"""Seconds beyond the graces until which ends are written, until which we have left, and until which
the lifespan has ended. The rest of `STOP_SPARE` is for the store, which gives its connections back.
"""


class Budget:
    """What is left of the time of a stop, which begins when this is made.

    graces: seconds that the handlers have.
    """

    def __init__(self, graces: float) -> None:
        self._graces = graces
        self._began = time.monotonic()

    @classmethod
    def graceful(cls, settings: Settings) -> Budget:
        """Return that of a stop that gives running jobs their graces."""
        return cls(graceful_stop_seconds(settings, spare=0))

    @classmethod
    def forced(cls, settings: Settings) -> Budget:
        """Return that of a stop that forces them at once."""
        return cls(settings.kill_grace)

    @property
    def for_runs(self) -> float:
        """Seconds that are left until every handler has ended or is given up."""
        return self._left(_RUNS)

    @property
    def for_writes(self) -> float:
        """Seconds that are left for writing how they ended."""
        return self._left(_WRITES)

    @property
    def for_leaving(self) -> float:
        """Seconds that are left for taking the registration away."""
        return min(self._left(_LEAVING), LEAVE_TIMEOUT)

    @property
    def for_lifespan(self) -> float:
        """Seconds that are left for the end of the lifespan."""
        return self._left(_LIFESPAN)

    def _left(self, beyond: float) -> float:
        return max(self._began + self._graces + beyond - time.monotonic(), 0.0)
