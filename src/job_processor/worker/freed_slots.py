"""When to look again for what stands in line for a slot of a lane without a key.

Such a slot is handed to nobody: the next claim has it. Whoever freed it looks at once. All others
look a little later and once for many slots, or each end of a run would wake all workers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from job_processor.store.contention import ON
from job_processor.store.hints import Hint


class FreedSlots:
    """Knows whether a claim has left something in line, and calls `look` once it is worth one."""

    def __init__(self, look: Callable[[], object]) -> None:
        self._look = look
        self.awaited = False
        """True when the last turn left something in line; while one claims, too, since the slot
        may be freed before its answer is here."""
        self._left = False
        self._soon: asyncio.TimerHandle | None = None

    def begin(self, *, of_lanes: bool) -> None:
        """A turn begins, with claims of lanes or without."""
        self.awaited, self._left = of_lanes, False

    def claimed(self, *, left: bool) -> None:
        """A claim of lanes has left something in line, or not."""
        self._left = self._left or left

    def end(self) -> None:
        """The turn has ended."""
        self.awaited = self._left

    def on_hint(self, hint: Hint) -> None:
        """Look at once where this process has freed a slot, soon where another one may have."""
        if not self.awaited:
            return
        if hint & Hint.FREED:
            self._look_now()
        elif hint & Hint.SETTLED and self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(ON.after_freed(), self._look_now)

    def stop(self) -> None:
        """Look no more."""
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None

    def _look_now(self) -> None:
        self.stop()
        if self.awaited:
            self._look()
