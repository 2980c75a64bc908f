"""For how long each worker has shown no heartbeat, by this process's monotonic clock alone.

No wall clock takes part, neither ours nor the database's: they may step. What counts is whether a
`last_seen` changes, not what it says.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from bson import ObjectId

from job_processor.models import WorkerInfo


@dataclass(frozen=True, slots=True)
class _Sighting:
    last_seen: datetime | None
    """None while it is missing from the registrations and holds runs."""
    since: float
    """When we saw that first, by the monotonic clock."""
    timeout: float
    """Seconds after which it is dead, as it told itself."""


class Sightings:
    """What one process has seen of the others; fed by each of its looks at the database.

    timeout: seconds for a worker of which we have never seen a registration.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._seen: dict[ObjectId, _Sighting] = {}

    def look(self, registered: Iterable[WorkerInfo], missing: Iterable[ObjectId]) -> None:
        """Take in who is registered, and who is not and holds runs, as just read."""
        now, before = time.monotonic(), self._seen
        self._seen = {}
        for worker in registered:
            self._see(before, worker.id, worker.last_seen, worker.timeout, now)
        for worker_id in missing:
            known = before.get(worker_id)
            timeout = self._timeout if known is None else known.timeout
            self._see(before, worker_id, None, timeout, now)

    def silent(
        self, asked: float, unbroken_since: float | None, patience: float | None = None
    ) -> set[ObjectId]:
        """Return who has shown the same for its timeout, or for `patience`, until the last look.

        asked: when that look began. unbroken_since: since when our own heartbeats are confirmed;
        what was seen before counts from then on, since after an outage nobody's are fresh. Both by
        the monotonic clock.
        """
        if unbroken_since is None:
            return set()
        return {
            worker_id
            for worker_id, seen in self._seen.items()
            if asked - max(seen.since, unbroken_since)
            >= (seen.timeout if patience is None else patience)
        }

    def _see(
        self,
        before: dict[ObjectId, _Sighting],
        worker_id: ObjectId,
        last_seen: datetime | None,
        timeout: float,
        now: float,
    ) -> None:
        known = before.get(worker_id)
        if known is not None and known.last_seen == last_seen and known.timeout == timeout:
            self._seen[worker_id] = known
        else:
            self._seen[worker_id] = _Sighting(last_seen, now, timeout)
