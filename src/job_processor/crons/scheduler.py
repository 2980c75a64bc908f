"""Turns crons into cron tasks: the next occurrence of each stands in the queue ahead of its time.

Any worker may schedule, none is leader. An occurrence's id is derived from its name and its planned
time, so two schedulers insert the same one; it is inserted before the pointer moves, so a crash in
between loses and doubles nothing; the pointer moves only from where it was read.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from job_processor.crons.neighbour import Alone, Neighbour
from job_processor.crons.ownership import Ownership
from job_processor.crons.planner import Planner
from job_processor.crons.process import Process
from job_processor.crons.unlisted import UnlistedCrons
from job_processor.handlers.definitions import CronDef
from job_processor.models import Cron, CronTask, Job, Registrations
from job_processor.settings import SCHEDULER_INTERVAL
from job_processor.store.hints import Hint
from job_processor.store.owners import Owner
from job_processor.tasks import Trouble, is_of_input, set_within

_JITTER = 0.1  # seconds; the occurrence that is due stands in the queue already

_LEFT = timedelta(seconds=1)
"""After which a cron is looked at again that is left to another worker: to one of a newer version,
or to one whose clock is right. It may be gone by then."""


class Paused(Protocol):
    """Knows which names and tags are paused."""

    def is_paused(self, name: str, definition: CronDef) -> bool:
        """True when nothing of this name may begin."""

    def on_changed(self, listener: Callable[[], object]) -> Callable[[], None]:
        """Call `listener` whenever something was paused or resumed."""


class Scheduler:
    """Makes a pass when a cron's pointer is due, an exclusive one has settled, or time passed.

    neighbour: another scheduler on this database, which may call for a pass, too.
    """

    def __init__(
        self, process: Process, pauses: Paused, neighbour: Neighbour | None = None
    ) -> None:
        parts = process.parts
        self._process = process
        self._parts = parts
        self._pauses = pauses
        self._neighbour = neighbour or Alone()
        self._ownership = Ownership(parts)
        self._wake = asyncio.Event()
        self._troubles: dict[str, Trouble] = {}
        """What fails of one cron, by its name."""
        self._planner = Planner(process, self._ownership, self._neighbour)
        self._unlisted = UnlistedCrons(
            process, self._ownership, self._neighbour, self._planner.forget
        )
        pauses.on_changed(self._wake.set)

    async def run(self) -> None:
        """Schedule until cancelled."""
        forget = self._parts.store.subscribe(self._on_hint, ends=False)
        try:
            while True:
                began, at = self._parts.clock.now(), time.monotonic()
                due = await self._pass()
                # By the clock that the pass began with, whatever was done to it meanwhile: where it
                # was set back, the pointer may lie years ahead by now.
                ahead = math.inf if due is None else (due - began).total_seconds()
                await self._pause(ahead - (time.monotonic() - at))
        finally:
            forget()

    async def _pass(self) -> datetime | None:
        """Look and schedule, until that succeeds; return when the next pointer is due."""
        due: list[datetime | None] = []

        async def look() -> None:
            await self._neighbour.look()
            due.append(await self.schedule())

        trouble = Trouble(self._parts.logger, "scheduling crons")
        while not await trouble.attempt(look):
            pass
        return due[-1]

    async def schedule(self) -> datetime | None:
        """Make one pass over the crons; return when the next pointer is due."""
        parts = self._parts
        owners = await self._ownership.owners()
        definitions = parts.registry.crons
        if not definitions and not owners:
            return None
        registrations = await self._registrations()
        self._neighbour.see(registrations)
        self._unlisted.see(owners, registrations)
        crons = {cron.name: cron for cron in await parts.store.crons.all()}
        pointers = []
        for name, definition in list(definitions.items()):
            if self._pauses.is_paused(name, definition):
                continue  # its pointer stays, so that what it misses is judged when it goes on
            trouble = self._troubles.setdefault(name, Trouble(parts.logger, f"cron {name!r}"))
            try:
                due = await self._look_after(
                    name, definition, crons.get(name), owners, registrations
                )
            except Exception as error:
                if not is_of_input(error):
                    raise
                trouble.meet(error)  # it is about this one: the others go on
                due = parts.clock.now() + _LEFT
            else:
                trouble.end()
            pointers += [] if due is None else [due]
        await self._unlisted.look(owners, crons, registrations)
        return min(pointers, default=None)

    async def _look_after(
        self,
        name: str,
        definition: CronDef,
        cron: Cron | None,
        owners: dict[str, Owner],
        registrations: Registrations,
    ) -> datetime | None:
        """See to one cron, where that is ours to do; return when it is to be looked at again."""
        now = self._parts.clock.now
        owner = await self._taken(name, definition, cron, owners.get(name), registrations)
        if owner is None:
            listed = cron is not None and name in owners
            return max(cron.scheduled_for, now()) + _LEFT if cron is not None and listed else None
        agreed = await self._neighbour.agree(name, cron, owner, definition)
        if agreed is None:
            return None
        owners[name] = agreed
        if self._planner.leaves_to(name, definition, cron, agreed, registrations):
            return now() + _LEFT
        return await self._planner.advance(name, definition, cron, agreed)

    async def _registrations(self) -> Registrations:
        """Read who is there, and by the way whose clock is right."""
        parts = self._parts
        before = parts.clock.now()
        registrations = await parts.store.workers.registrations()
        if parts.store.abilities.needs_heartbeat:
            self._process.clock_watch.compare(before, registrations.now)
        return registrations

    async def _taken(
        self,
        name: str,
        definition: CronDef,
        cron: Cron | None,
        owner: Owner | None,
        registrations: Registrations,
    ) -> Owner | None:
        """Return the owner of a cron that is to be looked after here and now, else None."""
        now = self._parts.clock.now()
        if cron is not None and self._neighbour.holds(cron, owner, definition, now):
            return None
        return await self._ownership.take(
            name,
            definition,
            owner,
            registrations,
            lambda other: self._unlisted.is_free(other, registrations.now),
        )

    def _on_hint(self, hint: Hint) -> None:
        if self._neighbour.hear(hint):
            self._wake.set()

    def on_settled(self, job: Job) -> None:
        """An exclusive cron's next occurrence may be inserted once the one before has settled."""
        if isinstance(job, CronTask) and job.exclusive:
            self._wake.set()

    async def _pause(self, ahead: float) -> None:
        """Return when a pointer is due that lies so many seconds ahead, or something else calls."""
        seconds = min(SCHEDULER_INTERVAL, max(ahead, 0.0) + random.uniform(0, _JITTER))
        await set_within(self._wake, self._unlisted.pause(self._neighbour.pause(seconds)))
        self._wake.clear()
