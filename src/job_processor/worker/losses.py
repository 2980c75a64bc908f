"""Workers that crashed, noted for an hour: who looks afterwards should know where that was."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from bson import ObjectId

from job_processor.clock import to_ms
from job_processor.errors import StoreError
from job_processor.models import WorkerInfo
from job_processor.parts import Parts
from job_processor.store.losses import KEPT, KIND, Loss

_TRIES = 5  # of adding to a note that others add to at the same time


class Losses:
    """Notes the death of a worker, and how many of its jobs were taken care of.

    It is for people: where it cannot be noted, the rescue goes on.
    """

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._logger = parts.logger

    async def note(self, worker: WorkerInfo, now: datetime) -> None:
        """Note that a worker is dead, whose registration was removed at `now`."""
        loss = Loss(worker.id, worker.place, worker.last_seen, now)
        settings = self._store.settings
        try:
            await settings.put(KIND, _key(now, worker.id), loss.as_setting(), None)
            await settings.remove_before(KIND, _key(now - KEPT))
        except StoreError as error:
            self._logger.warning("the death of worker %s could not be noted: %s", worker.id, error)

    async def add(self, worker_id: ObjectId, rescued: int) -> None:
        """Note that jobs were rescued of a worker whose death is noted, by whomever."""
        if rescued == 0:
            return
        try:
            for _ in range(_TRIES):
                kept = await self._store.settings.all(KIND)
                if await self._added(kept, worker_id, rescued):
                    return
        except StoreError as error:
            self._logger.warning("what was rescued of %s is not noted: %s", worker_id, error)

    async def _added(
        self, kept: Mapping[str, Mapping[str, object]], worker_id: ObjectId, rescued: int
    ) -> bool:
        """Add to a note; False where somebody else did meanwhile."""
        for key, setting in kept.items():
            loss = Loss.of(setting)
            if loss.worker_id == worker_id:
                more = loss.with_rescued(rescued).as_setting()
                return await self._store.settings.put(KIND, key, more, setting)
        return True  # it is not noted: it has left by itself, or that was too long ago


def _key(moment: datetime, worker_id: ObjectId | str = "") -> str:
    return f"{to_ms(moment):015}-{worker_id}"
