"""Keeps a worker's knowledge of what is paused up to date."""

from __future__ import annotations

from collections.abc import Mapping

from job_processor.handlers.definitions import Definition
from job_processor.jobs.pauses import KIND, Pauses
from job_processor.store.desks.settings import Setting
from job_processor.worker.engine import Engine
from job_processor.worker.watching import SettingsWatch


class PauseWatch(SettingsWatch):
    """What is paused, by name and by tag, and who is asked to stop."""

    kind = KIND
    what = "pauses"

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._pauses = Pauses()
        self._open: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    @property
    def stops_us(self) -> bool:
        """True when this worker is asked to stop."""
        return str(self._engine.worker_id) in self._pauses.workers

    def is_paused(self, name: str, definition: Definition) -> bool:
        """True when nothing of this name may begin."""
        return self._pauses.include(name, definition.tag)

    def unpaused(self) -> set[str]:
        """Return the names that are defined here and not paused."""
        registry = self._engine.registry
        every: dict[str, Definition] = {**registry.jobs, **registry.crons}
        return {name for name, each in every.items() if not self.is_paused(name, each)}

    def without_paused(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of the names that may begin."""
        if not self._pauses:
            return names
        asked, answer = self._open
        if asked is not names:
            answer = tuple(name for name in names if not self._is_name_paused(name))
            self._open = (names, answer)
        return answer

    def _take(self, settings: Mapping[str, Setting]) -> bool:
        pauses = Pauses.of(settings)
        if pauses == self._pauses:
            return False
        self._pauses, self._open = pauses, ((), ())
        return True

    def _is_name_paused(self, name: str) -> bool:
        definition = self._engine.registry.get(name)
        return definition is not None and self.is_paused(name, definition)
