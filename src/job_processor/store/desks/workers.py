"""Registrations of workers; their times are the database's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection

from bson import ObjectId

from job_processor.models import Registrations, Vitals, WorkerInfo
from job_processor.store.desks.desk import Desk


class Workers(Desk, ABC):
    """Registrations of workers; their times are the database's own."""

    @abstractmethod
    async def register(self, worker: WorkerInfo) -> None:
        """Absent → registered, its `last_seen` the database's present time; or refresh it."""

    @abstractmethod
    async def beat(
        self, worker_id: ObjectId, memory: int | None = None, clock_ahead: float | None = None
    ) -> bool:
        """Registered → with the database's present time as its `last_seen`, and these values.

        False when there is no such registration (it is never created here). Repeating is harmless.
        """

    @abstractmethod
    async def unregister(self, worker_id: ObjectId) -> None:
        """Registered → absent; nothing when it is gone."""

    @abstractmethod
    async def registrations(self) -> Registrations:
        """Return all registered workers with the database's present time."""

    @abstractmethod
    async def remove_dead(self, worker: WorkerInfo) -> bool:
        """Registered, with the very `last_seen` that was read → absent; False when it moved on."""

    @abstractmethod
    async def count_alive(self) -> int:
        """Count the registered workers that are alive, in one small read."""

    @abstractmethod
    async def vitals(self, leaving_out: Collection[str] = ()) -> Vitals:
        """Count the workers and find the first due job's time, and read nothing else.

        Jobs of some names are left out.
        """
