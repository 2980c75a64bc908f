"""Who did what, from outside: kept in the settings, the last thousand of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bson import ObjectId

from job_processor.clock import Clock
from job_processor.store import Store
from job_processor.texts import told

KIND = "audit"
_KEPT = 1000
_DROPPED = 100  # at a time


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that somebody did."""

    at: datetime
    who: str
    """A user, a login, or the address that it came from."""
    action: str
    subject: str
    """What it was done to, or what came of it."""


async def add(store: Store, clock: Clock, who: str, action: str, subject: str) -> None:
    """Note what somebody did."""
    value = {
        "at": clock.now(),
        "who": told(who, 200),
        "action": told(action, 50),
        "subject": told(subject, 200),
    }
    await store.put_setting(KIND, str(ObjectId()), value, None)
    names = sorted(await store.settings(KIND))
    if len(names) > _KEPT + _DROPPED:
        for name in names[:-_KEPT]:
            await store.remove_setting(KIND, name)


async def entries(store: Store) -> list[AuditEntry]:
    """Return all notes, the latest first."""
    settings = await store.settings(KIND)
    return [AuditEntry(**settings[name]) for name in sorted(settings, reverse=True)]
