"""Turns crons into cron tasks: the next occurrence of each stands in the queue ahead of its time.

Any worker may schedule, none is leader. An occurrence's id is derived from its name and its planned
time, so two schedulers insert the same one; it is inserted before the pointer moves, so a crash in
between loses and doubles nothing; the pointer moves only from where it was read.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from datetime import datetime, timedelta

from job_processor.definitions import CronDef
from job_processor.events import Event, EventKind
from job_processor.ids import cron_id, occurrence_id
from job_processor.models import Cron, CronTask, Job, JobStatus, written_at
from job_processor.schedule import next_occurrence, parse
from job_processor.settings import SCHEDULER_INTERVAL
from job_processor.store.base import Hint
from job_processor.worker.engine import Engine
from job_processor.worker.insertion import insert_or_skip
from job_processor.worker.misfire import missed_between
from job_processor.worker.ownership import Owner, Ownership
from job_processor.worker.pauses import PauseWatch
from job_processor.worker.persistence import Trouble
from job_processor.worker.shared_crons import SharedCrons

_JITTER = 0.1  # seconds; the occurrence that is due stands in the queue already


class Scheduler:
    """Makes a pass when a cron's pointer is due, an exclusive one has settled, or time passed.

    And when a worker of the Node package begins: see `shared_crons`.
    """

    def __init__(self, engine: Engine, pauses: PauseWatch) -> None:
        self._engine = engine
        self._pauses = pauses
        self._timezone = engine.settings.timezone
        self._ownership = Ownership(
            engine.store, engine.settings.service, self._timezone, engine.logger
        )
        self._wake = asyncio.Event()
        self._shared = SharedCrons(engine, self._ownership)
        pauses.on_changed(self._wake.set)

    async def run(self) -> None:
        """Schedule until cancelled."""
        self._engine.reporter.on_settled = self._on_settled
        forget = self._engine.store.subscribe(self._on_hint)
        try:
            while True:
                await self._pause(await self._pass())
        finally:
            forget()

    async def _pass(self) -> datetime | None:
        """Look and schedule, until that succeeds; return when the next pointer is due."""
        due: list[datetime | None] = []

        async def look() -> None:
            await self._shared.look()
            due.append(await self.schedule())

        trouble = Trouble(self._engine.logger, "scheduling crons")
        while not await trouble.attempt(look):
            pass
        return due[-1]

    async def schedule(self) -> datetime | None:
        """Make one pass over the crons; return when the next pointer is due."""
        engine = self._engine
        owners = await self._ownership.owners()
        definitions = engine.registry.crons
        if not definitions and not owners:
            return None
        registrations = await engine.store.registrations()
        self._shared.see(registrations)
        crons = {cron.name: cron for cron in await engine.store.crons()}
        pointers = []
        for name, definition in list(definitions.items()):
            if self._pauses.is_paused(name, definition):
                continue  # its pointer stays, so that what it misses is judged when it goes on
            cron = crons.get(name)
            if cron is not None and name not in owners and cron.id != cron_id(name):
                self._shared.leave(cron, definition)
                continue
            if self._shared.is_being_written(cron, engine.clock.now()):
                continue
            owner = await self._ownership.take(name, definition, owners.get(name), registrations)
            if owner is None:
                continue
            owner = await self._shared.note_start(name, cron, owner)
            if cron is None or not await self._shared.give_up(cron, owner, definition):
                pointers.append(await self._advance(name, definition, cron, owner))
        for name in self._ownership.abandoned(owners, registrations):
            await self._abandon(name, crons.get(name), owners[name])
        return min(pointers, default=None)

    async def _abandon(self, name: str, cron: Cron | None, owner: Owner) -> None:
        """Remove a cron that no worker lists any more, or leave it to Node where it defines it."""
        logger = self._engine.logger
        if cron is not None and await self._shared.may_be_of_node(cron, owner):
            logger.info("cron %r is listed by Node alone any more; leaving it to it", name)
            await self._shared.give(cron)
            return
        logger.info("cron %r is listed by no worker any more; removing it", name)
        await self._engine.store.remove_cron(name)
        await self._ownership.remove(name)
        self._shared.forget(name)

    async def _advance(
        self, name: str, definition: CronDef, cron: Cron | None, owner: Owner
    ) -> datetime:
        """Make sure of the standing occurrence, move a due pointer, remove strays."""
        store, now = self._engine.store, self._engine.clock.now()
        fresh = owner.applied != owner.fingerprint
        made_here = self._made_the_pointer(definition, cron)
        stands = self._shared.stood_at(name) if cron is None else cron.scheduled_for
        if cron is not None and await self._shared.take_back(
            cron, owner, definition, made_here=made_here
        ):
            stands = None
        if stands is None or (fresh and not made_here):
            planned = [self._next(definition, now)]
        elif stands > now:
            planned = [stands]
        else:
            missed = missed_between(definition, self._timezone, stands, now)
            planned = [stands, *missed, self._next(definition, now)]
        pointer = planned[-1]
        of_node = await self._shared.planned(name, planned)
        planned = [moment for moment in planned if moment not in of_node]
        await self._insert(name, definition, planned, now)
        expression = parse(definition.cron_string)
        if cron is None:
            await store.create_cron(_new_cron(name, definition, pointer, now))
        elif (pointer, expression) != (cron.scheduled_for, cron.cron_string) and (
            await store.update_cron(cron, expression, pointer, written_at(now))
        ):
            self._tell_fired(name, definition, planned, now)
        if fresh:
            await self._ownership.mark_applied(name, owner)
        keep = {occurrence_id(name, each) for each in planned}
        await store.remove_occurrences(name, now, keep)
        self._shared.remember(name, pointer)
        return pointer

    async def _insert(
        self, name: str, definition: CronDef, planned: Iterable[datetime], now: datetime
    ) -> None:
        """Insert occurrences. A future one of an exclusive cron waits until none is active."""
        store = self._engine.store
        for moment in planned:
            if definition.exclusive and moment > now:
                if await store.find_active("cron_task", name) is not None:
                    continue
                await store.insert([self._occurrence(name, definition, moment, now)])
            else:
                task = self._occurrence(name, definition, moment, now)
                await insert_or_skip(store, [task], self._engine.clock)

    def _tell_fired(
        self, name: str, definition: CronDef, planned: Iterable[datetime], now: datetime
    ) -> None:
        """Tell of what has come due; whoever moves the pointer does, so it is told once."""
        if not self._engine.events.has_listeners:
            return
        for moment in planned:
            if moment <= now:
                task = self._occurrence(name, definition, moment, now)
                self._engine.events.emit(Event(EventKind.CRON_FIRED, self._engine.worker_id, task))

    def _occurrence(
        self, name: str, definition: CronDef, planned_for: datetime, now: datetime
    ) -> CronTask:
        task = _occurrence(name, definition, planned_for, now)
        return self._engine.stamps.on(task) if self._engine.stamps else task

    def _made_the_pointer(self, definition: CronDef, cron: Cron | None) -> bool:
        """True when this very definition made the pointer, and a crash kept it from saying so."""
        if cron is None:
            return False
        before = cron.scheduled_for - timedelta(milliseconds=1)
        return (
            parse(definition.cron_string) == cron.cron_string
            and self._next(definition, before) == cron.scheduled_for
        )

    def _next(self, definition: CronDef, after: datetime) -> datetime:
        zone = definition.timezone or self._timezone
        return next_occurrence(definition.cron_string, zone, after)

    def _on_hint(self, hint: Hint) -> None:
        if self._shared.hear(hint):
            self._wake.set()

    def _on_settled(self, job: Job) -> None:
        """An exclusive cron's next occurrence may be inserted once the one before has settled."""
        if isinstance(job, CronTask) and job.exclusive:
            self._wake.set()

    async def _pause(self, next_due: datetime | None) -> None:
        seconds = SCHEDULER_INTERVAL
        if next_due is not None:
            ahead = (next_due - self._engine.clock.now()).total_seconds()
            seconds = min(seconds, max(ahead, 0.0) + random.uniform(0, _JITTER))
        try:
            async with asyncio.timeout(self._shared.pause(seconds)):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()


def _occurrence(name: str, definition: CronDef, planned_for: datetime, now: datetime) -> CronTask:
    return CronTask(
        id=occurrence_id(name, planned_for),
        name=name,
        status=JobStatus.PENDING,
        scheduled_for=planned_for,
        created_at=now,
        updated_at=now,
        exclusive=definition.exclusive,
    )


def _new_cron(name: str, definition: CronDef, pointer: datetime, now: datetime) -> Cron:
    return Cron(
        id=cron_id(name),
        name=name,
        cron_string=parse(definition.cron_string),
        scheduled_for=pointer,
        created_at=now,
        updated_at=written_at(now),
    )
