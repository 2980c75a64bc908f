"""Keeps a worker's knowledge of the limits that were set up to date."""

from __future__ import annotations

from collections.abc import Mapping

from job_processor.store.desks.settings import Setting
from job_processor.store.lanes import LIMIT
from job_processor.worker.engine import Engine
from job_processor.worker.watching import SettingsWatch


class LimitWatch(SettingsWatch):
    """What was set of the limits; reads nothing where nothing here has one."""

    kind = LIMIT
    what = "limits"

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.changed: set[str] = set()
        """The groups whose amount has changed, until their lanes have been looked after."""

    async def run(self) -> None:
        """Look until cancelled; meanwhile nobody else needs to, before it hands a slot over."""
        book = self._engine.store.lanes.book
        book.is_watched = True
        try:
            await super().run()
        finally:
            book.is_watched = False

    async def look(self) -> None:
        """Read them; raises StoreError."""
        if self._engine.registry.limit_groups:
            await super().look()
        else:
            self._wake.clear()

    def _take(self, settings: Mapping[str, Setting]) -> bool:
        book = self._engine.store.lanes.book
        before, book.set = book.set, self._engine.registry.amounts_of(settings)
        changed = {
            group for group in {*before, *book.set} if before.get(group) != book.set.get(group)
        }
        self.changed |= changed
        return bool(changed)
