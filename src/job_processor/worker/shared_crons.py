"""Crons beside a scheduler of the Node package, which knows nothing of ours.

When a Node worker begins, it removes the crons that it does not define, with their pending
occurrences: ours are put back at once, where they stood. A cron that both define fires once: what
Node has planned is never planned again by us. One that cannot mean the same in both is given to
Node, as it stands: nothing of it is lost, and nobody reads it in another zone than Node's.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

from bson import ObjectId

from job_processor.definitions import CronDef
from job_processor.errors import SharedDatabaseError
from job_processor.events import Event, EventKind
from job_processor.models import Cron, Registrations, occurrence_id
from job_processor.sharing import (
    check_cron,
    check_registry,
    claims_everything,
    describe_untagged,
)
from job_processor.store.base import ANYTHING, Hint
from job_processor.worker.engine import Engine
from job_processor.worker.ownership import Owner, Ownership
from job_processor.worker.rescuer import is_dead

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
        self._known: dict[str, Cron] = {}
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
            if claims_everything(worker) and not is_dead(worker, registrations.now):
                self._tell(describe_untagged(worker))
        try:
            check_registry(store, self._engine.registry)
        except SharedDatabaseError as error:
            self._tell(str(error))

    def pause(self, seconds: float) -> float:
        """Return how long to wait until the next pass at most, which is sooner while it matters."""
        return min(seconds, self._repairs.pop(0)) if self._repairs else seconds

    def remember(self, name: str, pointer: datetime, cron: Cron | None) -> None:
        """Keep where a cron of ours stands, in case that Node removes it.

        cron: as it is now, so that a touch of Node shows; None when somebody else has written it.
        """
        self._pointers[name] = pointer
        self._know(name, cron)

    def stood_at(self, name: str) -> datetime | None:
        """Return where a cron that is gone stood."""
        return self._pointers.get(name)

    def forget(self, name: str) -> None:
        """Forget a cron that is ours no more."""
        self._pointers.pop(name, None)
        self._known.pop(name, None)

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

    async def note_start(self, name: str, cron: Cron | None, owner: Owner) -> Owner:
        """Return the owner, with whether Node defines its cron too: each start of Node shows it.

        It removes what it does not define, and touches the rest: it writes expression and time of
        the change. Ours never write these at an unchanged pointer.
        """
        before = self._known.get(name)
        self._know(name, cron)
        if cron is None:
            of_both = False
        elif before not in (None, cron) and replace(before, updated_at=cron.updated_at) == cron:
            of_both = True
        else:
            return owner
        return await self._ownership.mark_of_both(name, owner, of_both)

    async def give_up(self, cron: Cron, owner: Owner, definition: CronDef) -> bool:
        """Give a cron to Node that both define and that cannot mean the same in both; else False.

        Not before an occurrence stands where it points: Node inserts only the one that follows.
        """
        if not self._engine.store.refuses_own_fields:
            return False
        error = self._conflict(cron, definition)
        if error is None or not await self._is_of_both(cron, owner):
            return False
        if not await self._stands(cron) or not await self.give(cron):
            return False
        self._refuse(error)
        return True

    async def give(self, cron: Cron) -> bool:
        """Make a cron of ours Node's, as it stands; False when somebody else was at it."""
        if not await self._engine.store.give_cron(cron):
            return False
        await self._ownership.remove(cron.name)
        self.forget(cron.name)
        return True

    async def is_wanted_by_node(self, cron: Cron, owner: Owner) -> bool:
        """True when Node goes on with a cron that we define no more."""
        shared = self._engine.store.refuses_own_fields
        return shared and await self._is_of_both(cron, owner)

    async def planned(self, name: str, moments: Collection[datetime]) -> set[datetime]:
        """Return those of the moments that Node has planned already."""
        if not self._engine.store.refuses_own_fields:
            return set()
        return await self._engine.store.planned_by_node(name, moments)

    def leave(self, cron: Cron, definition: CronDef) -> None:
        """Leave a cron that Node has made to it, and say so once."""
        self._ownership.complain_of_node(cron.name)
        error = self._conflict(cron, definition)
        if error is not None:
            self._refuse(error)

    async def _is_of_both(self, cron: Cron, owner: Owner) -> bool:
        return owner.of_both or bool(await self.planned(cron.name, [cron.scheduled_for]))

    async def _stands(self, cron: Cron) -> bool:
        """True when the pointer's own occurrence is there, by whomever."""
        store, moment = self._engine.store, cron.scheduled_for
        ours = await store.get(occurrence_id(cron.name, moment))
        return ours is not None or bool(await self.planned(cron.name, [moment]))

    def _conflict(self, cron: Cron, definition: CronDef) -> SharedDatabaseError | None:
        try:
            check_cron(cron, definition, self._engine.settings.timezone)
        except SharedDatabaseError as error:
            return error
        return None

    def _refuse(self, error: SharedDatabaseError) -> None:
        """Tell of a cron that we do not schedule as it is defined here."""
        if self._tell(str(error)):
            engine = self._engine
            engine.events.emit(Event(EventKind.CRON_REFUSED, engine.worker_id, error=error))

    def _know(self, name: str, cron: Cron | None) -> None:
        if cron is None:
            self._known.pop(name, None)
        else:
            self._known[name] = cron

    def _stir(self) -> None:
        self._stirred = True
        self._repairs = list(_REPAIRS)

    def _tell(self, message: str) -> bool:
        """Log an error, once; False when it was told already."""
        if message in self._told:
            return False
        self._told.add(message)
        self._engine.logger.error("%s", message)
        return True
