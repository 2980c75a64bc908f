"""Jobs, crons and workers as they stand in the database, and their states.

Every model is immutable: a change is a new object. Times are aware, in UTC, to the millisecond.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from types import GenericAlias
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    Literal,
    NamedTuple,
    TypeAlias,
    TypeVar,
    overload,
)

from bson import ObjectId

from job_processor.clock import FAR, duration_ms, to_ms, total_ms
from job_processor.errors import InvalidArgumentError, JobFailed, JobStateError
from job_processor.settings import NODE_WORKER_TIMEOUT
from job_processor.texts import storable
from job_processor.values import check_open


class JobStatus(StrEnum):
    """Where a job stands."""

    PENDING = "pending"
    RUNNING = "running"
    FINISHED = "finished"
    ERRORED = "errored"
    PAUSED = "paused"
    KILLED = "killed"
    SKIPPED = "skipped"
    ACTIVE = "active"  # of a cron only

    __hash__ = str.__hash__  # that of an Enum is Python code, and each job is looked up by it


WAITING = frozenset({JobStatus.PENDING, JobStatus.PAUSED})
ACTIVE = frozenset({JobStatus.PENDING, JobStatus.RUNNING, JobStatus.PAUSED})
SETTLED = frozenset({JobStatus.FINISHED, JobStatus.ERRORED, JobStatus.KILLED, JobStatus.SKIPPED})
FAILED = SETTLED - {JobStatus.FINISHED}

TRANSITIONS: frozenset[tuple[JobStatus | None, JobStatus]] = frozenset(
    {
        (None, JobStatus.PENDING),  # insert
        (None, JobStatus.RUNNING),  # run_job: inserted under the hand that runs it
        (None, JobStatus.SKIPPED),  # insert into an exclusive conflict
        (JobStatus.PENDING, JobStatus.RUNNING),  # claim
        (JobStatus.PAUSED, JobStatus.RUNNING),  # claim
        (JobStatus.PENDING, JobStatus.KILLED),  # kill
        (JobStatus.PAUSED, JobStatus.KILLED),  # kill
        (JobStatus.RUNNING, JobStatus.FINISHED),  # settle
        (JobStatus.RUNNING, JobStatus.ERRORED),  # settle, rescue
        (JobStatus.RUNNING, JobStatus.KILLED),  # settle, rescue
        (JobStatus.RUNNING, JobStatus.SKIPPED),  # settle a missed cron task
        (JobStatus.RUNNING, JobStatus.PAUSED),  # settle, rescue
        (JobStatus.RUNNING, JobStatus.PENDING),  # retry later, give back
        (JobStatus.FINISHED, JobStatus.PENDING),  # retry by hand
        (JobStatus.ERRORED, JobStatus.PENDING),  # retry by hand
        (JobStatus.KILLED, JobStatus.PENDING),  # retry by hand
        (JobStatus.SKIPPED, JobStatus.PENDING),  # retry by hand
    }
)
"""Each change of state that a store verb makes; None is the state before the insert."""

ATTEMPTS_KEPT = 20

JobType = Literal["simple", "cron_task"]
OnFailure = Literal["continue", "stop"]
"""What follows in an ordered lane when a job of it ends errored: the next one, or none."""


class Lane(NamedTuple):
    """What a job shares a limit with, and whether its jobs run one after the other."""

    name: str
    ordered: OnFailure | None = None


FOR_A_SLOT = "slot"
FOR_A_PARENT = "parent"
FOR_A_MESSAGE = "message"
FOR_A_TOKEN = "token"  # noqa: S105  # no secret
DATED = "dated"
NEXT = "next"
_A_START = "a start of {rate_lane}"
WAITS_FOR: dict[str, str] = {
    FOR_A_SLOT: "a slot of {lane}",
    FOR_A_PARENT: "the end of what it comes after",
    FOR_A_MESSAGE: "a message",
    FOR_A_TOKEN: _A_START,
    DATED: _A_START,  # it has one, and waits for its moment
    NEXT: _A_START,  # it is the one that asks for the next, once there may be any
}
"""The reasons why jobs are parked, and what that is in words."""


def waits_for(
    parked: str | None,
    lane: str | None,
    topics: Sequence[str] = (),
    until: datetime | None = None,
    rate_lane: str | None = None,
) -> str | None:
    """Return in words what a job is parked for; None for one that is not."""
    if parked is None:
        return None
    if parked != FOR_A_MESSAGE or not topics:
        return WAITS_FOR.get(parked, parked).format(lane=lane, rate_lane=rate_lane)
    named = f"the {'message' if len(topics) == 1 else 'messages'} {', '.join(topics)}"
    is_for_ever = until is None or until >= FAR
    return named if is_for_ever else f"{named} until {until:%Y-%m-%d %H:%M:%S} UTC"


SkipReason = Literal["noConcurrent_conflict", "other"]
OnConflict = Literal["return", "skip", "replace", "error"]
"""What follows when the unique key of a new job is held."""

OnParentFailure = Literal["skip", "run", "wait"]
"""What becomes of a job when one that it comes after fails: it is skipped, runs all the same, or
waits until that one is retried and finishes."""

JOB_TAG = "j:"
"""What the tag of a job has before its id, in `after` and `waiting_for`."""


@dataclass(frozen=True, slots=True)
class SkipMetadata:
    """Why a job was skipped, and by which job (None unless it was an exclusive conflict)."""

    reason: SkipReason
    conflicting_job_id: ObjectId | None
    skipped_at: datetime


@dataclass(frozen=True, slots=True)
class Output:
    """What a run left: how long it took, its result or its error."""

    duration: str
    """As the database keeps it, which is how the Node package does: `503ms`, `1.5 seconds`; of the
    last attempt alone. `--`: nothing ran."""
    result: Any = None
    error: str | None = None
    """Text that can be kept, whatever it was made of."""
    skip_metadata: SkipMetadata | None = None

    def __post_init__(self) -> None:
        if self.error is not None:
            object.__setattr__(self, "error", storable(self.error))

    @property
    def duration_ms(self) -> int | None:
        """How long the last attempt ran, in milliseconds; None: nothing ran.

        Of a run of the Node package: to the second, and since the first attempt began.
        """
        return duration_ms(self.duration)


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that failed and was followed by another."""

    number: int
    started_at: datetime
    ended_at: datetime
    error: str | None
    worker_id: ObjectId | None
    """Whose it was; of a crash, the worker that died."""
    worker: str | None = None
    """Where that was, as `host:pid`, of a crash; None of others, and where nobody knows."""

    def __post_init__(self) -> None:
        if self.error is not None:
            object.__setattr__(self, "error", storable(self.error))


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a handler, its sleep, or its wait for a message: what later runs find done."""

    name: str
    """Numbered from the second of its name on: `ship`, `ship:2`."""
    started_at: datetime
    ended_at: datetime | None
    """None: of a message that it waits for still."""
    result: Any = None
    """Of a message: its payload; None: none came in time."""
    until: datetime | None = None
    """When a sleep is over, or a wait for a message; None: it is neither, or waits for ever."""
    topic: str | None = None
    """The name of the message that it waits for, or has waited for; None: of no message."""

    @property
    def is_sleep(self) -> bool:
        """True for a sleep."""
        return self.until is not None and self.topic is None


@dataclass(frozen=True, slots=True)
class Message:
    """What was sent under a name."""

    topic: str
    """Its name."""
    payload: Any
    id: ObjectId
    """Of this very sending: a repetition after a lost reply is known by it."""
    sent_at: datetime
    expires_at: datetime
    """From then on it is as if it was never sent."""


def with_step(steps: Sequence[Step], step: Step) -> tuple[Step, ...]:
    """Return steps with one more.

    Of a name the first counts: another one is a repetition of its write, whose reply was lost; but
    what a wait has brought stands in the place of the wait.
    """
    for i, each in enumerate(steps):
        if each.name == step.name:
            return (*steps[:i], step, *steps[i + 1 :]) if each.ended_at is None else tuple(steps)
    return (*steps, step)


@dataclass(frozen=True, slots=True)
class Crash:
    """A worker that died while it ran a job, and the one that took care of that job."""

    worker_id: ObjectId | None
    worker: str | None
    """Where it ran, as `host:pid` (of the Node package, `host`); None: its registration was gone
    before anybody looked."""
    rescuer_id: ObjectId
    rescuer: str
    """The same of the one that noticed it."""
    at: datetime
    """When it was noticed; `ended_at` of a job that ended with it."""


@dataclass(frozen=True, kw_only=True)  # without slots: see `make`
class BaseJob:
    """What a simple job and a cron task have in common."""

    type: ClassVar[JobType]

    id: ObjectId
    name: str
    status: JobStatus
    scheduled_for: datetime
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    worker_id: ObjectId | None = None
    """Who holds the run; on a settled job, who wrote its end (after a crash: the rescuer)."""
    output: Output | None = None
    exclusive: bool = False
    attempt: int = 1
    """Number of the present attempt, from 1; kept in the document from the second on."""
    crashes: int = 0
    """Workers that this job took down since its last settlement."""
    crash: Crash | None = None
    """The last worker that died while it ran the job; None: none, or the Node package works on this
    database, whose validator refuses to keep it."""
    attempts: tuple[Attempt, ...] = ()
    """The failed attempts before the present one, the oldest first; the last 20 of them."""
    priority: int = 0
    """0 to 9; those with a higher one are claimed first, those with the same in order of time."""
    notes: Notes | None = None
    """What its runs have told of themselves; None when nothing."""
    state_saved: datetime | None = field(default=None, compare=False)
    """The run that saved a state last: its `updated_at`, the moment of its claim."""
    steps: tuple[Step, ...] = ()
    """The steps of its handler that are done, its sleeps and its waits for messages, in order."""
    lane: str | None = None
    """What it shares a limit with, such as `sync:tenant-42`; None: nothing limits it."""
    slot: str | None = None
    """The place that it has in its lane, or had when it ended; None while it waits for one."""
    ordered: OnFailure | None = None
    """What follows in its lane when it fails, where the jobs of that run one after the other."""
    rate_lane: str | None = None
    """What it shares a rate with that has a key, such as `sync:tenant-42`; None: nothing."""
    parked: str | None = None
    """Why it does not start though its time may have come, a word of `WAITS_FOR`; None: it may."""
    topics: tuple[str, ...] = ()
    """The names of the messages for which its handler has left."""
    after: tuple[str, ...] = ()
    """What it comes after, as tags: `j:` and the id of a job, `g:` and that of a group."""
    waiting_for: tuple[str, ...] = ()
    """Those of them that have not ended, while it waits; of a skipped one, what it failed by."""
    on_parent_failure: OnParentFailure | None = None
    """What becomes of it when one of them fails; None: it is skipped."""
    followed: bool = False
    """True once another job was made that comes after it."""
    flow: ObjectId | None = None
    """The flow that it belongs to, for good; None: to none."""
    flow_name: str | None = None
    """What that flow is called."""
    labels: tuple[str, ...] = ()
    """What it was given to be found by, such as `tenant:42`."""

    @property
    def parents(self) -> tuple[ObjectId, ...]:
        """The ids of the jobs that it comes after."""
        return tuple(
            ObjectId(tag.removeprefix(JOB_TAG)) for tag in self.after if tag.startswith(JOB_TAG)
        )

    group: ObjectId | None = None
    """The group that it is a member of, for good; None: of none."""
    callback_of: ObjectId | None = None
    """The group whose end made it: it is what was given as `then` or `catch`."""

    @property
    def open_in(self) -> ObjectId | None:
        """The group that waits for its end; None: none does."""
        return self.group if self.group is not None and self.status in ACTIVE else None

    @property
    def failed_in(self) -> ObjectId | None:
        """The group that will not have ended well because of it; None: none."""
        return self.group if self.group is not None and self.status in FAILED else None

    @property
    def waits_for(self) -> str | None:
        """What it waits for besides its time, in words; None: nothing.

        Such as "a slot of sync:tenant-42", or "the message paid:42 until 2026-11-30 12:00:00 UTC".
        """
        until, rate_lane = self.scheduled_for, self.rate_lane
        return waits_for(self.parked, self.lane, self.topics, until, rate_lane)

    @property
    def progress(self) -> Progress | None:
        """How far its run has come, as far as it tells."""
        return self.notes.progress if self.notes is not None else None

    @property
    def log(self) -> tuple[LogLine, ...]:
        """The last lines that its runs have logged."""
        return self.notes.log if self.notes is not None else ()

    def result(self) -> Any:
        """Return what the handler returned.

        Raises JobFailed when it ended otherwise, with its error and the traceback of the process
        that ran it, and JobStateError when it has not ended.
        """
        if not self.settled:
            raise JobStateError(f"job {self.id} is {self.status}; only a settled one has a result")
        output = self.output or Output("--")
        if self.status is not JobStatus.FINISHED:
            raise JobFailed(self.name, self.id, self.status.value, output.error)
        check_open(output.result, f"the result of job {self.id}")
        return output.result

    @property
    def sleeps_until(self) -> datetime | None:
        """Until when its handler sleeps; None: it does not."""
        if self.status is not JobStatus.PENDING or self.parked == FOR_A_MESSAGE:
            return None
        due = self.scheduled_for
        sleeps = (step for step in self.steps if step.is_sleep)
        return next((step.until for step in sleeps if step.until == due), None)

    @property
    def settled(self) -> bool:
        """True when it will not run any more by itself."""
        return self.status in SETTLED

    @property
    def total_ms(self) -> int | None:
        """Milliseconds from its scheduled time to its end, with all waits; None while it has none.

        A retry moves the scheduled time: then it is counted from the start of the first attempt.
        """
        return total_ms(self.scheduled_for, self.started_at, self.ended_at)

    @property
    def ran_before(self) -> bool:
        """True for a claimed job that another run had begun (resumed or retried)."""
        return self.attempt > 1 or (
            self.started_at is not None and self.started_at != self.updated_at
        )

    @property
    def was_held(self) -> bool:
        """True for a claimed job that a worker has held before, whether it began or not.

        One that was given back unbegun has an output, though it never ran.
        """
        return self.ran_before or self.output is not None


@dataclass(frozen=True, kw_only=True)
class SimpleJob(BaseJob):
    """A job that a caller made, to be executed once."""

    type: ClassVar[JobType] = "simple"

    payload: Mapping[str, Any] | None = None
    sync: bool = False
    """True when `run_job` made it, to run at once in the caller's process."""
    expires_at: datetime | None = None
    """From then on it does not begin any more, but is skipped; None: never."""
    unique_key: str | None = None
    """Held by one job of its name at a time: until it is settled or `unique_until` has come."""
    unique_until: datetime | None = None
    """Until when it holds its key, settled or not; None: while it is active."""
    traceparent: str | None = None
    """Where it was made, in the trace of whoever made it, as W3C's header; None: not traced."""

    __class_getitem__: ClassVar[Any] = classmethod(GenericAlias)
    """`TypedJob[int]` is the same class."""


@dataclass(frozen=True, slots=True)
class RelatedJob:
    """A job that another one comes after, or that comes after another, as it stands."""

    id: ObjectId
    name: str
    status: JobStatus
    error: str | None = None
    """Why it failed; None where it did not, or has not ended."""


R_co = TypeVar("R_co", covariant=True)
Awaited = TypeVar("Awaited")

if TYPE_CHECKING:

    class TypedJob(SimpleJob, Generic[R_co]):
        """A job of a handle, which knows what its handler returns; at run time a SimpleJob."""

        @overload
        def result(self: TypedJob[Coroutine[Any, Any, Awaited]]) -> Awaited: ...
        @overload
        def result(self) -> R_co: ...
        def result(self) -> Any:
            """Return what the handler returned, see `SimpleJob.result`."""

else:
    TypedJob = SimpleJob


@dataclass(frozen=True, kw_only=True)
class CronTask(BaseJob):
    """One occurrence of a cron; it runs like a job."""

    type: ClassVar[JobType] = "cron_task"

    sentry_id: str | None = None
    planned_for: datetime | None = None
    """Its planned time, where a retry moved `scheduled_for` away from it."""


Job: TypeAlias = SimpleJob | CronTask
AnyJob = TypeVar("AnyJob", bound=BaseJob)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """A cron as it stands in the database; `scheduled_for` points at its next occurrence."""

    type: ClassVar[Literal["cron"]] = "cron"

    id: ObjectId
    name: str
    cron_string: str
    scheduled_for: datetime
    created_at: datetime
    updated_at: datetime
    status: JobStatus = JobStatus.ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """A worker's registration. A Node worker's has only the first four fields."""

    id: ObjectId
    hostname: str
    last_seen: datetime
    """By the database's clock."""
    tags: tuple[str, ...] | None = None
    """The tags that it serves; None: all."""
    timeout_s: float | None = None
    """Seconds without a heartbeat after which it is dead; None in a Node worker's."""
    service: str | None = None
    names: tuple[str, ...] = ()
    """Names of the jobs and crons that it defines."""
    crons: Mapping[str, str] = field(default_factory=dict)
    """Its crons: the hash of each definition, by name."""
    pid: int | None = None
    version: str | None = None
    concurrency: int | None = None
    started_at: datetime | None = None
    memory: int | None = None
    """Bytes of its process in memory at its last heartbeat, where the system tells."""
    limits: tuple[str, ...] = ()
    """Those of its names whose jobs have a limit by its definitions."""
    rates: tuple[str, ...] = ()
    """Those whose jobs have a rate with a key."""
    clock_ahead: float | None = None
    """Seconds by which its clock is ahead of the database's (behind it, if negative), where that is
    worth a word. Not kept by SQLite, where the clock of each process is the database's."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "hostname", storable(self.hostname))

    def is_dead(self, now: datetime) -> bool:
        """True when it seems dead: its last heartbeat is further from now than its own timeout.

        By the database's clock, which may have stepped, either way: this is good for a look at all
        workers, and never for a decision about one (see the rescuer).
        """
        return abs((now - self.last_seen).total_seconds()) > self.timeout

    def seen_ahead(self, now: datetime) -> float:
        """Return for how many seconds in the future its last heartbeat is (negative: in the past).

        Clocks differ where that is more than none: its own and the reader's on SQLite, where each
        process has the clock of its machine; on MongoDB the database's, set back meanwhile.
        """
        return (self.last_seen - now).total_seconds()

    @property
    def place(self) -> str:
        """Where it runs, as `host:pid`; `host` of a Node worker, which does not tell more."""
        return self.hostname if self.pid is None else f"{self.hostname}:{self.pid}"

    @property
    def timeout(self) -> float:
        """Seconds without a heartbeat after which it is dead, whosever it is."""
        return self.timeout_s if self.timeout_s is not None else NODE_WORKER_TIMEOUT


@dataclass(frozen=True, slots=True)
class Registrations:
    """The registered workers, and the database's clock when they were read."""

    now: datetime
    workers: tuple[WorkerInfo, ...]


@dataclass(frozen=True, slots=True)
class Vitals:
    """How a database does, in numbers that cost the same whatever its jobs hold."""

    now: datetime
    """By the database's clock."""
    workers: int
    """Workers that are registered, the dead ones too."""
    alive: int
    due_since: datetime | None
    """When the first of the jobs that are due was to begin; None: none is due."""


def make(kind: type[AnyJob], fields: dict[str, Any]) -> AnyJob:
    """Return a job of exactly these fields, which must be all of its kind.

    A store under load does little else. `kind(**fields)` of a frozen dataclass sets field by field
    and takes three times as long.
    """
    job = object.__new__(kind)
    object.__setattr__(job, "__dict__", fields)
    return job


def written_at(now: datetime) -> datetime:
    """Return the `updated_at` of a cron that we write: a whole second, which is our signature.

    Whoever else writes it has the milliseconds of a clock, and one in a thousand passes for ours.
    """
    return now.replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come."""

    fraction: float
    """From 0 to 1."""
    message: str | None
    at: datetime

    def __post_init__(self) -> None:
        if self.message is not None:
            object.__setattr__(self, "message", storable(self.message))


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a run's log."""

    at: datetime
    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", storable(self.text))


@dataclass(frozen=True, slots=True)
class Notes:
    """Progress and log, as far as they are kept: the last 100 lines of all runs of a job."""

    progress: Progress | None = None
    log: tuple[LogLine, ...] = ()


def occurrence_id(name: str, planned_for: datetime) -> ObjectId:
    """Return the id of a cron's occurrence, the same wherever it is computed.

    Its first four bytes are the planned time in seconds, as in every ObjectId.
    """
    digest = sha256(f"{to_ms(planned_for)}\n{name}".encode()).digest()
    return ObjectId((int(planned_for.timestamp()) & 0xFFFFFFFF).to_bytes(4, "big") + digest[:8])


def cron_id(name: str) -> ObjectId:
    """Return the id that we give a cron's own document, so that two creators make one."""
    return ObjectId(sha256(f"cron\n{name}".encode()).digest()[:12])


def object_id(value: object, argument: str = "job_id") -> ObjectId:
    """Return `value` as an ObjectId; raise InvalidArgumentError when it is none."""
    if isinstance(value, ObjectId):
        return value
    if isinstance(value, str) and ObjectId.is_valid(value):
        return ObjectId(value)
    raise InvalidArgumentError(argument, value, "allowed is an ObjectId or its 24 hex digits")
