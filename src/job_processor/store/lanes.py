"""Lanes: what shares a limit, its slots, and how a job stands in the database that is in one.

A waiting job that is in a lane, or parked, has the end of time as its stored `scheduled_for` and
its true time in `due`. So no claim ever meets it that does not know of lanes: neither that of an
older release nor the Node package's. It is either in line (`line` and `ready`), or parked for a
reason (`parked`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from bson import ObjectId

from job_processor.clock import Clock
from job_processor.handlers.lanes import group_of, has_key
from job_processor.models import WAITING, Job, JobStatus

PARKED_AT_ONCE = 1000
"""Jobs of a full lane that are parked with the one that met it full."""

KEYED, KEYLESS = ":", "#"
"""What the line of a lane with or without a key has before the name of its jobs."""


def slots_of(lane: str, limit: int) -> list[str]:
    """Return the slots of a lane."""
    return [f"{lane}#{i}" for i in range(limit)]


def line_of(job: Job) -> str:
    """Return the line in which a job of a lane waits.

    It is of one name, so that what a worker does not serve is never met; and lanes without a key
    have lines of their own, which are left out while such a lane is full.
    """
    assert job.lane is not None  # noqa: S101  # it is in one
    return (KEYED if has_key(job.lane) else KEYLESS) + job.name


def lines_of(names: Collection[str]) -> list[str]:
    """Return the lines in which jobs of these names wait."""
    return [kind + name for name in names for kind in (KEYED, KEYLESS)]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job waits, as the database has it; all None: it is not apart."""

    due: datetime | None = None
    """Its true time."""
    line: str | None = None
    ready: datetime | None = None
    """Its place in the line."""
    parked: str | None = None


NOWHERE = Place()


def place_of(job: Job) -> Place:
    """Return where a job is to stand that is stored as it is."""
    if job.status not in WAITING or (job.lane is None and job.parked is None):
        return NOWHERE
    if job.parked is not None:
        return Place(job.scheduled_for, parked=job.parked)
    return Place(job.scheduled_for, line_of(job), job.scheduled_for)


@dataclass(frozen=True, slots=True)
class LaneClaim:
    """What a worker asks of the lanes."""

    worker_id: ObjectId
    names: tuple[str, ...]
    limit: int
    now: datetime
    exclude: frozenset[ObjectId] = frozenset()
    """Jobs of which it still holds an unconfirmed settlement or a living thread."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a claim of lanes has brought."""

    jobs: list[Job]
    blocked: bool
    """True where more is due that waits for a slot: of any end of a run it is worth a look."""


@dataclass(slots=True)
class LimitBook:
    """The limits that hold here, by group, and whose jobs may be admitted."""

    limits: Callable[[], Mapping[str, int]] = field(default=dict)
    """The amount of each group."""
    names: Callable[[], Collection[str]] = field(default=tuple)
    """The names of the jobs that some worker will claim once they are admitted."""
    now: Callable[[], datetime] = Clock().now
    """The time by which jobs are due here."""

    def amount(self, lane: str) -> int | None:
        """Return how many jobs of a lane may run at a time; None: nothing limits them here."""
        return self.limits().get(group_of(lane))

    def __bool__(self) -> bool:
        return bool(self.limits())


def freed_by(before: Job, after: Job) -> str | None:
    """Return the lane in which what became of a job has made room."""
    if before.slot is None or before.lane is None or holds_slot(after):
        return None
    return before.lane


def holds_slot(job: Job) -> bool:
    """True while a job has its slot: as long as it is active, or stands in the way of its lane."""
    return job.slot is not None and (not job.settled or stops(job))


def stops(job: Job) -> bool:
    """True for a job whose failure is to stop its lane."""
    return job.ordered == "stop" and job.status is JobStatus.ERRORED
