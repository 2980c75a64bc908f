"""Which rates hold at present, as a worker knows it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import timedelta

from job_processor.handlers.rates import Rate
from job_processor.jobs.rates import KIND, present_rate
from job_processor.settings import RATE_LOOKAHEAD
from job_processor.store.desks.settings import Setting
from job_processor.store.tokens import Paces
from job_processor.worker.engine import Engine
from job_processor.worker.watching import SettingsWatch


class RateWatch(SettingsWatch):
    """What was changed of the rates; reads nothing where nothing here has one."""

    kind = KIND
    what = "rates"

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._settings: Mapping[str, Setting] = {}
        self._keyed: tuple[Mapping[str, Rate], Mapping[str, Rate]] | None = None
        """The rates with a key, as they are defined and as they hold."""
        self._has_looked = False
        self._recalled: set[str] = set()
        """Groups whose rate has changed, and whose dates are to be given anew."""
        engine.store.tokens.book.rates = Paces(self.keyed)
        self.needed = asyncio.Event()
        """Set once a name has a rate: until then nothing is listened to."""

    async def run(self) -> None:
        """Look until cancelled."""
        await self.needed.wait()
        await super().run()

    async def look(self) -> None:
        """Read them, and let what has a date by another rate ask anew; raises StoreError."""
        if not self._engine.registry.rates:
            self._wake.clear()
            return
        before = self.keyed()
        await super().look()
        changed = {group for group, rate in self.keyed().items() if before.get(group) != rate}
        if self._has_looked:
            self._recalled |= changed
        self._has_looked = True
        now = self._engine.clock.now()
        for group in list(self._recalled):  # what is near stands: more would start than may
            after = now + timedelta(seconds=RATE_LOOKAHEAD)
            await self._engine.store.tokens.recall(group, after, now)
            self._recalled.discard(group)

    def present(self, group: str, defined: Rate) -> Rate:
        """Return the rate that holds for a group."""
        return present_rate(defined, self._settings.get(group))

    def keyed(self) -> Mapping[str, Rate]:
        """Return the rates that hold and have a key; the same mapping until one changes."""
        defined = self._engine.registry.keyed_rates
        if self._keyed is None or self._keyed[0] is not defined:
            present = {group: self.present(group, rate) for group, rate in defined.items()}
            self._keyed = defined, present
            if defined:
                self.needed.set()
        return self._keyed[1]

    def names_with_key(self) -> Iterable[str]:
        """Return the names whose rate has a key."""
        registry = self._engine.registry
        for rate, names in registry.rates.values():
            yield from names if rate.key is not None else ()

    def _take(self, settings: Mapping[str, Setting]) -> bool:
        if settings == self._settings:
            return False
        self._settings = settings
        self._keyed = None
        return True
