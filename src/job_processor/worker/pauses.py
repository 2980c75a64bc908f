"""Keeps a worker's knowledge of what is paused up to date."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from job_processor.handlers.definitions import Definition
from job_processor.jobs.pauses import KIND, Pauses
from job_processor.listeners import Listeners
from job_processor.settings import PAUSES_INTERVAL, PAUSES_SWEEP
from job_processor.store.hints import Hint
from job_processor.tasks import Trouble, set_within
from job_processor.worker.engine import Engine


class PauseWatch:
    """Looks after a hint, at most every half second, and now and then without one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pauses = Pauses()
        self._wake = asyncio.Event()
        self._listeners: Listeners[Callable[[], object]] = Listeners()
        self._open: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    def on_changed(self, listener: Callable[[], object]) -> Callable[[], None]:
        """Call `listener` whenever something was paused or resumed; returns what ends it."""
        return self._listeners.add(listener)

    @property
    def stops_us(self) -> bool:
        """True when this worker is asked to stop."""
        return str(self._engine.worker_id) in self._pauses.workers

    def is_paused(self, name: str, definition: Definition) -> bool:
        """True when nothing of this name may begin."""
        return self._pauses.include(name, definition.tag)

    def without_paused(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of the names that may begin."""
        if not self._pauses:
            return names
        asked, answer = self._open
        if asked is not names:
            answer = tuple(name for name in names if not self._is_name_paused(name))
            self._open = (names, answer)
        return answer

    async def run(self) -> None:
        """Look until cancelled."""
        forget = self._engine.store.subscribe(self._on_hint)
        self._wake.set()  # nobody told us what changed since the look at the worker's start
        trouble = Trouble(self._engine.logger, "pauses")
        try:
            while True:
                await self._pause()
                if not await trouble.attempt(self.look):
                    self._wake.set()
                await asyncio.sleep(PAUSES_INTERVAL)  # hints come in crowds; one look is enough
        finally:
            forget()

    async def look(self) -> None:
        """Read what is paused; raises StoreError."""
        self._wake.clear()
        pauses = Pauses.of(await self._engine.store.settings.all(KIND))
        if pauses != self._pauses:
            self._pauses, self._open = pauses, ((), ())
            for listener in self._listeners.all:
                listener()

    def _on_hint(self, hint: Hint) -> None:
        if hint & Hint.SETTINGS:
            self._wake.set()

    async def _pause(self) -> None:
        seconds = PAUSES_SWEEP if self._engine.store.abilities.hints_of_others else PAUSES_INTERVAL
        await set_within(self._wake, seconds)

    def _is_name_paused(self, name: str) -> bool:
        definition = self._engine.registry.get(name)
        return definition is not None and self.is_paused(name, definition)
