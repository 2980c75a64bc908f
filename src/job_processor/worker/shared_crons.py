"""Crons beside a scheduler of the Node package, which knows nothing of ours.

When a Node worker begins, it removes the crons that it does not define, with their pending
occurrences: ours are put back at once, where they stood. A cron that both define fires once: what
Node has planned is never planned again by us.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from bson import ObjectId

from job_processor.definitions import CronDef
from job_processor.errors import SharedDatabaseError
from job_processor.models import Cron, Registrations
from job_processor.sharing import (
    check_registry,
    check_timezone,
    claims_everything,
    describe_untagged,
)
from job_processor.store.base import ANYTHING, Hint
from job_processor.worker.engine import Engine
from job_processor.worker.ownership import Ownership

_REPAIRS = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between the passes that follow the start of a Node worker: it registers first, and
removes crons a moment later, how long depends on the database."""

_UNFINISHED = timedelta(seconds=2)
"""Node moves a cron's pointer first, and inserts the occurrence a moment later."""


class SharedCrons:
    """What a scheduler remembers for the sake of Node, and leaves to it."""

    def __init__(self, engine: Engine, ownership: Ownership) -> None:
        self._engine = engine
        self._ownership = ownership
        self._pointers: dict[str, datetime] = {}
        self._node_workers: set[ObjectId] = set()
        self._repairs: list[float] = []
        self._stirred = engine.store.refuses_own_fields
        self._told: set[str] = set()

    def hear(self, hint: Hint) -> bool:
        """Take a hint; True when it calls for a pass at once.

        That anything may have changed does not: the next pass notices a Node worker by itself.
        """
        if not hint & Hint.NODE or hint & ANYTHING == ANYTHING:
            return False
        self._stir()
        return True

    def see(self, registrations: Registrations) -> None:
        """Notice Node workers that no hint has told of."""
        there = {worker.id for worker in registrations.workers if worker.timeout_s is None}
        if there - self._node_workers:
            self._stir()
        self._node_workers = there

    async def look(self) -> None:
        """After the start of a Node worker, see what cannot go well beside it; say so once."""
        if not self._stirred:
            return
        self._stirred = False
        store = self._engine.store
        await store.look_at_validator()
        registrations = await store.registrations()
        for worker in registrations.workers:
            if claims_everything(worker) and not worker.is_dead(registrations.now):
                self._tell(describe_untagged(worker))
        try:
            check_registry(store, self._engine.registry)
        except SharedDatabaseError as error:
            self._tell(str(error))

    def pause(self, seconds: float) -> float:
        """Return how long to wait until the next pass at most, which is sooner while it matters."""
        return min(seconds, self._repairs.pop(0)) if self._repairs else seconds

    def remember(self, name: str, pointer: datetime) -> None:
        """Keep where a cron of ours stands, in case that Node removes it."""
        self._pointers[name] = pointer

    def stood_at(self, name: str) -> datetime | None:
        """Return where a cron that is gone stood."""
        return self._pointers.get(name)

    def forget(self, name: str) -> None:
        """Forget a cron that was removed on purpose."""
        self._pointers.pop(name, None)

    def is_being_moved(self, cron: Cron | None, now: datetime) -> bool:
        """True while Node may have moved a cron on without having inserted its occurrence yet."""
        if cron is None or not self._engine.store.refuses_own_fields:
            return False
        before = self._pointers.get(cron.name, cron.scheduled_for)
        moved = cron.scheduled_for != before and now - cron.updated_at < _UNFINISHED
        if moved:
            self._pointers[cron.name] = cron.scheduled_for
            self._repairs = self._repairs or [_UNFINISHED.total_seconds()]
        return moved

    async def planned(self, name: str, moments: Collection[datetime]) -> set[datetime]:
        """Return those of the moments that Node has planned already."""
        if not self._engine.store.refuses_own_fields:
            return set()
        return await self._engine.store.planned_by_node(name, moments)

    def leave(self, name: str, definition: CronDef) -> None:
        """Leave a cron that Node has made to it, and say so once."""
        self._ownership.complain_of_node(name)
        try:
            check_timezone(name, definition.timezone or self._engine.settings.timezone)
        except SharedDatabaseError as error:
            self._tell(str(error))

    def _stir(self) -> None:
        self._stirred = True
        self._repairs = list(_REPAIRS)

    def _tell(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            self._engine.logger.error("%s", message)
