"""Releases jobs that wait for what has ended already, which its own end has not released.

Its process may have died in between, or may be of a release that knows nothing of what comes after
a job; history may have removed it; and a cascade may be longer than what one end does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from job_processor.jobs.after import release_ended
from job_processor.store.waits import End
from job_processor.worker.engine import Engine
from job_processor.worker.turns import Turn

TAGS_AT_ONCE = 1000
"""What is waited for, of one pass."""


class Releasing:
    """Looks at what is waited for, and goes on with what releases have left.

    news: called when there is something to go on with.
    """

    def __init__(self, engine: Engine, news: Callable[[], None]) -> None:
        self._engine = engine
        self._turn = Turn(engine, "waits")
        self._news = news
        self._left: list[End] = []
        engine.store.waits.on_left = self._take

    async def go_on(self) -> bool:
        """Do what releases of this process have left; False where that is nothing."""
        had_some = bool(self._left)
        while self._left:
            ends, self._left = self._left, []
            await self._engine.store.waits.release(ends)
        return had_some

    async def sweep(self) -> bool:
        """Look at some of what is waited for, unless somebody did so; raises StoreError."""
        store = self._engine.store
        if not await store.waits.waited_for("", 1):
            return False
        position = await self._turn.win(await store.ping())
        if position is None:
            return False
        tags = await store.waits.waited_for(position, TAGS_AT_ONCE)
        await release_ended(self._engine.parts, tags)
        await self._turn.note(tags[-1] if len(tags) == TAGS_AT_ONCE else "")
        return True

    def _take(self, ends: Sequence[End]) -> None:
        self._left += ends
        self._news()
