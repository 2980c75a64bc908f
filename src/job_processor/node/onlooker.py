"""Warns whoever schedules a job that a worker of the Node package will take, and fail.

One without `workerTags` claims every job, and errors those that only Python defines. Where nothing
of Node is in a database, nobody looks, and nothing is asked of it.
"""

from __future__ import annotations

import time
from collections.abc import Collection

from job_processor.errors import StoreError
from job_processor.models import Registrations
from job_processor.node.rules import claims_everything, describe_untagged, refuses_own_fields
from job_processor.parts import Onlooker, Parts
from job_processor.settings import NODE_LOOK_INTERVAL, NODE_WARNING_INTERVAL


class NodeOnlooker(Onlooker):
    """Remembers which workers it saw, and of which names it has warned."""

    def __init__(self) -> None:
        self._seen: Registrations | None = None
        self._looked = 0.0
        self._warned: dict[str, float] = {}

    async def scheduled(self, parts: Parts, names: Collection[str]) -> None:
        """Warn of those of the names that Python runs and such a worker would take.

        Each once in `NODE_WARNING_INTERVAL`; who works here is asked once in `NODE_LOOK_INTERVAL`.
        """
        if not refuses_own_fields(parts.store):
            return
        now = time.monotonic()
        unwarned = [name for name in names if not self._is_warned_of(name, now)]
        registrations = await self._registrations(parts, now) if unwarned else None
        if registrations is None:
            return
        living = [each for each in registrations.workers if not each.is_dead(registrations.now)]
        greedy = next(filter(claims_everything, living), None)
        if greedy is None:
            return
        elsewhere = {name for each in living if each.timeout_s is not None for name in each.names}
        for name in unwarned:
            if parts.registry.get(name) is not None or name in elsewhere:
                self._warned[name] = now
                parts.logger.warning("job %r may be lost: %s", name, describe_untagged(greedy))

    def _is_warned_of(self, name: str, now: float) -> bool:
        at = self._warned.get(name)
        return at is not None and now - at < NODE_WARNING_INTERVAL

    async def _registrations(self, parts: Parts, now: float) -> Registrations | None:
        """Return who was registered a moment ago; None where that cannot be told."""
        if self._seen is None or now - self._looked >= NODE_LOOK_INTERVAL:
            self._looked = now
            try:
                self._seen = await parts.store.workers.registrations()
            except StoreError:  # the job is stored, and that is what was asked for
                self._seen = None
        return self._seen
