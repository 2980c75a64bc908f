"""Keeps a worker's knowledge of settings of one kind up to date."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

from job_processor.listeners import Listeners
from job_processor.settings import SETTINGS_INTERVAL, SETTINGS_SWEEP
from job_processor.store.desks.settings import Setting
from job_processor.store.hints import Hint
from job_processor.tasks import Trouble, set_within
from job_processor.worker.engine import Engine


class SettingsWatch(ABC):
    """Looks after a hint, at most every half second, and now and then without one."""

    kind: ClassVar[str]
    """The kind of settings that it reads."""
    what: ClassVar[str]
    """What these are, for messages."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._wake = asyncio.Event()
        self._listeners: Listeners[Callable[[], object]] = Listeners()

    def on_changed(self, listener: Callable[[], object]) -> Callable[[], None]:
        """Call `listener` whenever they have changed; returns what ends it."""
        return self._listeners.add(listener)

    async def run(self) -> None:
        """Look until cancelled."""
        forget = self._engine.store.subscribe(self._on_hint, ends=False)
        self._wake.set()  # nobody told us what changed since the look at the worker's start
        trouble = Trouble(self._engine.logger, self.what)
        try:
            while True:
                await self._pause()
                if not await trouble.attempt(self.look):
                    self._wake.set()
                await asyncio.sleep(SETTINGS_INTERVAL)  # hints come in crowds; one look is enough
        finally:
            forget()

    async def look(self) -> None:
        """Read them; raises StoreError."""
        self._wake.clear()
        if self._take(await self._engine.store.settings.all(self.kind)):
            for listener in self._listeners.all:
                listener()

    @abstractmethod
    def _take(self, settings: Mapping[str, Setting]) -> bool:
        """Take what was read; True where it has changed."""

    def _on_hint(self, hint: Hint) -> None:
        if hint & Hint.SETTINGS:
            self._wake.set()

    async def _pause(self) -> None:
        of_others = self._engine.store.abilities.hints_of_others
        await set_within(self._wake, SETTINGS_SWEEP if of_others else SETTINGS_INTERVAL)
