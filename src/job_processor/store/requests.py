"""What a store is asked for: a claim, a selection of jobs, the guarded end of a run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from bson import ObjectId

from job_processor.models import (
    ATTEMPTS_KEPT,
    DATED,
    FOR_A_MESSAGE,
    FOR_A_PARENT,
    FOR_A_SLOT,
    FOR_A_TOKEN,
    NEXT,
    SETTLED,
    Attempt,
    Crash,
    CronTask,
    Job,
    JobStatus,
    JobType,
    Lane,
    Notes,
    Output,
    SimpleJob,
    SkipMetadata,
    SkipReason,
    make,
)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a worker asks the store for."""

    worker_id: ObjectId
    names: tuple[str, ...]
    """The names that it may take, at most `settings.CLAIM_NAMES` of them."""
    limit: int
    now: datetime
    exclude: frozenset[ObjectId] = frozenset()
    """Jobs of which it still holds an unconfirmed settlement or a living thread."""
    overdue_since: datetime | None = None
    """Take only what was due by then, the longest wait first, whatever its priority."""
    together: bool = False
    """True where one call is for all that comes: it may come as `Fresh`."""
    suspects: bool = True
    """False: nothing that crashed before; else one such job at most, of those that come first."""

    @property
    def due_by(self) -> datetime:
        """What was due by then may be taken."""
        return self.now if self.overdue_since is None else self.overdue_since


ID_DIGITS = 24
"""Hex digits of an id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQuery:
    """A selection of jobs by id, newest first; a field that is None does not filter."""

    name: str | None = None
    status: JobStatus | None = None
    type: JobType | None = None
    limit: int = 50
    after: ObjectId | None = None
    """Only ids below it."""
    above: ObjectId | None = None
    """Only ids above it."""
    oldest_first: bool = False
    names: tuple[str, ...] | None = None
    """Only of one of these names."""
    worker_id: ObjectId | None = None
    error: str | None = None
    """Only with this text in its error, whatever the case."""
    payload: tuple[tuple[str, ...], str] | None = None
    """Only with this value, as text, at this path of its payload."""
    id_end: str | None = None
    """Only with this end of its id, as lower hex digits."""
    lane: str | None = None
    """Only of this lane."""
    group: ObjectId | None = None
    """Only members of this group."""
    flow: ObjectId | None = None
    """Only of this flow."""
    labels: tuple[str, ...] = ()
    """Only with all of these labels."""
    ended_from: datetime | None = None
    """Only those that ended then or later."""
    ended_to: datetime | None = None
    """Only those that ended before that. Of a time in which more have ended than are looked
    through, the last of them."""
    planned: bool = True
    """False: without the occurrences of crons that wait for their time."""

    max_bytes: int | None = None
    """No more jobs than have so many bytes together, but one at least; None: whatever they have."""

    @property
    def is_of_some(self) -> bool:
        """True for a selection of a lane, group, flow, label or end, each of which has an index."""
        some = (self.lane, self.group, self.flow, self.labels)
        return some != (None, None, None, ()) or self.is_of_a_time

    @property
    def is_of_a_time(self) -> bool:
        """True where it is asked for when they ended."""
        return self.ended_from is not None or self.ended_to is not None

    @property
    def looks_through(self) -> bool:
        """True when no index tells, so that only the first jobs of the selection are looked at."""
        looked_for = (self.worker_id, self.error, self.payload, self.id_end)
        return any(each is not None for each in looked_for)


@dataclass(slots=True)  # nobody changes one; frozen, making it would take five times as long
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
    crash: Crash | None = None
    """The death of its worker, where that is why it ended; None leaves what is there."""
    notes: Notes | None = None
    """What the run has told of itself; None leaves what is there."""
    started: bool = True
    """False when the handler never began: a job given back has no `started_at`."""
    bare: bool = False
    """True where notes and saved state are removed, to make room for the rest."""
    hold: float | None = None
    """Seconds for which nothing that shares its rate is to start; None: as its rate says."""
    lane: Lane | None = None
    """The lane in which it is to wait from now on; None leaves it where it is."""
    rate_lane: str | None = None
    """The same of its rate."""
    topics: tuple[str, ...] = ()
    """The messages for which its handler has left: the first of them, or `scheduled_for`, lets it
    go on."""


def skipped(
    reason: SkipReason, at: datetime, conflict: Job | None = None, told: str | None = None
) -> Outcome:
    """Return what to write for a job that is not to run at all; `told` says more than `reason`."""
    metadata = SkipMetadata(reason, conflict.id if conflict is not None else None, at)
    return Outcome(status=JobStatus.SKIPPED, at=at, output=Output("--", None, told, metadata))


def replaced_by(holder: SimpleJob, job: SimpleJob) -> SimpleJob:
    """Return what a waiting job becomes when another one takes its place, and its key.

    It is `job` under the id of `holder`: attempts, log, state and start of earlier runs go. What it
    is parked for stays, unless that is of another lane, or of one for which it is too early, or a
    message, for which an earlier run has left. What it comes after is what `job` comes after; its
    group stays, unless it comes into another.
    """
    parked = job.parked or (None if holder.parked == FOR_A_PARENT else holder.parked)
    elsewhere = job.lane != holder.lane or job.rate_lane != holder.rate_lane
    in_lane = parked in (FOR_A_SLOT, FOR_A_TOKEN)
    if in_lane and (elsewhere or job.scheduled_for > job.updated_at):
        parked = None
    if parked in (DATED, NEXT):
        parked = None
    if parked == FOR_A_MESSAGE:
        parked = None
    return replace(
        job,
        parked=parked,
        group=holder.group if job.group is None else job.group,
        flow=holder.flow,
        flow_name=holder.flow_name,
        id=holder.id,
        created_at=holder.created_at,
        updated_at=max(holder.updated_at, job.updated_at),
        exclusive=holder.exclusive,
        unique_until=holder.unique_until,
        followed=holder.followed,
    )


@dataclass(slots=True)  # as above
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
            self._written = self._write()
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
        if outcome.crash is not None:
            changes["crash"] = outcome.crash
        if outcome.notes is not None:
            changes["notes"] = outcome.notes
        if outcome.bare:
            changes["notes"] = None
        if not outcome.started:
            changes["started_at"] = None
        if (
            outcome.lane is not None
            or outcome.rate_lane is not None
            or job.slot is not None
            or job.parked is not None
            or outcome.topics
        ):
            changes |= self._of_place()
        return make(type(job), {**job.__dict__, **changes})

    def _of_place(self) -> dict[str, Any]:
        """Return what changes of its lane, of its slot, and of what it is parked for."""
        lane, changes = self.outcome.lane, dict[str, Any]()
        if lane is not None:
            changes |= {"lane": lane.name, "ordered": lane.ordered}
        if self.outcome.rate_lane is not None:
            changes["rate_lane"] = self.outcome.rate_lane
        if self._frees_slot():
            changes["slot"] = None
        if self.outcome.status in SETTLED and self.job.parked is not None:
            changes |= {"parked": None, "waiting_for": ()}
        if self.outcome.topics:
            changes |= {"parked": FOR_A_MESSAGE, "topics": self.outcome.topics}
        return changes

    def _frees_slot(self) -> bool:
        """True unless nothing is to overtake it, or to follow it, in a lane with an order."""
        status, ordered = self.outcome.status, self.job.ordered
        return ordered is None or (
            status in SETTLED and not (ordered == "stop" and status is JobStatus.ERRORED)
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of settlements. One that was neither won nor refused was lost: taken away."""

    won: set[ObjectId] = field(default_factory=set)
    """Jobs that hold exactly what was to be written."""
    refused: Mapping[ObjectId, str] = field(default_factory=dict)
    """Jobs whose outcome the database cannot store as it is, whenever it is asked, and why."""
    followed: Collection[ObjectId] = frozenset()
    """Jobs of which the copy did not know that they are followed: won by an earlier try, or still
    to be settled."""


@dataclass(frozen=True, slots=True)
class NameCount:
    """How many jobs of one name are in one state, exact up to the cap it was asked with."""

    name: str
    type: JobType
    status: JobStatus
    count: int
