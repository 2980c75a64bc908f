"""New jobs, and the unique keys that they ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from job_processor.errors import InvalidArgumentError
from job_processor.models import Job, JobStatus, SimpleJob
from job_processor.store.desks.intake import Intake
from job_processor.store.requests import replaced_by
from tests.store.dictionaries.tables import OnTables, TakenError, own


class DictionaryIntake(OnTables, Intake):
    """Lets the unique indexes decide who comes in."""

    async def _insert(self, jobs: Sequence[Job]) -> list[Job]:
        copies = [own(job) for job in jobs]
        refused = []
        async with self._connection as tables:
            for job, copy in zip(jobs, copies, strict=True):
                try:
                    if job.id not in tables.jobs:
                        tables.jobs.write(copy)
                except TakenError:
                    refused.append(job)
        return refused

    async def insert_in(self, session: Any, jobs: Sequence[Job]) -> None:
        """Refuse every session: dictionaries have no transactions of a caller's."""
        raise InvalidArgumentError("session", session, "allowed is none: this database has none")

    async def find_holder(self, name: str, unique_key: str) -> SimpleJob | None:
        """Return who stands in the index of unique keys."""
        async with self._connection as tables:
            holder = tables.jobs.holder(name, unique_key)
            return own(holder) if isinstance(holder, SimpleJob) else None

    async def release_key(self, holder: SimpleJob) -> None:
        """Take a job out of the index of unique keys, in the very state that was read."""
        async with self._connection as tables:
            job = tables.jobs.get(holder.id)
            if isinstance(job, SimpleJob) and _state(job) == _state(holder):
                tables.jobs.write(replace(job, unique_key=None, unique_until=None))

    async def _replace(self, holder: SimpleJob, job: SimpleJob) -> SimpleJob | None:
        replaced = own(replaced_by(holder, job))
        async with self._connection as tables:
            present = tables.jobs.get(holder.id)
            if (
                not isinstance(present, SimpleJob)
                or present.status is not JobStatus.PENDING
                or _key(present) != _key(holder)
                or present.updated_at > replaced.updated_at
            ):
                return None
            tables.jobs.write(replaced)
            tables.states.pop(holder.id, None)
        return own(replaced)


def _key(job: SimpleJob) -> tuple[Any, ...]:
    return job.unique_key, job.unique_until


def _state(job: SimpleJob) -> tuple[Any, ...]:
    return job.status, *_key(job)
