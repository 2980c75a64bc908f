"""Whose crons are, as the settings keep it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

from job_processor.models import Cron, cron_id

KIND = "cron_owner"
"""Kind of the settings; the key of each is the name of its cron."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The setting of one cron. Its times are those of the database's clock, unless it says else."""

    service: str
    fingerprint: str
    """Hash of the definition that counts."""
    seen: tuple[str, ...] = ()
    """Hashes of earlier definitions, the latest last."""
    applied: str | None = None
    """Hash of the definition that the cron's pointer was computed with."""
    timezone: str = "UTC"
    of_both: bool = False
    """True when another scheduler on this database defines the cron, too."""
    listed_at: datetime | None = None
    """When a worker of the service listed it last, give or take `CRON_LISTED_INTERVAL`; None: an
    earlier version did not keep that."""
    served_at: datetime | None = None
    """When the service had any worker last, where none has listed it since."""
    dormant: bool = False
    """True when nobody has listed it for `CRON_GRACE`: nothing of it is planned, and what is due
    does not count as waiting."""
    cancelled: datetime | None = None
    """The occurrence at which the pointer stood when it was deleted or killed: it is not made
    again."""
    repeats_until: datetime | None = None
    """Up to this planned time occurrences may have run before their time had come, by a clock that
    was ahead."""
    stored: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)
    """The setting as it was read, with what a later version keeps in it; None: it is new."""

    def as_setting(self) -> dict[str, Any]:
        """Return it as plain values."""
        values = asdict(self)
        del values["stored"]
        values["seen"] = list(self.seen)
        kept = {name: value for name, value in values.items() if name in _ALWAYS or value}
        return {**self._of_later_versions(), **kept}

    def _of_later_versions(self) -> dict[str, Any]:
        known = {each.name for each in fields(self)}
        return {name: value for name, value in (self.stored or {}).items() if name not in known}

    @classmethod
    def from_setting(cls, setting: Mapping[str, Any]) -> Owner:
        """Read it back."""
        known = {each.name for each in fields(cls)} - {"stored"}
        values = {name: value for name, value in setting.items() if name in known}
        return cls(**{**values, "seen": tuple(setting.get("seen", ())), "stored": setting})


_ALWAYS = frozenset({"service", "fingerprint", "seen", "applied", "timezone"})


def dormant(settings: Mapping[str, Mapping[str, Any]]) -> frozenset[str]:
    """Return the names of the crons that nobody lists any more, given the settings of `KIND`."""
    return frozenset(name for name, setting in settings.items() if setting.get("dormant"))


def is_of_another(cron: Cron, owner: Mapping[str, Any] | None) -> bool:
    """True when another scheduler, the Node package, has it: alone or with us."""
    if owner is None:
        return cron.id != cron_id(cron.name)
    return Owner.from_setting(owner).of_both
