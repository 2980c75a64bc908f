"""A worker that died, as the settings keep it for a while."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

KIND = "lost_worker"
"""Kind of the settings; their keys begin with the time at which the death was noticed."""

KEPT = timedelta(hours=1)
"""How long it is kept after that."""


@dataclass(frozen=True, slots=True)
class Loss:
    """The death of a worker."""

    worker_id: ObjectId
    worker: str
    """Where it ran, as `host:pid`."""
    last_seen: datetime
    """Its last heartbeat."""
    at: datetime
    """When its death was noticed, and its registration removed."""
    rescued: int = 0
    """How many of its jobs were taken care of since."""

    def with_rescued(self, count: int) -> Loss:
        """Return the same with so many jobs more."""
        return replace(self, rescued=self.rescued + count)

    def as_setting(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "worker_id": self.worker_id,
            "worker": self.worker,
            "last_seen": self.last_seen,
            "at": self.at,
            "rescued": self.rescued,
        }

    @classmethod
    def of(cls, setting: Mapping[str, Any]) -> Loss:
        """Read it back."""
        return cls(
            *(setting[name] for name in ("worker_id", "worker", "last_seen", "at", "rescued"))
        )
