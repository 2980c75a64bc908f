"""How runs end: the outcome of each, and the guarded write that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bson import ObjectId

from job_processor.models import (
    ATTEMPTS_KEPT,
    SETTLED,
    Attempt,
    CronTask,
    Job,
    JobStatus,
    Output,
    make,
)
from job_processor.notes import Notes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run's end writes: its next state and everything that comes with it."""

    status: JobStatus
    at: datetime
    """When it ended: `ended_at` where the state is a settled one, and `updated_at`, unless that is
    later already, since it never goes back."""
    output: Output | None = None
    scheduled_for: datetime | None = None
    """When to run again (retry); None leaves the time as it is."""
    attempt: int | None = None
    """The number of the attempt to come (retry); None leaves it as it is."""
    failed: Attempt | None = None
    """The attempt that ended with it (retry), for the history of attempts."""
    crashes: int = 0
    notes: Notes | None = None
    """What the run has told of itself; None leaves what is there."""
    started: bool = True
    """False when the handler never began: a job given back has no `started_at`."""
    bare: bool = False
    """True where notes and saved state are removed, to make room for the rest."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """One guarded write: the run that it ends, whose it must be, and the outcome."""

    job: Job
    """The run as its holder knows it; its `worker_id`, its `attempt` and the moment of its claim,
    `updated_at`, are the fence."""
    outcome: Outcome
    writer: ObjectId
    """Who writes: the run's own worker, or the rescuer."""
    _written: Job | None = field(default=None, init=False, repr=False, compare=False)

    def written(self) -> Job:
        """Return the job as this settlement leaves it in the database."""
        if self._written is None:
            object.__setattr__(self, "_written", self._write())
        assert self._written is not None  # noqa: S101  # set above
        return self._written

    def _write(self) -> Job:
        job, outcome = self.job, self.outcome
        settled = outcome.status in SETTLED
        changes: dict[str, Any] = {
            "status": outcome.status,
            "updated_at": max(outcome.at, job.updated_at),
            "ended_at": outcome.at if settled else None,
            "output": outcome.output if outcome.output is not None else job.output,
            "worker_id": self.writer if settled else None,
            "crashes": outcome.crashes,
        }
        if outcome.scheduled_for is not None:
            changes["scheduled_for"] = outcome.scheduled_for
            if isinstance(job, CronTask) and job.planned_for is None:
                changes["planned_for"] = job.scheduled_for
        if outcome.attempt is not None:
            changes["attempt"] = outcome.attempt
        if outcome.failed is not None:
            changes["attempts"] = (*job.attempts, outcome.failed)[-ATTEMPTS_KEPT:]
        if outcome.notes is not None:
            changes["notes"] = outcome.notes
        if outcome.bare:
            changes["notes"] = None
        if not outcome.started:
            changes["started_at"] = None
        return make(type(job), {**job.__dict__, **changes})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of settlements. One that was neither won nor refused was lost: taken away."""

    won: set[ObjectId] = field(default_factory=set)
    """Jobs that hold exactly what was to be written."""
    refused: Mapping[ObjectId, str] = field(default_factory=dict)
    """Jobs whose outcome the database cannot store as it is, whenever it is asked, and why."""
