"""Lanes: what shares a limit, its slots, and how a job stands in the database that is in one.

A waiting job that is in a lane, or parked, has the end of time as its stored `scheduled_for` and
its true time in `due`. So no claim ever meets it that does not know of lanes: neither that of an
older release nor the Node package's. It is either in line (`line` and `ready`), or parked for a
reason (`parked`). What waits for its moment by a rate is both: see `store/tokens.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from bson import ObjectId

from job_processor.clock import Clock
from job_processor.handlers.lanes import group_of, has_key, lane_name
from job_processor.models import DATED, NEXT, WAITING, Job, JobStatus

PARKED_AT_ONCE = 1000
"""Jobs of a full lane that are parked with the one that met it full."""

LIMIT = "limit"
"""Kind of the settings that keep what was set of limits; the name of each is its group's."""

IN_LINE_TOO = (DATED, NEXT)
"""What is parked for these stands in line, until its moment."""

KEYED, KEYLESS = ":", "#"
"""What the line of a lane with or without a key has before the name of its jobs."""


def slot_of(lane: str, number: int) -> str:
    """Return a slot of a lane, which are counted from 0."""
    return f"{lane}#{number}"


def slots_of(lane: str, limit: int) -> list[str]:
    """Return the slots of a lane."""
    return [slot_of(lane, number) for number in range(limit)]


def line_of(job: Job) -> str:
    """Return the line in which a job of a lane waits.

    It is of one name, so that what a worker does not serve is never met; and lanes without a key
    have lines of their own, which are left out while such a lane is full.
    """
    keyless = job.lane is not None and not has_key(job.lane)
    return (KEYLESS if keyless else KEYED) + job.name


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
    topics: tuple[str, ...] = ()
    """The messages of which any lets it go on, where it is parked for one."""


NOWHERE = Place()


def is_apart(job: Job) -> bool:
    """True for a job that waits where no plain claim meets it."""
    return not (job.lane is None and job.rate_lane is None and job.parked is None)


def place_of(job: Job) -> Place:
    """Return where a job is to stand that is stored as it is."""
    if job.status not in WAITING or not is_apart(job):
        return NOWHERE
    if job.parked in IN_LINE_TOO:
        return Place(job.scheduled_for, line_of(job), job.scheduled_for, job.parked)
    if job.parked is not None:
        return Place(job.scheduled_for, parked=job.parked, topics=job.topics)
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
    others: bool = False
    """Bring what of these names stands in no lane as well, where a database does that."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a claim of lanes has brought."""

    jobs: list[Job]
    blocked: bool
    """True where more stands in line for a slot of a lane without a key, which nobody is handed."""
    refused: Mapping[ObjectId, float] = field(default_factory=dict)
    """Those of the jobs that may not start by their rate, which lets nothing wait, and in how many
    seconds they might."""
    moved: bool = False
    """True where what waits for a start has another moment than before."""
    more: bool = False
    """True where it has looked at as many as one claim does, and others stand behind them."""


async def _nothing_set() -> Mapping[str, int]:
    return {}


@dataclass(slots=True)
class LimitBook:
    """The limits that hold here, by group, and whose jobs may be admitted."""

    limits: Callable[[], Mapping[str, int]] = field(default=dict)
    """The amount of each group, as it is defined here."""
    names: Callable[[], Collection[str]] = field(default=tuple)
    """The names of the jobs that some worker will claim once they are admitted."""
    now: Callable[[], datetime] = Clock().now
    """The time by which jobs are due here."""
    read: Callable[[], Awaitable[Mapping[str, int]]] = _nothing_set
    """Reads the amounts that were set for all workers instead of those that are defined."""
    set: Mapping[str, int] = field(default_factory=dict)
    """Those amounts, as they were read last."""
    is_watched: bool = False
    """True while somebody keeps `set` up to date."""

    def amount(self, lane: str) -> int | None:
        """Return how many jobs of a lane may run at a time; None: nothing limits them here."""
        group = group_of(lane)
        defined = self.limits().get(group)
        return None if defined is None else self.set.get(group, defined)

    async def refresh(self) -> None:
        """Read what was set, where nobody keeps it up to date; raises StoreError."""
        if not self.is_watched:
            self.set = await self.read()

    def __bool__(self) -> bool:
        return bool(self.limits())


class Turn(NamedTuple):
    """A waiting job whose turn it is."""

    id: ObjectId
    name: str
    due: datetime
    """Since when it may run, or from when on."""


@dataclass(frozen=True, slots=True)
class LaneInfo:
    """The state of a lane: the line of jobs that share one concurrency limit and one key.

    Counts stop at 1,000.
    """

    lane: str
    """Its name, such as `sync:tenant-42`."""
    running: int = 0
    in_line: int = 0
    """Jobs that wait for their time or for a worker, including those that have a slot already."""
    parked: int = 0
    """Jobs that wait for a slot: no worker can start them now."""
    next: Turn | None = None
    """The job that gets the next slot; None: no job waits."""
    stopped_by: ObjectId | None = None
    """The failed job that stops an ordered lane until it is retried or deleted."""

    @property
    def group(self) -> str:
        """The name of the group of the limit or, without a group, of the job."""
        return group_of(self.lane)

    @property
    def key(self) -> str | None:
        """The key that its jobs share; None for a lane without a key."""
        return self.lane.partition(":")[2] if has_key(self.lane) else None

    @property
    def waiting(self) -> int:
        """All jobs of the lane that do not run."""
        return self.in_line + self.parked

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        following = self.next
        return {
            "lane": self.lane,
            "key": self.key,
            "running": self.running,
            "in_line": self.in_line,
            "parked": self.parked,
            "next": None
            if following is None
            else {
                "_id": str(following.id),
                "name": following.name,
                "due": following.due.isoformat(timespec="milliseconds"),
            },
            "stopped_by": None if self.stopped_by is None else str(self.stopped_by),
        }

    @property
    def is_empty(self) -> bool:
        """True for a lane without jobs."""
        return not (self.running or self.waiting or self.stopped_by)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which lanes lie between two names: later than the one, before the other."""

    above: str
    below: str | None
    """None: to the end."""

    @classmethod
    def of_keys(cls, group: str) -> Bounds:
        """Return where the lanes of a group's keys lie."""
        lane = lane_name(group)
        return cls(f"{lane}:", f"{lane};")  # which follows the colon


EVERYWHERE = Bounds("", None)


def fullest_first(lanes: Iterable[LaneInfo]) -> list[LaneInfo]:
    """Return those lanes that are not empty, the one in which most waits first."""
    return sorted(
        (each for each in lanes if not each.is_empty),
        key=lambda each: (-each.waiting, -each.running, each.lane),
    )


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
