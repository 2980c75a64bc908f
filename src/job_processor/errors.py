"""Every error that Job Processor raises, under one root."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

_SHOWN = 20  # names that an error lists


class JobProcessorError(Exception):
    """Root of every error that Job Processor raises."""


class InvalidArgumentError(JobProcessorError, ValueError):
    """A value that was passed in is not allowed.

    The message names the argument, the value and what is allowed; the same three are attributes.
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
    """A JobDef or CronDef cannot work: its handler, expression, time zone, tag or limits."""


class SharedDatabaseError(InvalidArgumentError):
    """The Node package works on this database too, and what was asked for cannot be had beside it.

    The message names the feature, why it cannot be had, and what to do.
    """


class MigrationError(JobProcessorError):
    """Something stands in the way of a move from the Node package; the message says what to do."""


class UnknownJobError(InvalidArgumentError):
    """A job was asked for by a name that this processor does not define."""


def unknown(argument: str, name: object, what: str, known: Iterable[str]) -> UnknownJobError:
    """Return the error that names the nearest of those that are known, and then these."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, 1) if isinstance(name, str) else []
    meant = f"did you mean {near[0]!r}? " if near else ""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    there = ", ".join(map(repr, names[:_SHOWN])) or "none yet"
    return UnknownJobError(argument, name, f"{meant}{what} are: {there}{more}")


class PayloadError(InvalidArgumentError):
    """A payload cannot be stored: its type, one of its values, or its size.

    Neither the message nor `value` has anything of the payload: they go to logs and pages. They
    tell the field and the type of what is in it.
    """

    def __init__(self, argument: str, value: Any, allowed: str) -> None:
        super().__init__(argument, Unshown.of(value), allowed)


class InvalidPayloadError(PayloadError):
    """A payload is not of the class that its handler names.

    The message is its library's, without the values that it repeats.
    """


class CodecError(JobProcessorError):
    """What a codec has encoded cannot be decoded: no codec here, another one, or it is gone."""


class MissingKeyError(CodecError):
    """What was encrypted by a key that is not there; `key_id` names it, `known` those that are."""

    def __init__(self, key_id: str, known: Iterable[str] = ()) -> None:
        self.key_id = key_id
        self.known = tuple(known)
        told = ", ".join(map(repr, self.known)) or "none"
        super().__init__(
            f"it was encrypted by the key {key_id!r}, and those that are here are {told}; keep an "
            "old key for as long as anything that it encrypted is kept"
        )


class JobNotFoundError(JobProcessorError, LookupError):
    """No job has this id (it never existed, or its history was removed)."""

    def __init__(self, job_id: object) -> None:
        super().__init__(f"no job has the id {job_id}")
        self.job_id = job_id


class ScheduleNotFoundError(JobProcessorError, LookupError):
    """No schedule that was made at run time has this name."""

    def __init__(self, name: object) -> None:
        super().__init__(
            f"there is no schedule {name!r}; processor.schedules() lists those that there are"
        )
        self.name = name


class JobTimeoutError(JobProcessorError, TimeoutError):
    """A job was not settled within the time given to `wait_for_job`."""


class JobFailed(JobProcessorError):  # noqa: N818  # the name by which its users know it
    """A job ended without a result: `status` says how, `error` has its failure and traceback."""

    def __init__(self, name: str, job_id: object, status: str, error: str | None) -> None:
        super().__init__(f"job {name!r} ({job_id}) {status}" + (f": {error}" if error else ""))
        self.name = name
        self.job_id = job_id
        self.status = status
        self.error = error


class JobConflictError(JobProcessorError):
    """Another job is in the way: an exclusive one is active, or a unique key is held."""

    @classmethod
    def of(cls, job_id: object) -> JobConflictError:
        """Return the error for a job that would have to wait beside the active one."""
        return cls(
            f"job {job_id} is exclusive and another one of its name is active, or another one "
            "holds its unique key"
        )

    @classmethod
    def in_transaction(cls, jobs: Sequence[Any]) -> JobConflictError:
        """Return the error for jobs of a caller's transaction, one of which may not be active."""
        names = ", ".join(sorted({repr(job.name) for job in jobs}))
        return cls(
            f"{names}: an exclusive job of this name is active, or the unique key is held; roll "
            "the transaction back"
        )

    @classmethod
    def held(cls, name: str, unique_key: str, holder_id: object) -> JobConflictError:
        """Return the error for a job whose unique key another one holds."""
        return cls(f"unique_key: {unique_key!r} of {name!r} is held by the job {holder_id}")

    @classmethod
    def held_by_another_order(cls, unique_key: str, holder_id: object) -> JobConflictError:
        """Return the error for a job that comes after others than the one in its place."""
        return cls(
            f"unique_key: {unique_key!r} is held by the job {holder_id}, which comes after other "
            "jobs than `after` says, and would be returned as it is; write "
            "on_conflict='replace' to have this one in its place, or 'skip', or the same `after`"
        )


class JobStateError(JobProcessorError):
    """A job is not in a state in which this can be done with it; the message tells both."""


class GroupNotFoundError(JobProcessorError, LookupError):
    """There is no group of this id: it never was, or history has removed it."""

    def __init__(self, group_id: object) -> None:
        super().__init__(f"there is no group {group_id}")
        self.group_id = group_id


class FlowNotFoundError(JobProcessorError, LookupError):
    """There is no job of a flow of this id: it never started, or history has removed it."""

    def __init__(self, flow_id: object) -> None:
        super().__init__(f"there is no flow {flow_id}")
        self.flow_id = flow_id


class GroupClosedError(JobProcessorError):
    """Nothing can be added to a group any more, or not by who tries; the message tells why."""

    def __init__(self, group_id: object, why: str) -> None:
        super().__init__(f"group {group_id} is closed: {why}")
        self.group_id = group_id
        self.why = why

    def __reduce__(self) -> tuple[Any, ...]:
        """Tell pickle how it is made: it may be raised in another process."""
        return type(self), (self.group_id, self.why)


class AbortedError(JobProcessorError):
    """Raised by `AbortSignal.raise_if_aborted()`; `reason` says why the run should stop."""

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
    """Something is imported that an optional part of the package needs; the message names it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs more packages: {how_to_install(extra)}")
        self.extra = extra


class NotSetUpError(JobProcessorError):
    """The processor was used before `setup()` or after `close()`."""


class WorkerStateError(JobProcessorError):
    """A worker of this processor runs already, or a background task of it died."""


class LifespanError(JobProcessorError):
    """The lifespan of a processor failed as it was entered; the cause is what it raised.

    Nothing runs then: no worker is registered, and no job claimed.
    """


class SearchLimitError(JobProcessorError):
    """A search that looks through jobs was refused: too many do so, or it took too long."""


class StoreError(JobProcessorError):
    """The database failed. What was asked for may have happened all the same, or may later."""


class BulkError(StoreError):
    """A part of many jobs could not be stored; the cause says why.

    Positions count from 0 in the order in which the jobs were given. What follows the last of them
    was not taken from the iterable any more.
    """

    def __init__(
        self, written: int, not_written: tuple[int, ...], unknown: tuple[int, ...]
    ) -> None:
        super().__init__(written, not_written, unknown)
        self.written = written
        """How many were stored."""
        self.not_written = not_written
        """Positions of those that were not stored."""
        self.unknown = unknown
        """Positions of those that may be stored or not: the database does not answer."""

    def __str__(self) -> str:
        told = f"{self.written} jobs were stored, {len(self.not_written)} were not"
        if self.unknown:
            told += f", of {len(self.unknown)} nobody knows"
        return f"{told}: {self.__cause__}" if self.__cause__ is not None else told


class StoreSetupError(StoreError):
    """The database cannot serve as it is: not a database, an index that differs, no privilege."""


class StoreRefusedError(StoreError):
    """The database cannot store this very input: its size, a value, a validator, an index of yours.

    Nothing of it is stored, and the same call fails again.
    """


class StoreUnavailableError(StoreError):
    """The database did not answer; the same call may succeed later. The message has its address."""


def shorten(text: str, limit: int) -> str:
    """Return `text`, its middle cut out where it is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    marker = f" … {len(text) - limit} characters left out … "
    head = max((limit - len(marker)) * 2 // 3, 0)
    tail = max(limit - len(marker) - head, 0)
    return text[:head] + marker + (text[-tail:] if tail else "")
