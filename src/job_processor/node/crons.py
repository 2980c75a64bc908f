"""Crons beside a scheduler of the Node package, which knows nothing of ours.

When a Node worker begins, it removes the crons that it does not define, with their pending
occurrences: ours are put back at once, where they stood. A cron that both define fires once: what
Node has planned is never planned again by us. One that cannot mean the same in both is given to
Node, as it stands: nothing of it is lost, and nobody reads it in another zone than Node's.

Node's scheduler moves whatever cron is due, ours too, in its own zone and without our definition:
that is no sign that it defines one, and what it planned wrong is planned anew.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

from bson import ObjectId

from job_processor.crons.neighbour import Alone, Neighbour
from job_processor.crons.ownership import Ownership
from job_processor.crons.process import Process
from job_processor.errors import SharedDatabaseError, StoreError
from job_processor.events import Event, EventKind
from job_processor.handlers.definitions import CronDef
from job_processor.models import (
    Cron,
    Registrations,
    cron_id,
    occurrence_id,
    written_at,
)
from job_processor.node.rules import (
    check_cron,
    check_interval,
    check_registry,
    claims_everything,
    describe_untagged,
)
from job_processor.store.hints import ANYTHING, Hint
from job_processor.store.node import NodeSide
from job_processor.store.owners import Owner

_REPAIRS = (0.1, 0.2, 0.5, 1.5, 2.0, 4.0, 8.0)
"""Seconds between the passes that follow the start of a Node worker: it registers first, and
removes crons a moment later, how long depends on the database."""

_UNFINISHED = timedelta(seconds=2)
"""Node moves a cron's pointer first, and inserts the occurrence a moment later. No longer, also
where the clocks of the two differ by more."""


def neighbour_of(process: Process) -> Neighbour:
    """Return who else may schedule on a database: a Node package knows MongoDB alone."""
    node = process.parts.store.node_side()
    return Alone() if node is None else SharedCrons(process, Ownership(process.parts), node)


class SharedCrons(Neighbour):
    """What a scheduler remembers for the sake of Node, and leaves to it."""

    def __init__(self, process: Process, ownership: Ownership, node: NodeSide) -> None:
        parts = process.parts
        self._process = process
        self._parts = parts
        self._ownership = ownership
        self._node = node
        self._node_workers: set[ObjectId] = set()
        self._repairs: list[float] = []
        self._stirred = node.refuses_own_fields
        self._has_its_indexes = False
        self._told: set[str] = set()

    def hear(self, hint: Hint) -> bool:
        """Take a hint; True when it calls for a pass at once."""
        if not hint & Hint.NODE:
            return False
        if hint & ANYTHING == ANYTHING:  # nobody was watching: the pass sees who began meanwhile
            self._stirred = True
        else:
            self._stir()
        return True

    def see(self, registrations: Registrations) -> None:
        """Notice Node workers that no hint has told of."""
        there = {worker.id for worker in registrations.workers if worker.timeout_s is None}
        if there - self._node_workers:
            self._stir()
        self._node_workers = there

    async def look(self) -> None:
        """After the start of a Node worker, see what cannot go well beside it; say so once.

        Each time, where no hint tells of such a start. Raises StoreError.
        """
        store = self._parts.store
        if not self._stirred and store.abilities.hints_of_others:
            return
        self._stirred = False
        try:
            await self._node.look()
            registrations = await store.workers.registrations()
            await self._make_its_indexes(registrations)
        except StoreError:
            self._stirred = True
            raise
        for worker in registrations.workers:
            if claims_everything(worker) and not worker.is_dead(registrations.now):
                self._tell(describe_untagged(worker))
        try:
            check_registry(store, self._parts.registry)
        except SharedDatabaseError as error:
            self._tell(str(error))

    def pause(self, seconds: float) -> float:
        """Return how long to wait until the next pass at most, which is sooner while it matters."""
        return min(seconds, self._repairs.pop(0)) if self._repairs else seconds

    def holds(self, cron: Cron, owner: Owner | None, definition: CronDef, now: datetime) -> bool:
        """True for a cron that Node has made, of which we say so once, or is writing just now."""
        if owner is None and cron.id != cron_id(cron.name):
            self._leave(cron, definition)
            return True
        return self.is_being_written(cron, now)

    def is_being_written(self, cron: Cron | None, now: datetime) -> bool:
        """True while Node may have moved a cron on without having inserted its occurrence yet."""
        if cron is None or not self._node.refuses_own_fields or not _is_touched(cron):
            return False
        if abs(now - cron.updated_at) >= _UNFINISHED:
            return False
        self._repairs = self._repairs or [_UNFINISHED.total_seconds()]
        return True

    async def agree(
        self, name: str, cron: Cron | None, owner: Owner, definition: CronDef
    ) -> Owner | None:
        """Return the owner, with whether Node defines its cron too: each start of Node shows it.

        It removes what it does not define, and touches the rest. None: the cron is Node's now.
        """
        if await self._withdraws_interval(name, definition):
            return None
        if cron is None:
            return await self._mark(name, owner, of_both=False)
        if not owner.of_both and await self._shows_a_start(cron):
            owner = await self._mark(name, owner, of_both=True)
        return None if await self._give_up(cron, owner, definition) else owner

    async def take_back(
        self, cron: Cron, owner: Owner, definition: CronDef, *, made_here: bool
    ) -> bool:
        """Undo what Node's scheduler did to a cron that only we define; True: plan it anew.

        made_here: the pointer is an occurrence of our definition. What Node planned then stays,
            unless the cron is exclusive, which Node does not know.
        """
        store = self._parts.store
        if owner.of_both or not self._node.refuses_own_fields:
            return False
        if made_here:
            now = self._parts.clock.now()
            if not definition.exclusive or cron.scheduled_for <= now:
                return False
            if not await self.planned(cron.name, [cron.scheduled_for]):
                return False
            # Signed first: ours at its place would else look as if Node had begun and touched it.
            await store.crons.update(cron, cron.cron_string, cron.scheduled_for, written_at(now))
        elif not _is_touched(cron):
            return False
        await self._node.remove_planned(cron.name, cron.scheduled_for)
        return True

    async def _give_up(self, cron: Cron, owner: Owner, definition: CronDef) -> bool:
        """Give a cron to Node that both define and that cannot mean the same in both; else False.

        Not before an occurrence stands where it points: Node inserts only the one that follows.
        """
        if not self._node.refuses_own_fields:
            return False
        error = self._conflict(cron, definition)
        if error is None or not owner.of_both:
            return False
        if not await self._stands(cron) or not await self._give(cron):
            return False
        self._refuse(error)
        return True

    async def takes_over(self, cron: Cron, owner: Owner, *, abandoned: bool) -> bool:
        """Make a cron Node's that we define no more, where Node defines it or has moved it.

        abandoned: also where that is not certain: rather one too many is left to it, which its next
            start removes, than one too few.
        """
        if not owner.of_both and not (abandoned and await self._may_be_of_node(cron)):
            return False
        self._parts.logger.info(
            "cron %r is listed by Node alone any more; leaving it to it", cron.name
        )
        await self._give(cron)
        return True

    async def planned(self, name: str, moments: Collection[datetime]) -> set[datetime]:
        """Return those of the moments that Node has planned already."""
        if not self._node.refuses_own_fields:
            return set()
        return await self._node.planned(name, moments)

    async def _withdraws_interval(self, name: str, definition: CronDef) -> bool:
        """Take a cron out of the database at which Node's scheduler would stop; else False."""
        if not self._node.refuses_own_fields:
            return False
        try:
            check_interval(name, definition)
        except SharedDatabaseError as error:
            await self._parts.store.crons.remove(name)
            self._refuse(error)
            return True
        return False

    def _leave(self, cron: Cron, definition: CronDef) -> None:
        """Leave a cron that Node has made to it, and say so once."""
        other = "is scheduled by another system on this database (the Node package)"
        self._ownership.complain(cron.name, other)
        error = self._conflict(cron, definition)
        if error is not None:
            self._refuse(error)

    async def _mark(self, name: str, owner: Owner, *, of_both: bool) -> Owner:
        """Note whether Node defines the cron too; return the owner as it is then."""
        marked = replace(owner, of_both=of_both)
        if marked == owner:
            return owner
        return await self._ownership.write(name, owner, marked) or owner

    async def _give(self, cron: Cron) -> bool:
        """Make a cron of ours Node's, as it stands; False when somebody else was at it."""
        if not await self._node.give_cron(cron):
            return False
        await self._ownership.remove(cron.name)
        return True

    async def _may_be_of_node(self, cron: Cron) -> bool:
        """True when Node may go on with a cron of ours: it seems to define it, or has moved it."""
        if not self._node.refuses_own_fields:
            return False
        planned = await self.planned(cron.name, [cron.scheduled_for])
        return bool(planned) or await self._shows_a_start(cron)

    async def _make_its_indexes(self, registrations: Registrations) -> None:
        """Make what Node alone needs, once it has come; `setup` did where it was here before."""
        here = any(worker.timeout_s is None for worker in registrations.workers)
        if self._has_its_indexes or not (here or self._node.refuses_own_fields):
            return
        await self._node.make_indexes()
        self._has_its_indexes = True

    async def _shows_a_start(self, cron: Cron) -> bool:
        """True when Node wrote a cron of ours that it has not moved, as its start does."""
        if not self._node.refuses_own_fields or not _is_touched(cron):
            return False
        planned = await self.planned(cron.name, [cron.scheduled_for])
        return not planned and await self._stands(cron)

    async def _stands(self, cron: Cron) -> bool:
        """True when the pointer's own occurrence is there, by whomever."""
        store, moment = self._parts.store, cron.scheduled_for
        ours = await store.history.get(occurrence_id(cron.name, moment))
        return ours is not None or bool(await self.planned(cron.name, [moment]))

    def _conflict(self, cron: Cron, definition: CronDef) -> SharedDatabaseError | None:
        try:
            check_cron(cron, definition, self._parts.settings.timezone)
        except SharedDatabaseError as error:
            return error
        return None

    def _refuse(self, error: SharedDatabaseError) -> None:
        """Tell of a cron that we do not schedule as it is defined here."""
        if self._tell(str(error)):
            parts = self._parts
            parts.events.emit(Event(EventKind.CRON_REFUSED, self._process.worker_id, error=error))

    def _stir(self) -> None:
        self._stirred = True
        self._repairs = list(_REPAIRS)

    def _tell(self, message: str) -> bool:
        """Log an error, once; False when it was told already."""
        if message in self._told:
            return False
        self._told.add(message)
        self._parts.logger.error("%s", message)
        return True


def _is_touched(cron: Cron) -> bool:
    """True when Node wrote a cron of ours last: its start does, and its scheduler.

    Its validator leaves no field to sign with, so it is the time of the write that tells.
    """
    return cron.updated_at != written_at(cron.updated_at)
