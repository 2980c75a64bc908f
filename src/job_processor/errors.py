"""Every error that Job Processor raises, under one root."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

_SHOWN = 20  # names that an error lists


class JobProcessorError(Exception):
    """Base class of all errors that the package raises."""


class InvalidArgumentError(JobProcessorError, ValueError):
    """A value is not allowed.

    The message names the argument, the value and what is allowed; they are also attributes:
    `argument`, `value` and `allowed`.
    """

    def __init__(self, argument: str, value: Any, allowed: str) -> None:
        super().__init__(f"{argument}: {shorten(repr(value), 200)} is not allowed; {allowed}")
        self.argument = argument
        self.value = value
        self.allowed = allowed

    def __reduce__(self) -> tuple[Any, ...]:
        """Tell pickle how it is made: it may be raised in another process."""
        return type(self), (self.argument, self.value, self.allowed)


class Unshown:
    """Stands for a value that is not for every eye: a message tells its type and nothing else."""

    __slots__ = ("type",)

    def __init__(self, value: object) -> None:
        self.type = type(value).__name__
        """The name of its type."""

    @classmethod
    def of(cls, value: object) -> Unshown:
        """Return what stands for a value, once."""
        return value if isinstance(value, cls) else cls(value)

    def __repr__(self) -> str:
        return f"<a {self.type}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Tell pickle how it is made."""
        return _unshown, (self.type,)


def _unshown(type_name: str) -> Unshown:
    made = object.__new__(Unshown)
    made.type = type_name
    return made


class DefinitionError(InvalidArgumentError):
    """A `JobDef` or `CronDef` cannot work: its handler, cron expression or another option."""


class SharedDatabaseError(InvalidArgumentError):
    """A feature cannot be used because the Node package works on the same database.

    The message names the feature, the reason, and what to do.
    """


class MigrationError(JobProcessorError):
    """A move from the Node package is not possible yet; the message says what to do."""


class UnknownJobError(InvalidArgumentError):
    """This processor does not define a job with this name; the message lists the known names."""


def unknown(argument: str, name: object, what: str, known: Iterable[str]) -> UnknownJobError:
    """Return the error that names the nearest of those that are known, and then these."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, 1) if isinstance(name, str) else []
    meant = f"did you mean {near[0]!r}? " if near else ""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    there = ", ".join(map(repr, names[:_SHOWN])) or "none yet"
    return UnknownJobError(argument, name, f"{meant}{what} are: {there}{more}")


class PayloadError(InvalidArgumentError):
    """A payload or result cannot be stored: its type, one of its values, or its size.

    The message and `value` name the field and the type of its value. They never contain data of the
    payload, because errors are logged and shown.
    """

    def __init__(self, argument: str, value: Any, allowed: str) -> None:
        super().__init__(argument, Unshown.of(value), allowed)


class InvalidPayloadError(PayloadError):
    """A payload does not fit the handler: a field is missing, unknown or of a wrong type.

    The message is that of the validating library, without the values of the payload.
    """


class CodecError(JobProcessorError):
    """Encoded data cannot be decoded: the codec is missing or wrong, or the data was removed."""


class MissingKeyError(CodecError):
    """Data is encrypted with a key that this processor does not have.

    key_id: the id of that key.
    known: the ids of the keys that it has.
    """

    def __init__(self, key_id: str, known: Iterable[str] = ()) -> None:
        self.key_id = key_id
        self.known = tuple(known)
        told = ", ".join(map(repr, self.known)) or "none"
        super().__init__(
            f"it was encrypted by the key {key_id!r}, and those that are here are {told}; keep an "
            "old key for as long as anything that it encrypted is kept"
        )


class JobNotFoundError(JobProcessorError, LookupError):
    """No job has this id: it never existed, or it is no longer in the history."""

    def __init__(self, job_id: object) -> None:
        super().__init__(f"no job has the id {job_id}")
        self.job_id = job_id


class ScheduleNotFoundError(JobProcessorError, LookupError):
    """No schedule has this name."""

    def __init__(self, name: object) -> None:
        super().__init__(
            f"there is no schedule {name!r}; processor.schedules() lists the existing ones"
        )
        self.name = name


class JobTimeoutError(JobProcessorError, TimeoutError):
    """A wait timed out: the job, or the group, had not ended yet. It continues to run.

    It is also a `TimeoutError`.
    """


class JobFailed(JobProcessorError):  # noqa: N818  # the name by which its users know it
    """A job was errored, killed or skipped, so it has no result.

    Attributes: `name`, `job_id`, `status`, and `error`, the error with its traceback.
    """

    def __init__(self, name: str, job_id: object, status: str, error: str | None) -> None:
        super().__init__(f"job {name!r} ({job_id}) {status}" + (f": {error}" if error else ""))
        self.name = name
        self.job_id = job_id
        self.status = status
        self.error = error


class JobConflictError(JobProcessorError):
    """Another job is in the way: an exclusive job is active, or a unique key is held."""

    @classmethod
    def of(cls, job_id: object) -> JobConflictError:
        """Return the error for a job that would have to wait for the active one."""
        return cls(
            f"job {job_id} is exclusive and another one of its name is active, or another one "
            "holds its unique key"
        )

    @classmethod
    def in_transaction(cls, jobs: Sequence[Any]) -> JobConflictError:
        """Return the error for jobs in a transaction of the caller, one of which conflicts."""
        names = ", ".join(sorted({repr(job.name) for job in jobs}))
        return cls(
            f"{names}: an exclusive job of this name is active, or the unique key is held; roll "
            "the transaction back"
        )

    @classmethod
    def held(cls, name: str, unique_key: str, holder_id: object) -> JobConflictError:
        """Return the error for a job whose unique key is held by another job."""
        return cls(f"unique_key: {unique_key!r} of {name!r} is held by the job {holder_id}")

    @classmethod
    def held_by_another_order(cls, unique_key: str, holder_id: object) -> JobConflictError:
        """Return the error for a job with other parents than the job that holds its unique key."""
        return cls(
            f"unique_key: {unique_key!r} is held by the job {holder_id}, which comes after other "
            "jobs than `after` says, and would be returned as it is; write "
            "on_conflict='replace' to replace it, or 'skip', or the same `after`"
        )


class JobStateError(JobProcessorError):
    """The state of the job does not allow this; the message names the state and what is allowed."""


class GroupNotFoundError(JobProcessorError, LookupError):
    """No group has this id: it never existed, or it is no longer in the history."""

    def __init__(self, group_id: object) -> None:
        super().__init__(f"there is no group {group_id}")
        self.group_id = group_id


class FlowNotFoundError(JobProcessorError, LookupError):
    """No flow has this id: it was never started, or it is no longer in the history."""

    def __init__(self, flow_id: object) -> None:
        super().__init__(f"there is no flow {flow_id}")
        self.flow_id = flow_id


class GroupClosedError(JobProcessorError):
    """Members cannot be added to this group, or not from here; the message says why."""

    def __init__(self, group_id: object, why: str) -> None:
        super().__init__(f"group {group_id} is closed: {why}")
        self.group_id = group_id
        self.why = why

    def __reduce__(self) -> tuple[Any, ...]:
        """Tell pickle how it is made: it may be raised in another process."""
        return type(self), (self.group_id, self.why)


class AbortedError(JobProcessorError):
    """The run has to stop: raised by `AbortSignal.raise_if_aborted()`; `reason` says why."""

    def __init__(self, reason: object) -> None:
        super().__init__(f"aborted: {reason}")
        self.reason = reason


class ProcessDiedError(JobProcessorError):
    """The process of a handler with `executor="process"` died; the message says how."""


def how_to_install(extra: str) -> str:
    """Return the commands that install an optional part of the package, either of them."""
    wanted = f"'job-processor[{extra}]'"
    return f"pip install {wanted}, or: uv add {wanted}"


class MissingExtraError(JobProcessorError, ImportError):
    """An optional dependency is not installed; the message has the command that installs it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs more packages: {how_to_install(extra)}")
        self.extra = extra


class NotSetUpError(JobProcessorError):
    """The processor was used before `setup()` or after `close()`."""


class WorkerStateError(JobProcessorError):
    """A worker of this processor runs already, or one of its background tasks failed."""


class LifespanError(JobProcessorError):
    """The lifespan of the processor failed when it was entered; `__cause__` is its exception.

    The worker did not start: it is not registered, and it claimed no job.
    """


class SearchLimitError(JobProcessorError):
    """A search without an index was refused because others run, or it took too long."""


class StoreError(JobProcessorError):
    """The database failed. The operation may or may not have been done."""


class BulkError(StoreError):
    """Some jobs of a bulk write could not be stored; `__cause__` is the reason.

    Positions count from 0 in the order of the given jobs. Jobs after the last of these positions
    were not read from the iterable; handle the failed ones, then continue from there.
    """

    def __init__(
        self, written: int, not_written: tuple[int, ...], unknown: tuple[int, ...]
    ) -> None:
        super().__init__(written, not_written, unknown)
        self.written = written
        """The number of jobs that were stored."""
        self.not_written = not_written
        """The positions of jobs that were not stored."""
        self.unknown = unknown
        """The positions of jobs that may be stored or not, because the database did not answer."""

    def __str__(self) -> str:
        told = f"{self.written} jobs were stored, {len(self.not_written)} were not"
        if self.unknown:
            told += f", {len(self.unknown)} may or may not be stored"
        return f"{told}: {self.__cause__}" if self.__cause__ is not None else told


class StoreSetupError(StoreError):
    """The database cannot be used as it is: an index differs, or a privilege is missing."""


class StoreRefusedError(StoreError):
    """The database refuses this data: its size, a value, a validator, or an index of yours.

    Nothing of it was stored, and the same call fails again.
    """


class StoreUnavailableError(StoreError):
    """The database did not answer; try again later. The message has its address."""


def shorten(text: str, limit: int) -> str:
    """Return `text`, its middle cut out where it is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    marker = f" … {len(text) - limit} characters left out … "
    head = max((limit - len(marker)) * 2 // 3, 0)
    tail = max(limit - len(marker) - head, 0)
    return text[:head] + marker + (text[-tail:] if tail else "")
