"""Whose a cron is, and which version of its definition counts.

Each cron has one owner, a service, in the settings. While versions roll over, the newest definition
wins: a hash that was never seen is newer, one that was seen before is older and takes over only
when no running worker lists the present one (a rollback). Another service takes a name over when
its owner has had no worker for an hour.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from job_processor.handlers.definitions import CronDef
from job_processor.models import Registrations
from job_processor.parts import Parts
from job_processor.store.owners import KIND, Owner

_SEEN_LIMIT = 50

_TRIES = 5
"""Of a write that others are faster with: each of them has then written what is looked at next."""


class Ownership:
    """Decides for one service which crons this process may schedule."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._service = parts.settings.service
        self._timezone = parts.settings.timezone
        self._logger = parts.logger
        self._complained: set[str] = set()

    async def owners(self) -> dict[str, Owner]:
        """Return the owners of all crons, by name."""
        settings = await self._store.settings.all(KIND)
        return {name: Owner.from_setting(value) for name, value in settings.items()}

    async def take(
        self,
        name: str,
        definition: CronDef,
        owner: Owner | None,
        registrations: Registrations,
        is_free: Callable[[Owner], bool],
    ) -> Owner | None:
        """Return the owner when this process may schedule the cron, after taking it over if due.

        is_free: whether the owner, another service, has had no worker for long enough.
        """
        for _ in range(_TRIES):
            wanted = self._wanted(name, definition, owner, registrations, is_free)
            if wanted is None or wanted == owner:
                return wanted
            written = await self.write(name, owner, wanted)
            if written is not None:
                return written
            owner = (await self.owners()).get(name)  # somebody was faster
        return None

    async def write(self, name: str, old: Owner | None, new: Owner) -> Owner | None:
        """Replace an owner; return it as it then stands, None when it had changed."""
        value = new.as_setting()
        expected = old.stored if old is not None else None
        if not await self._store.settings.put(KIND, name, value, expected):
            return None
        return replace(new, stored=value)

    async def mark_applied(self, name: str, owner: Owner) -> None:
        """Note that the cron's pointer follows the definition that counts."""
        await self.write(name, owner, replace(owner, applied=owner.fingerprint))

    async def remove(self, name: str) -> None:
        """Forget whose a cron is."""
        await self._store.settings.remove(KIND, name)

    def _wanted(
        self,
        name: str,
        definition: CronDef,
        owner: Owner | None,
        registrations: Registrations,
        is_free: Callable[[Owner], bool],
    ) -> Owner | None:
        """Return the owner as this process would have it; None: the cron is another's."""
        mine = definition.fingerprint(self._timezone)
        if owner is not None and owner.service != self._service:
            if not is_free(owner):
                self.complain(name, f"belongs to service {owner.service!r}")
                return None
            self._logger.info(
                "cron %r: service %r has had no worker for long; taking it over",
                name,
                owner.service,
            )
        elif owner is not None and owner.fingerprint == mine:
            return owner
        elif (
            owner is not None
            and mine in owner.seen
            and self._is_listed(name, owner.fingerprint, registrations)
        ):
            return None  # a newer version is alive: never write back
        taken = Owner(
            service=self._service,
            fingerprint=mine,
            seen=_seen(owner, mine),
            timezone=definition.timezone or self._timezone,
            listed_at=registrations.now,
        )
        if owner is None:
            return taken
        return replace(
            taken,
            applied=owner.applied,
            of_both=owner.of_both,
            cancelled=owner.cancelled,
            repeats_until=owner.repeats_until,
            stored=owner.stored,
        )

    def _is_listed(self, name: str, fingerprint: str, registrations: Registrations) -> bool:
        return any(
            worker.crons.get(name) == fingerprint
            for worker in registrations.workers
            if worker.service == self._service and not worker.is_dead(registrations.now)
        )

    def complain(self, name: str, reason: str) -> None:
        """Say once why this service does not schedule a cron."""
        if name not in self._complained:
            self._complained.add(name)
            self._logger.warning("cron %r %s; this service does not schedule it", name, reason)


def _seen(owner: Owner | None, mine: str) -> tuple[str, ...]:
    if owner is None:
        return ()
    earlier = [each for each in (*owner.seen, owner.fingerprint) if each != mine]
    return tuple(dict.fromkeys(earlier))[-_SEEN_LIMIT:]
