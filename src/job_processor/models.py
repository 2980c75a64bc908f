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
    """The state of a job.

    `pending`: waits; `running`: a worker runs it; `paused`: interrupted, will be resumed;
    `finished`: done; `errored`: failed for good (a dead letter); `killed`: cancelled; `skipped`:
    will not run, see `SkipMetadata`. `active` is the only state of a cron itself.
    """

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
"""What happens in an ordered lane after an errored job: the next one starts, or none."""


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
"""What happens to a new job if its unique key is held."""

OnParentFailure = Literal["skip", "run", "wait"]
"""What happens to a job if one of its parents fails: it is skipped, runs anyway, or waits until the
parent is retried and finishes.
"""

JOB_TAG = "j:"
"""What the tag of a job has before its id, in `after` and `waiting_for`."""


@dataclass(frozen=True, slots=True)
class SkipMetadata:
    """Why a job was skipped, and because of which job."""

    reason: SkipReason
    """`noConcurrent_conflict`: an exclusive job was active or a unique key was held; `other`: any
    other reason.
    """
    conflicting_job_id: ObjectId | None
    """The job that was active, or the parent that failed; None if no job was the reason."""
    skipped_at: datetime


@dataclass(frozen=True, slots=True)
class Output:
    """The outcome of a job: its duration, and its result or error."""

    duration: str
    """Duration of the last attempt as text, such as `503ms` or `1.5 seconds`; `--`: nothing ran.
    For programs, see `duration_ms`.
    """
    result: Any = None
    """The return value of the handler."""
    error: str | None = None
    """The error with its traceback, as text; None: no error."""
    skip_metadata: SkipMetadata | None = None
    """Why it was skipped; None unless the job is skipped."""

    def __post_init__(self) -> None:
        if self.error is not None:
            object.__setattr__(self, "error", storable(self.error))

    @property
    def duration_ms(self) -> int | None:
        """Duration of the last attempt in milliseconds; None: nothing ran.

        For a run of the Node package: since the start of the first attempt, to the second.
        """
        return duration_ms(self.duration)


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that failed and was followed by another one."""

    number: int
    started_at: datetime
    ended_at: datetime
    error: str | None
    worker_id: ObjectId | None
    """The worker of the attempt; after a crash, the worker that crashed."""
    worker: str | None = None
    """After a crash, `host:pid` of that worker, if known; None otherwise."""

    def __post_init__(self) -> None:
        if self.error is not None:
            object.__setattr__(self, "error", storable(self.error))


@dataclass(frozen=True, slots=True)
class Step:
    """A step, sleep or received message of a handler, which later runs do not repeat."""

    name: str
    """The second step with the same name is numbered, and so on: `ship`, `ship:2`."""
    started_at: datetime
    ended_at: datetime | None
    """None: it still waits for a message."""
    result: Any = None
    """The return value of the step; for a message, its payload, or None after the timeout."""
    until: datetime | None = None
    """When the sleep, or the wait for a message, ends; None for a step and for a wait without
    timeout.
    """
    topic: str | None = None
    """The topic of the message; None for a step or sleep."""

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
    """A crash of the worker that ran a job, and the worker that recovered the job."""

    worker_id: ObjectId | None
    """The id of the worker that crashed."""
    worker: str | None
    """Its `host:pid` (of the Node package, `host`); None: its registration was gone already."""
    rescuer_id: ObjectId
    """The id of the worker that noticed the crash and recovered the job."""
    rescuer: str
    """The `host:pid` of that worker."""
    at: datetime
    """When the crash was noticed; the `ended_at` of a job that ended because of it."""


@dataclass(frozen=True, kw_only=True)  # without slots: see `make`
class BaseJob:
    """The fields that jobs and cron tasks have in common. Times are aware, in UTC."""

    type: ClassVar[JobType]

    id: ObjectId
    name: str
    status: JobStatus
    scheduled_for: datetime
    """When it may start; a retry moves it to the next attempt."""
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    """When its first attempt started; None: it has not started."""
    ended_at: datetime | None = None
    """When it ended; None: it has not ended."""
    worker_id: ObjectId | None = None
    """The worker that runs it or, once it has ended, the worker that recorded its end (after a
    crash, the one that recovered it).
    """
    output: Output | None = None
    """Its duration, result and error; None: it has none yet."""
    exclusive: bool = False
    """True if only one job with this name may be pending, running or paused."""
    attempt: int = 1
    """The number of the current attempt, from 1."""
    crashes: int = 0
    """The number of workers that crashed while they ran this job, since it last ended."""
    crash: Crash | None = None
    """The last worker that crashed while it ran this job; None: no crash, or the database is shared
    with the Node package, whose validator refuses this field.
    """
    attempts: tuple[Attempt, ...] = ()
    """The last 20 failed attempts before the current one, oldest first."""
    priority: int = 0
    """0 to 9; due jobs with a higher priority start first, those with the same in order of time."""
    notes: Notes | None = None
    """Progress and log of its runs; None if there are none."""
    state_saved: datetime | None = field(default=None, compare=False)
    """Which run last called `Context.save`: its `updated_at` when it was claimed."""
    steps: tuple[Step, ...] = ()
    """The steps of its handler that are done, with sleeps and messages, in order."""
    lane: str | None = None
    """Its lane: the jobs with which it shares a concurrency limit, such as `sync:tenant-42`; None:
    no limit.
    """
    slot: str | None = None
    """Its slot in the lane; None while it waits for one, and once a run of it has ended."""
    ordered: OnFailure | None = None
    """`on_failure` of its lane, if the jobs of the lane run in order; None otherwise."""
    rate_lane: str | None = None
    """The jobs with which it shares a rate limit by key, such as `sync:tenant-42`; None: no such
    rate.
    """
    parked: str | None = None
    """Why it cannot start although it may be due, as a code word; None: it can. See `waits_for`."""
    topics: tuple[str, ...] = ()
    """The topics of the messages that its handler waits for."""
    after: tuple[str, ...] = ()
    """What it runs after: `j:` and the id of a job, or `g:` and the id of a group. See `parents`.
    """
    waiting_for: tuple[str, ...] = ()
    """Those of `after` that have not ended; for a skipped job, the one that failed."""
    on_parent_failure: OnParentFailure | None = None
    """What happens if a parent fails; None: it is skipped."""
    followed: bool = False
    """True once another job was stored that runs after it."""
    flow: ObjectId | None = None
    """The id of its flow; None: it has none."""
    flow_name: str | None = None
    """The name of that flow."""
    labels: tuple[str, ...] = ()
    """Labels to find it by, such as `tenant:42`."""

    @property
    def parents(self) -> tuple[ObjectId, ...]:
        """The ids of the jobs that it runs after."""
        return tuple(
            ObjectId(tag.removeprefix(JOB_TAG)) for tag in self.after if tag.startswith(JOB_TAG)
        )

    group: ObjectId | None = None
    """The id of the group of which it is a member; None: it has none."""
    callback_of: ObjectId | None = None
    """The id of the group whose `then` or `catch` job it is; None: it is not one."""

    @property
    def open_in(self) -> ObjectId | None:
        """The id of the group that waits for its end; None: none does."""
        return self.group if self.group is not None and self.status in ACTIVE else None

    @property
    def failed_in(self) -> ObjectId | None:
        """The id of the group that fails because of it; None: none does."""
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
        """The progress that its handler has reported last; None: none."""
        return self.notes.progress if self.notes is not None else None

    @property
    def log(self) -> tuple[LogLine, ...]:
        """The last lines that its handler has logged with `context.log`, at most 100."""
        return self.notes.log if self.notes is not None else ()

    def result(self) -> Any:
        """Return the value that the handler returned.

        Raises JobFailed, with the error and its traceback, if the job was errored, killed or
        skipped, and JobStateError if it has not ended.
        """
        if not self.settled:
            told = f"job {self.id} is {self.status}; only a job that has ended has a result"
            raise JobStateError(told)
        output = self.output or Output("--")
        if self.status is not JobStatus.FINISHED:
            raise JobFailed(self.name, self.id, self.status.value, output.error)
        check_open(output.result, f"the result of job {self.id}")
        return output.result

    @property
    def sleeps_until(self) -> datetime | None:
        """Until when its handler sleeps; None: it does not sleep."""
        if self.status is not JobStatus.PENDING or self.parked == FOR_A_MESSAGE:
            return None
        due = self.scheduled_for
        sleeps = (step for step in self.steps if step.is_sleep)
        return next((step.until for step in sleeps if step.until == due), None)

    @property
    def settled(self) -> bool:
        """True once it has ended: finished, errored, killed or skipped."""
        return self.status in SETTLED

    @property
    def total_ms(self) -> int | None:
        """Milliseconds from its scheduled time to its end, all waits included; None before its end.

        After a retry it counts from the start of the first attempt, because a retry moves the
        scheduled time.
        """
        return total_ms(self.scheduled_for, self.started_at, self.ended_at)

    @property
    def ran_before(self) -> bool:
        """True for a claimed job that an earlier run had started (it is resumed or retried)."""
        return self.attempt > 1 or (
            self.started_at is not None and self.started_at != self.updated_at
        )

    @property
    def was_held(self) -> bool:
        """True for a claimed job that a worker has claimed before, whether it started it or not.

        A job that was returned before its start has an output, although it never ran.
        """
        return self.ran_before or self.output is not None


@dataclass(frozen=True, kw_only=True)
class SimpleJob(BaseJob):
    """A job that was stored by a caller, to run once."""

    type: ClassVar[JobType] = "simple"

    payload: Mapping[str, Any] | None = None
    """The payload as stored: fields by name."""
    sync: bool = False
    """True if `run_job` stored it, to run at once in the caller's process."""
    expires_at: datetime | None = None
    """If it has not started by then, it is skipped; None: never."""
    unique_key: str | None = None
    """Only one job with this name holds this key at a time: until it ends, or until `unique_until`.
    """
    unique_until: datetime | None = None
    """It holds its key until then, even if it ends earlier; None: until it ends."""
    traceparent: str | None = None
    """The trace of the caller, as a W3C traceparent header; None: not traced."""

    __class_getitem__: ClassVar[Any] = classmethod(GenericAlias)
    """`TypedJob[int]` is the same class."""


@dataclass(frozen=True, slots=True)
class RelatedJob:
    """A parent or child of a job, with its state."""

    id: ObjectId
    name: str
    status: JobStatus
    error: str | None = None
    """The error, if it failed; None otherwise."""


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
    """One occurrence of a cron, which runs like a job."""

    type: ClassVar[JobType] = "cron_task"

    sentry_id: str | None = None
    """The id of its check-in at Sentry, if there is one."""
    planned_for: datetime | None = None
    """The planned time, if a retry has moved `scheduled_for`; None otherwise."""


Job: TypeAlias = SimpleJob | CronTask
"""A job or an occurrence of a cron: what `get_job` and `find_jobs` return."""
AnyJob = TypeVar("AnyJob", bound=BaseJob)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """A cron in the database."""

    type: ClassVar[Literal["cron"]] = "cron"

    id: ObjectId
    name: str
    cron_string: str
    scheduled_for: datetime
    """The time of its next occurrence."""
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
    """A few numbers about the load of a database, which are cheap to get."""

    now: datetime
    """The time by the database's clock."""
    workers: int
    """Registered workers, crashed ones too."""
    alive: int
    """Running workers."""
    due_since: datetime | None
    """Since when the first due job has been waiting; None: no job is due."""


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
    """Progress that a handler has reported."""

    fraction: float
    """From 0 to 1."""
    message: str | None
    at: datetime

    def __post_init__(self) -> None:
        if self.message is not None:
            object.__setattr__(self, "message", storable(self.message))


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that a handler has logged with `context.log`."""

    at: datetime
    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", storable(self.text))


@dataclass(frozen=True, slots=True)
class Notes:
    """Progress and log of a job: the last 100 lines of all of its runs."""

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
