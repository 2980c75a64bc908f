"""What runs: its end, what it keeps meanwhile, and under whose id it runs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from bson import ObjectId

from job_processor.errors import StoreRefusedError
from job_processor.models import Job, JobStatus, Notes, Step, with_step
from job_processor.redaction import Redaction
from job_processor.store.desks.runs import Runs
from job_processor.store.requests import Settlement, Verdict
from job_processor.store.summaries import JobSummary
from tests.store.dictionaries.summaries import summaries_of
from tests.store.dictionaries.tables import OnTables, Tables, own, own_notes, storable

_TELLING = ("status", "updated_at", "ended_at", "output", "worker_id", "attempt")
"""Fields that tell whose end a job holds."""

_ENDING = (*_TELLING, "crashes", "crash", "scheduled_for", "started_at", "attempts", "planned_for")
_OF_LANES = ("lane", "ordered", "slot", "parked", "topics", "rate_lane")
"""Fields that an end writes; what it does not name, such as a key, may have changed meanwhile."""


class DictionaryRuns(OnTables, Runs):
    """Writes to a run only what comes from who holds it: see `_held`."""

    async def _settle(self, settlements: Sequence[Settlement]) -> Verdict:
        won: set[ObjectId] = set()
        refused: dict[ObjectId, str] = {}
        followed: set[ObjectId] = set()
        async with self._connection as tables:
            for settlement in settlements:
                if _is_followed(tables, settlement.job):
                    followed.add(settlement.job.id)
                try:
                    if _settled(tables, settlement):
                        won.add(settlement.job.id)
                except StoreRefusedError as error:
                    refused[settlement.job.id] = str(error)
        return Verdict(won, refused, followed)

    async def _save_notes(self, noted: Sequence[tuple[Job, Notes]]) -> Mapping[ObjectId, str]:
        refused: dict[ObjectId, str] = {}
        async with self._connection as tables:
            for run, notes in noted:
                job = _held(tables, run)
                try:
                    if job is not None:
                        tables.jobs.write(replace(job, notes=own_notes(notes)))
                except StoreRefusedError as error:
                    refused[run.id] = str(error)
        return refused

    async def save_state(self, job: Job, state: Any) -> bool:
        """Keep the state of a run, and of which run it is."""
        copy = storable(state)
        async with self._connection as tables:
            held = _held(tables, job)
            if held is None:
                return False
            tables.states[job.id] = copy
            tables.jobs.write(replace(held, state_saved=held.updated_at))
            return True

    async def save_step(self, job: Job, step: Step) -> bool:
        """Add a step to those of a run, unless it has one of this name."""
        kept = replace(step, result=storable(step.result))
        async with self._connection as tables:
            held = _held(tables, job)
            if held is None:
                return False
            steps = with_step(held.steps, kept)
            tables.jobs.write(replace(held, steps=steps, state_saved=held.updated_at))
            return True

    async def state(self, job_id: ObjectId) -> Any:
        """Return the state that was saved last."""
        async with self._connection as tables:
            return storable(tables.states.get(job_id))

    async def _of_worker(
        self, worker_id: ObjectId, limit: int, exclude: Collection[ObjectId], unconfirmed: bool
    ) -> list[Job]:
        async with self._connection as tables:
            found = (job for job in _of(tables, worker_id) if job.id not in exclude)
            return [own(job) for job in islice(found, limit)]

    async def _summaries(
        self, worker_id: ObjectId, limit: int, redaction: Redaction | None
    ) -> list[JobSummary]:
        async with self._connection as tables:
            return summaries_of(islice(_of(tables, worker_id), limit), redaction)

    async def move(self, old: ObjectId, new: ObjectId) -> set[ObjectId]:
        """Give what runs under one id to another; return all that runs under that."""
        async with self._connection as tables:
            for job in list(_of(tables, old)):
                tables.jobs.write(replace(job, worker_id=new))
            return {job.id for job in _of(tables, new)}

    async def workers(self) -> set[ObjectId]:
        """Return under whose ids anything runs."""
        async with self._connection as tables:
            return {job.worker_id for job in _running(tables) if job.worker_id is not None}


def _running(tables: Tables) -> Iterator[Job]:
    return (job for job in tables.jobs.values() if job.status is JobStatus.RUNNING)


def _of(tables: Tables, worker_id: ObjectId) -> Iterator[Job]:
    return (job for job in _running(tables) if job.worker_id == worker_id)


def _held(tables: Tables, run: Job) -> Job | None:
    """Return a job as it stands, where it is still this very run: the fence of all its writes."""
    job = tables.jobs.get(run.id)
    if job is None or job.status is not JobStatus.RUNNING or _fence(job) != _fence(run):
        return None
    return job


def _fence(job: Job) -> tuple[Any, ...]:
    return job.worker_id, job.attempt, job.updated_at


def _settled(tables: Tables, settlement: Settlement) -> bool:
    """Write an end, where its writer holds the run; tell whether the job holds it now."""
    outcome, written = settlement.outcome, own(settlement.written())
    held = _held(tables, settlement.job)
    if held is not None and _is_followed(tables, settlement.job):
        return False
    if held is None:  # taken away, or ended by us and the reply was lost
        job = tables.jobs.get(written.id)
        return job is not None and _values(job, _TELLING) == _values(written, _TELLING)
    changes = _values(written, (*_ENDING, *_OF_LANES))
    tables.admitted.pop(held.id, None)
    if outcome.notes is not None or outcome.bare:
        changes["notes"] = written.notes
    tables.jobs.write(replace(held, **changes))
    if outcome.bare:
        tables.states.pop(held.id, None)
    return True


def _is_followed(tables: Tables, job: Job) -> bool:
    """Tell whether a job is followed without its holder's knowledge."""
    return not job.followed and job.id in tables.jobs and tables.jobs[job.id].followed


def _values(job: Job, names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in vars(job).items() if name in names}
