"""Plans the occurrences of one cron: the one that stands in the queue, and the pointer at it.

A pointer later than the next occurrence can only have been made by a clock that was ahead, or by a
database that was put back: the cron is planned anew from now on. Of two workers whose clocks
differ, the one whose clock is not the database's leaves the crons to the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from job_processor.crons.misfire import passed_between
from job_processor.crons.neighbour import Neighbour
from job_processor.crons.ownership import Ownership
from job_processor.crons.process import Process
from job_processor.events import Event, EventKind
from job_processor.handlers.definitions import CronDef
from job_processor.jobs.intake import insert_or_skip
from job_processor.models import (
    Cron,
    CronTask,
    JobStatus,
    Registrations,
    cron_id,
    occurrence_id,
    written_at,
)
from job_processor.schedule import is_rhythm, next_occurrence
from job_processor.settings import CLOCK_TOLERANCE
from job_processor.store.owners import Owner

_TOLERANCE = timedelta(seconds=CLOCK_TOLERANCE)
_PATIENCE = timedelta(seconds=2)
"""For how long after its time a pointer may stand until somebody moves it."""

_MS = timedelta(milliseconds=1)
_REPEATS = 50
"""Times that one moment may come again, by clocks that are set back again and again."""


class Planner:
    """Inserts what is missing, moves a due pointer, removes strays."""

    def __init__(self, process: Process, ownership: Ownership, neighbour: Neighbour) -> None:
        parts = process.parts
        self._process = process
        self._parts = parts
        self._ownership = ownership
        self._neighbour = neighbour
        self._timezone = parts.settings.timezone
        self._right: dict[str, tuple[datetime, datetime]] = {}
        """Pointers that were found to be the next occurrence after a time, by name."""
        self._stood: dict[str, datetime] = {}
        """Where each cron of ours stands, in case that somebody removes it."""

    async def advance(
        self, name: str, definition: CronDef, cron: Cron | None, owner: Owner
    ) -> datetime:
        """Make sure of the standing occurrence, move a due pointer, remove strays.

        Return where the pointer stands then.
        """
        store, now = self._parts.store, self._parts.clock.now()
        fresh = owner.applied != owner.fingerprint
        stands = await self._standing(name, definition, cron, owner, fresh=fresh)
        if stands is not None and await self._is_ahead(name, definition, stands, owner, now):
            owner = await self._note_repeats(name, definition, stands, owner, now)
            stands = None
        passed: list[datetime] = []
        if stands is None:
            planned = [await self._next_free(name, definition, owner, now)]
        elif stands > now:
            planned = [stands]
        else:
            passed = passed_between(definition, self._timezone, stands, now)
            added = passed if definition.misfire == "all" else []
            planned = [stands, *added, await self._next_free(name, definition, owner, now)]
        pointer = planned[-1]
        there = await self._neighbour.planned(name, planned)
        planned = [each for each in planned if each not in there and each != owner.cancelled]
        await self._insert(name, definition, planned, now)
        expression = definition.expression
        if cron is None:
            await store.crons.create(_new_cron(name, definition, pointer, now))
        elif (pointer, expression) != (cron.scheduled_for, cron.cron_string) and (
            await store.crons.update(cron, expression, pointer, written_at(now))
        ):
            self._tell_fired(name, definition, planned, passed, now)
        if fresh:
            await self._ownership.mark_applied(name, owner)
        keep = {occurrence_id(name, each) for each in planned}
        await store.crons.remove_occurrences(name, now, keep)
        self._stood[name] = pointer
        return pointer

    def forget(self, name: str) -> None:
        """Forget where a cron stood that was removed for good."""
        self._stood.pop(name, None)

    def leaves_to(
        self,
        name: str,
        definition: CronDef,
        cron: Cron | None,
        owner: Owner,
        registrations: Registrations,
    ) -> bool:
        """True when our clock is wrong and a worker whose clock is right looks after the cron.

        Right is the database's clock, as long as there is such a worker and the pointer is as it
        would have it: else it is the database's clock that is wrong, or nobody is left.
        """
        if self._process.clock_watch.ahead is None or cron is None:
            return False
        theirs, pointer = registrations.now, cron.scheduled_for
        return (
            any(
                worker.crons.get(name) == owner.fingerprint
                and worker.clock_ahead is None
                and worker.id != self._process.worker_id
                for worker in registrations.workers
                if worker.service == owner.service and not worker.is_dead(theirs)
            )
            and pointer > theirs - _PATIENCE
            and not self._lies_behind(definition, pointer, theirs)
        )

    # --- pointers -------------------------------------------------------------------------------

    async def _standing(
        self, name: str, definition: CronDef, cron: Cron | None, owner: Owner, *, fresh: bool
    ) -> datetime | None:
        """Return where the pointer stands; None where it is not this definition's.

        fresh: the definition counts only since now.
        """
        if cron is None:
            return None if fresh else self._stood.get(name)
        made_here = self._made_the_pointer(definition, cron)
        if await self._neighbour.take_back(cron, owner, definition, made_here=made_here):
            return None
        return cron.scheduled_for if made_here or not fresh else None

    async def _is_ahead(
        self, name: str, definition: CronDef, pointer: datetime, owner: Owner, now: datetime
    ) -> bool:
        """True for a pointer of ours that a clock has made that was ahead."""
        if pointer <= now or owner.of_both:
            return False
        found, since = self._right.get(name, (None, now))
        if found == pointer and since <= now:
            return False
        if not self._lies_behind(definition, pointer, now):
            self._right[name] = pointer, now
            return False
        if await self._neighbour.planned(name, [pointer]):
            return False
        self._parts.logger.warning(
            "cron %r was to fire at %s, which is not its next occurrence: a clock was ahead, or "
            "one is behind; planning it again",
            name,
            pointer.isoformat(),
        )
        return True

    def _lies_behind(self, definition: CronDef, pointer: datetime, now: datetime) -> bool:
        """True when an occurrence comes before the pointer, whoever's clock is a little wrong."""
        return self._next(definition, now + _TOLERANCE) < pointer.replace(microsecond=0)

    async def _note_repeats(
        self, name: str, definition: CronDef, pointer: datetime, owner: Owner, now: datetime
    ) -> Owner:
        """Keep up to where occurrences may have run before their time; return the owner then.

        Not for a single one, as after a small step of the clock: it ran, if a little early.
        """
        rhythm = is_rhythm(definition.expression)
        if not rhythm or self._next(definition, self._next(definition, now)) >= pointer:
            return owner
        until = max(filter(None, (owner.repeats_until, pointer)))
        noted = replace(owner, repeats_until=until)
        return owner if noted == owner else await self._ownership.write(name, owner, noted) or owner

    async def _next_free(
        self, name: str, definition: CronDef, owner: Owner, now: datetime
    ) -> datetime:
        """Return the next occurrence; of a rhythm one that has not run yet.

        As hours that a change to winter time repeats, those of a clock that was set back count
        again. What tells the second occurrence from the first is a millisecond.
        """
        moment = self._next(definition, now)
        if owner.repeats_until is None or moment > owner.repeats_until:
            return moment
        for again in range(_REPEATS):
            job = await self._parts.store.history.get(occurrence_id(name, moment + again * _MS))
            if job is None or not job.settled:
                return moment + again * _MS
        return moment

    def _made_the_pointer(self, definition: CronDef, cron: Cron) -> bool:
        """True when this very definition made the pointer, and a crash kept it from saying so."""
        pointer = cron.scheduled_for.replace(microsecond=0)
        return (
            definition.expression == cron.cron_string
            and self._next(definition, pointer - _MS) == pointer
        )

    def _next(self, definition: CronDef, after: datetime) -> datetime:
        zone = definition.timezone or self._timezone
        return next_occurrence(definition.expression, zone, after)

    # --- occurrences ----------------------------------------------------------------------------

    async def _insert(
        self, name: str, definition: CronDef, planned: Iterable[datetime], now: datetime
    ) -> None:
        """Insert occurrences. A future one of an exclusive cron waits until none is active."""
        store = self._parts.store
        for moment in planned:
            if definition.exclusive and moment > now:
                if await store.history.find_active("cron_task", name) is not None:
                    continue
                await store.intake.insert([self._occurrence(name, definition, moment, now)])
            else:
                task = self._occurrence(name, definition, moment, now)
                await insert_or_skip(store, [task], self._parts.clock)

    def _tell_fired(
        self,
        name: str,
        definition: CronDef,
        planned: Collection[datetime],
        passed: Collection[datetime],
        now: datetime,
    ) -> None:
        """Tell of what has come due; whoever moves the pointer does, so it is told once.

        passed: what nobody planned; what is added of it counts as missed once it is claimed.
        """
        dropped = 0 if definition.misfire == "all" else len(passed)
        self._process.tally.add_missed(name, dropped, now)
        if not self._parts.events.listeners.all:
            return
        for moment in planned:
            if moment <= now:
                task = self._occurrence(name, definition, moment, now)
                self._parts.events.emit(Event(EventKind.CRON_FIRED, self._process.worker_id, task))

    def _occurrence(
        self, name: str, definition: CronDef, planned_for: datetime, now: datetime
    ) -> CronTask:
        task = CronTask(
            id=occurrence_id(name, planned_for),
            name=name,
            status=JobStatus.PENDING,
            scheduled_for=planned_for,
            created_at=now,
            updated_at=now,
            exclusive=definition.exclusive,
            labels=definition.labelled,
        )
        return self._parts.stamps.on(task)


def _new_cron(name: str, definition: CronDef, pointer: datetime, now: datetime) -> Cron:
    return Cron(
        id=cron_id(name),
        name=name,
        cron_string=definition.expression,
        scheduled_for=pointer,
        created_at=now,
        updated_at=written_at(now),
    )
