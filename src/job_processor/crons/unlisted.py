"""What becomes of a cron that no worker of its service lists any more.

A restart, a crash or a deploy takes nothing from it. When nobody has listed it for an hour it goes
dormant: it plans nothing, and what is due of it does not count as waiting. A service that comes
back goes on where it stood, by its `misfire`. After `history_days` the cron is removed, and what
was due is skipped. Every worker of every service looks after that.

Times are the database's, and whatever follows needs a while of our own monotonic time in which we
have seen nobody list it: where a clock steps, workers list their crons again soon.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from job_processor.crons.neighbour import Neighbour
from job_processor.crons.ownership import Ownership
from job_processor.crons.process import Process
from job_processor.models import Cron, Registrations
from job_processor.settings import CRON_GRACE, CRON_LISTED_INTERVAL
from job_processor.store import Store
from job_processor.store.owners import KIND, Owner

_GRACE = timedelta(seconds=CRON_GRACE)
_INTERVAL = timedelta(seconds=CRON_LISTED_INTERVAL)


async def remove_cron(store: Store, name: str, now: datetime, owner: Owner | None) -> None:
    """Remove a cron with what it has planned; what waits to run is skipped.

    Its owner goes last, and only as it was read: a crash in between is repeated, and a service that
    comes back meanwhile begins anew.
    """
    await store.crons.remove_occurrences(name, now, ())
    await store.crons.skip_waiting(name, now)
    await store.crons.remove(name)
    if owner is not None:
        await store.settings.remove(KIND, name, owner.stored)


class UnlistedCrons:
    """What one worker has seen of crons, and of services, that nobody seems to need.

    forget: is told the name of each cron that is removed for good.
    """

    def __init__(
        self,
        process: Process,
        ownership: Ownership,
        neighbour: Neighbour,
        forget: Callable[[str], None],
    ) -> None:
        parts = process.parts
        self._process = process
        self._parts = parts
        self._ownership = ownership
        self._neighbour = neighbour
        self._forget = forget
        self._history = timedelta(days=parts.settings.history_days)
        self._unlisted_since: dict[str, float] = {}
        self._unserved_since: dict[str, float] = {}
        """By the monotonic clock, by cron and by service."""
        self._again = math.inf
        """Seconds after which there may be something to do."""

    def see(self, owners: Mapping[str, Owner], registrations: Registrations) -> None:
        """Notice whose crons are not listed, and which services have no worker."""
        self._again = math.inf
        listed: dict[str | None, set[str]] = {}
        for worker in registrations.workers:
            listed.setdefault(worker.service, set()).update(worker.crons)
        services = {owner.service for owner in owners.values()}
        _note(self._unserved_since, services - listed.keys())
        unlisted = {n for n, each in owners.items() if n not in listed.get(each.service, ())}
        _note(self._unlisted_since, unlisted)

    def is_free(self, owner: Owner, now: datetime) -> bool:
        """True when a service has had no worker for so long that another may have its cron."""
        since = self._unserved_since.get(owner.service)
        seen = max(filter(None, (owner.listed_at, owner.served_at)), default=now)
        return since is not None and now - seen >= _GRACE and self._is_certain(since)

    def pause(self, seconds: float) -> float:
        """Return how long to wait until the next pass at most, which may be sooner."""
        return min(seconds, self._again)

    async def look(
        self,
        owners: Mapping[str, Owner],
        crons: Mapping[str, Cron],
        registrations: Registrations,
    ) -> None:
        """Keep when each was listed last, and do what is due with those that are not."""
        now = registrations.now
        for name, owner in owners.items():
            if name in self._unlisted_since:
                await self._look_at(name, owner, crons.get(name), now)
            elif owner.dormant or _is_old(owner.listed_at, now):
                listed = replace(owner, listed_at=now, served_at=None, dormant=False)
                await self._ownership.write(name, owner, listed)

    async def _look_at(self, name: str, owner: Owner, cron: Cron | None, now: datetime) -> None:
        if cron is not None and await self._neighbour.takes_over(cron, owner, abandoned=False):
            return
        noted = self._noted(owner, now)
        if noted != owner:
            await self._ownership.write(name, owner, noted)
        elif owner.listed_at is not None:
            age, since = now - owner.listed_at, self._unlisted_since[name]
            if age < (self._history if owner.dormant else _GRACE) or not self._is_certain(since):
                return
            if owner.dormant:
                await self._remove(name, owner, now)
            else:
                await self._lay_down(name, owner, cron)
                self._again = 0.0  # its history may be over, too

    def _noted(self, owner: Owner, now: datetime) -> Owner:
        """Return what is known of one that nobody lists, without times that lie in the future."""
        if owner.listed_at is None or owner.listed_at - now > _INTERVAL:
            owner = replace(owner, listed_at=now)
        if owner.service not in self._unserved_since and _is_old(owner.served_at, now):
            owner = replace(owner, served_at=now)
        return owner

    async def _lay_down(self, name: str, owner: Owner, cron: Cron | None) -> None:
        """Take its future occurrences out of the queue, unless a neighbour goes on with it."""
        if cron is not None and await self._neighbour.takes_over(cron, owner, abandoned=True):
            return
        self._parts.logger.info(
            "cron %r: no worker of service %r has listed it for an hour; it plans nothing until "
            "one does",
            name,
            owner.service,
        )
        # By our clock, as it was planned by one of a worker. What is due stays wherever the pointer
        # has passed, and is made again where it stands.
        await self._parts.store.crons.remove_occurrences(name, self._parts.clock.now(), ())
        await self._ownership.write(name, owner, replace(owner, dormant=True))

    async def _remove(self, name: str, owner: Owner, now: datetime) -> None:
        self._parts.logger.info(
            "cron %r: no worker of service %r has listed it for %g days; removing it",
            name,
            owner.service,
            self._parts.settings.history_days,
        )
        await remove_cron(self._parts.store, name, now, owner)
        self._forget(name)

    def _is_certain(self, since: float) -> bool:
        """True when we have seen it for so long that nobody can only have lost a registration."""
        parts = self._parts
        needed = parts.settings.worker_timeout if parts.store.abilities.needs_heartbeat else 0.0
        remaining = since + needed - time.monotonic()
        if remaining > 0:
            self._again = min(self._again, remaining)
        return remaining <= 0


def is_listed(name: str, owner: Owner, registrations: Registrations) -> bool:
    """True when a registered worker of its service lists the cron."""
    return any(
        name in worker.crons for worker in registrations.workers if worker.service == owner.service
    )


def _note(since: dict[str, float], missing: set[str]) -> None:
    for name in since.keys() - missing:
        del since[name]
    for name in missing:
        since.setdefault(name, time.monotonic())


def _is_old(moment: datetime | None, now: datetime) -> bool:
    """True for a time that is to be written anew; so is one in the future."""
    return moment is None or abs(now - moment) >= _INTERVAL
