"""Crons, and their occurrences that stand in the queue."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from bson import ObjectId

from job_processor.models import (
    WAITING,
    Cron,
    CronTask,
    JobStatus,
    Output,
    SkipMetadata,
    occurrence_id,
)
from job_processor.store.desks.crons import Crons
from tests.store.dictionaries.tables import OnTables, Tables


class DictionaryCrons(OnTables, Crons):
    """Keeps each cron's pointer to its next occurrence."""

    async def all(self) -> list[Cron]:
        """Return all crons by name."""
        async with self._connection as tables:
            return [cron for _, cron in sorted(tables.crons.items())]

    async def create(self, cron: Cron) -> bool:
        """Add a cron where there is none of its name."""
        async with self._connection as tables:
            return tables.crons.setdefault(cron.name, cron) is cron

    async def update(
        self, cron: Cron, cron_string: str, scheduled_for: datetime, now: datetime
    ) -> bool:
        """Move a pointer from where it was read."""
        async with self._connection as tables:
            present = tables.crons.get(cron.name)
            if present is None or _pointer(present) != _pointer(cron):
                return False
            tables.crons[cron.name] = replace(
                present, cron_string=cron_string, scheduled_for=scheduled_for, updated_at=now
            )
            return True

    async def remove(self, name: str) -> None:
        """Remove a cron with what was planned of it."""
        async with self._connection as tables:
            tables.crons.pop(name, None)
            for task in _planned(tables, name):
                tables.jobs.remove(task.id)

    async def remove_occurrences(
        self, name: str, after: datetime, keep: Collection[ObjectId]
    ) -> int:
        """Remove what was planned for later, where the caller knows the pointer as it stands."""
        async with self._connection as tables:
            cron, first = tables.crons.get(name), after
            if cron is not None and occurrence_id(name, cron.scheduled_for) not in keep:
                first = cron.scheduled_for  # the caller knows an old one
            superfluous = [
                task
                for task in _planned(tables, name)
                if after < task.scheduled_for >= first and task.id not in keep
            ]
            for task in superfluous:
                tables.jobs.remove(task.id)
            return len(superfluous)

    async def _skip_waiting(self, name: str, now: datetime) -> int:
        output = Output("--", None, None, SkipMetadata("other", None, now))
        async with self._connection as tables:
            waiting = [task for task in _tasks(tables, name) if task.status in WAITING]
            for task in waiting:
                skipped = replace(
                    task,
                    status=JobStatus.SKIPPED,
                    output=output,
                    updated_at=now,
                    ended_at=now,
                    parked=None,
                    topics=(),
                )
                tables.jobs.write(skipped)
            return len(waiting)


def _pointer(cron: Cron) -> tuple[str, datetime]:
    return cron.cron_string, cron.scheduled_for


def _tasks(tables: Tables, name: str) -> list[CronTask]:
    jobs = tables.jobs.values()
    return [job for job in jobs if isinstance(job, CronTask) and job.name == name]


def _planned(tables: Tables, name: str) -> list[CronTask]:
    """Return the occurrences that wait as we planned them: no retry, and none made by hand."""
    return [
        task
        for task in _tasks(tables, name)
        if task.status is JobStatus.PENDING
        and task.attempt == 1
        and task.planned_for is None
        and task.id == occurrence_id(name, task.scheduled_for)
    ]
