"""What a processor is made of, passed as one to whatever works for it."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from job_processor.clock import Clock
from job_processor.events import EventBus
from job_processor.handlers.registry import Registry
from job_processor.handlers.resources import Lifespan
from job_processor.hooks import Scopes, Stamps
from job_processor.models import SimpleJob
from job_processor.settings import Settings
from job_processor.store import Store
from job_processor.store.lanes import LIMIT, LimitBook
from job_processor.store.searches import Searches

if TYPE_CHECKING:
    from job_processor.store.desks.groups import Groups
    from job_processor.store.desks.lanes import Lanes
    from job_processor.store.desks.tokens import Tokens
    from job_processor.store.desks.waits import Waits


class Onlooker(ABC):
    """Looks at what was scheduled."""

    @abstractmethod
    async def scheduled(self, parts: Parts, names: Collection[str]) -> None:
        """Warn of jobs with these names, where there is something to warn of; never raises."""


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What jobs, crons and workers of one processor share, and nothing that only a worker has.

    It never changes: a processor that gets another database, clock or other settings has new parts
    from then on, and whoever was given the old ones keeps them.
    """

    store: Store
    registry: Registry
    settings: Settings
    clock: Clock
    events: EventBus
    scopes: Scopes
    """What integrations put around handlers."""
    stamps: Stamps
    """What integrations add to new jobs."""
    searches: Searches
    """Which searches look through jobs at present."""
    logger: logging.Logger | Any
    lifespan: Lifespan | None = None
    """Opens what the handlers of a process share."""
    onlooker: Onlooker | None = None
    """Who warns of jobs that somebody else will take; None where there can be nobody else."""

    def __post_init__(self) -> None:
        """Let the store know the time and the limits that are defined here."""
        self.store.equip(
            {
                "groups": self._equip_groups,
                "lanes": self._equip_lanes,
                "tokens": self._equip_tokens,
                "waits": self._equip_waits,
            }
        )

    def _equip_groups(self, groups: Groups) -> None:
        groups.now = self.clock.now
        groups.on_called = self._tell_called

    def _equip_lanes(self, lanes: Lanes) -> None:
        registry, store = self.registry, self.store

        async def read() -> Mapping[str, int]:
            return registry.amounts_of(await store.settings.all(LIMIT))

        lanes.book = LimitBook(lambda: registry.limits, self._names, self.clock.now, read)

    def _equip_tokens(self, tokens: Tokens) -> None:
        from job_processor.store.tokens import Paces, RateBook  # noqa: PLC0415  # where rates are

        paces = Paces(lambda: self.registry.keyed_rates)
        tokens.book = RateBook(paces, self._names, self.clock.now)

    def _equip_waits(self, waits: Waits) -> None:
        waits.now = self.clock.now

    def _names(self) -> Collection[str]:
        return {*self.registry.jobs, *self.registry.crons}

    def _tell_called(self, job: SimpleJob) -> None:
        if self.events.listeners.all:
            self.events.tell_stored([job])

    @property
    def history_days(self) -> float:
        """After how many days settled jobs go at the earliest, by us or by the database."""
        settings, errored = self.settings, self.settings.keep_errored_days
        kept = settings.history_days if errored is None else min(settings.history_days, errored)
        return min(kept, self.store.abilities.history_days)


class HasParts(Protocol):
    """A processor, to the rooms below it and beside it."""

    _parts: Parts

    def _ready(self) -> Parts: ...


def parts_of(processor: HasParts) -> Parts:
    """Return what a processor is made of at present, set up or not."""
    return processor._parts  # noqa: SLF001  # the one door for those who are no users of it


def ready_parts_of(processor: HasParts) -> Parts:
    """Return what a processor is made of; raises NotSetUpError unless it is set up here."""
    return processor._ready()  # noqa: SLF001  # the same
