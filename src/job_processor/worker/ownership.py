"""Whose a cron is, and which version of its definition counts.

Each cron has one owner, a service, in the settings. While versions roll over, the newest definition
wins: a hash that was never seen is newer, one that was seen before is older and takes over only
when no living worker lists the present one (a rollback).
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from typing import Any

from job_processor.definitions import CronDef
from job_processor.models import Registrations
from job_processor.store import Store
from job_processor.store.base import Setting

KIND = "cron_owner"
_SEEN_LIMIT = 50


@dataclass(frozen=True, slots=True)
class Owner:
    """The setting of one cron."""

    service: str
    fingerprint: str
    """Hash of the definition that counts."""
    seen: tuple[str, ...] = ()
    """Hashes of earlier definitions, the latest last."""
    applied: str | None = None
    """Hash of the definition that the cron's pointer was computed with."""
    timezone: str = "UTC"
    of_both: bool = False
    """True when the Node package defines the cron, too."""

    def as_setting(self) -> dict[str, Any]:
        """Return it as plain values."""
        fields = {**asdict(self), "seen": list(self.seen)}
        return {name: value for name, value in fields.items() if name != "of_both" or value}

    @classmethod
    def from_setting(cls, setting: Setting) -> Owner:
        """Read it back."""
        return cls(
            service=setting["service"],
            fingerprint=setting["fingerprint"],
            seen=tuple(setting.get("seen", ())),
            applied=setting.get("applied"),
            timezone=setting.get("timezone", "UTC"),
            of_both=setting.get("of_both", False),
        )


class Ownership:
    """Decides for one service which crons this process may schedule."""

    def __init__(self, store: Store, service: str, timezone: str, logger: logging.Logger) -> None:
        self._store = store
        self._service = service
        self._timezone = timezone
        self._logger = logger
        self._complained: set[str] = set()

    async def owners(self) -> dict[str, Owner]:
        """Return the owners of all crons, by name."""
        settings = await self._store.settings(KIND)
        return {name: Owner.from_setting(value) for name, value in settings.items()}

    async def take(
        self,
        name: str,
        definition: CronDef,
        owner: Owner | None,
        registrations: Registrations,
    ) -> Owner | None:
        """Return the owner when this process may schedule the cron, after taking it over if due."""
        mine = definition.fingerprint(self._timezone)
        if owner is not None and owner.service != self._service:
            self._complain(name, f"belongs to service {owner.service!r}")
            return None
        if owner is not None and owner.fingerprint == mine:
            return owner
        older = owner is not None and mine in owner.seen
        if owner is not None and older and self._is_listed(name, owner.fingerprint, registrations):
            return None  # a newer version is alive: never write back
        taken = Owner(
            service=self._service,
            fingerprint=mine,
            seen=_seen(owner, mine),
            applied=owner.applied if owner is not None else None,
            timezone=definition.timezone or self._timezone,
            of_both=owner is not None and owner.of_both,
        )
        return taken if await self._replace(name, owner, taken) else None

    async def mark_applied(self, name: str, owner: Owner) -> None:
        """Note that the cron's pointer follows the definition that counts."""
        await self._replace(name, owner, replace(owner, applied=owner.fingerprint))

    async def mark_of_both(self, name: str, owner: Owner, of_both: bool) -> Owner:
        """Note whether the Node package defines the cron too; return the owner as it is then."""
        marked = replace(owner, of_both=of_both)
        if marked == owner or not await self._replace(name, owner, marked):
            return owner
        return marked

    def abandoned(self, owners: dict[str, Owner], registrations: Registrations) -> list[str]:
        """Return our service's crons that no living worker of it lists."""
        return [
            name
            for name, owner in owners.items()
            if owner.service == self._service and not self._is_listed(name, None, registrations)
        ]

    async def remove(self, name: str) -> None:
        """Forget whose a cron is."""
        await self._store.remove_setting(KIND, name)

    def complain_of_node(self, name: str) -> None:
        """Say once that another system schedules this cron."""
        self._complain(name, "is scheduled by another system on this database (the Node package)")

    def _is_listed(self, name: str, fingerprint: str | None, registrations: Registrations) -> bool:
        return any(
            name in worker.crons and fingerprint in (None, worker.crons[name])
            for worker in registrations.workers
            if worker.service == self._service and not worker.is_dead(registrations.now)
        )

    async def _replace(self, name: str, old: Owner | None, new: Owner) -> bool:
        expected = old.as_setting() if old is not None else None
        return await self._store.put_setting(KIND, name, new.as_setting(), expected)

    def _complain(self, name: str, reason: str) -> None:
        if name not in self._complained:
            self._complained.add(name)
            self._logger.warning("cron %r %s; this service does not schedule it", name, reason)


def _seen(owner: Owner | None, mine: str) -> tuple[str, ...]:
    if owner is None:
        return ()
    earlier = [each for each in (*owner.seen, owner.fingerprint) if each != mine]
    return tuple(dict.fromkeys(earlier))[-_SEEN_LIMIT:]
