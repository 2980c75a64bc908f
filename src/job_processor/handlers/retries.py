"""When a failed attempt is tried again, and how much later."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from job_processor.errors import InvalidArgumentError
from job_processor.settings import Duration, check_int, duration

Backoff: TypeAlias = Literal["exponential", "linear", "constant"]
Errors: TypeAlias = tuple[type[BaseException], ...]

_BACKOFFS = ("exponential", "linear", "constant")


@dataclass(frozen=True, slots=True)
class Retry:
    """Retries of a failed attempt: how many, after which errors, with which delay (backoff).

    max_attempts: number of attempts, the first one included.
    backoff: how the delay grows from attempt to attempt: `exponential` doubles it, `linear` adds
        `delay` to it, `constant` keeps it.
    delay: seconds, or a timedelta, from the end of the first failed attempt to the second.
    max_delay: seconds, or a timedelta; the longest delay.
    jitter: wait for a random time between half of the delay and all of it, so that jobs which
        failed together do not retry together.
    retry_on: classes of exceptions to retry; of an exception group, each member must be one. A
        crash, an interruption and a timeout are always retried.
    give_up_on: classes of exceptions not to retry, even if `retry_on` has them.

    ```python
    @processor.job(retry=Retry(max_attempts=5, delay=10, retry_on=(ConnectionError,)))
    async def charge(order: int) -> None: ...
    ```

    Raises InvalidArgumentError for a value that is not allowed.
    """

    max_attempts: int = 3
    backoff: Backoff = "exponential"
    delay: Duration = 1.0
    max_delay: Duration = 3600.0
    jitter: bool = True
    retry_on: Errors = (Exception,)
    give_up_on: Errors = ()

    def __post_init__(self) -> None:
        check_int("max_attempts", self.max_attempts, minimum=1)
        for name in ("delay", "max_delay"):
            object.__setattr__(self, name, duration(name, getattr(self, name), zero=True))
        if self.backoff not in _BACKOFFS:
            allowed = "allowed are 'exponential', 'linear' and 'constant'"
            raise InvalidArgumentError("backoff", self.backoff, allowed)
        if not isinstance(self.jitter, bool):
            raise InvalidArgumentError("jitter", self.jitter, "allowed are True and False")
        for argument in ("retry_on", "give_up_on"):
            object.__setattr__(self, argument, _errors(argument, getattr(self, argument)))

    def is_for(self, error: BaseException) -> bool:
        """Return True if an attempt that raised this error is retried.

        Of an exception group, each member must be one that is retried; `RetryLater` and `Snooze`
        are ignored in it.
        """
        members = [each for each in leaves(error) if not isinstance(each, RetryLater | Snooze)]
        if any(isinstance(each, self.give_up_on) for each in (error, *members)):
            return False
        return isinstance(error, self.retry_on) or all(
            isinstance(each, self.retry_on) for each in members
        )

    def pause(self, attempt: int) -> float:
        """Return the seconds from the end of attempt number `attempt`, from 1, to the next one."""
        delay, most = float(self.delay), float(self.max_delay)  # type: ignore[arg-type]  # measured
        if self.backoff == "exponential":
            # No more doublings than matter: from there on it is `max_delay`.
            pause = delay * 2.0 ** min(attempt - 1, 1000)
        elif self.backoff == "linear":
            pause = delay * attempt
        else:
            pause = delay
        pause = min(pause, most)
        return pause * random.uniform(0.5, 1.0) if self.jitter else pause


class RetryLater(Exception):  # noqa: N818  # what a handler says, not what went wrong
    """Raise it in a handler: this attempt failed, retry after `delay` seconds.

    It counts as an attempt. A job without a `Retry` gets as many attempts as `Retry()` has. After
    the last attempt the job is errored with `message`.

    message: the error of this attempt.
    delay: seconds, or a timedelta.

    ```python
    raise RetryLater("the mail server is busy", delay=60)
    ```
    """

    def __init__(self, message: str = "", *, delay: Duration) -> None:
        self.delay = duration("delay", delay, zero=True)
        super().__init__(message or f"to be tried again in {self.delay:g} s")

    def __reduce__(self) -> tuple[Any, ...]:
        """Tell pickle how it is made: it may be raised in a process of its own."""
        return _made_again, (type(self), self.args), self.__dict__


class Snooze(Exception):  # noqa: N818  # see above
    """Raise it in a handler: it is too early, run again after `delay` seconds.

    It does not count as an attempt, however often it is raised.

    delay: seconds, or a timedelta.
    """

    def __init__(self, *, delay: Duration) -> None:
        self.delay = duration("delay", delay, zero=True)
        super().__init__(f"snoozed for {self.delay:g} s")

    def __reduce__(self) -> tuple[Any, ...]:
        """Tell pickle how it is made: it may be raised in a process of its own."""
        return _made_again, (type(self), self.args), self.__dict__


class RateLimited(Snooze):
    """Raise it in a handler: a remote service refuses more calls, such as HTTP status 429.

    No job that shares its `rate` starts for `after` seconds, or a timedelta; then this job runs
    again. It does not count as an attempt and leaves no error. For a job without a `rate`, only
    this job waits.
    """

    def __init__(self, message: str = "", *, after: Duration) -> None:
        seconds = duration("after", after, zero=True)
        super().__init__(delay=seconds)
        self.args = (message or f"limited for {seconds:g} s",)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a handler asked for by raising a `RetryLater`, `Snooze`, `RateLimited`, or a group."""

    counts: bool
    """True where this attempt has failed, False to come back without one being counted."""
    delay: float


def wish_of(error: BaseException) -> Wish | None:
    """Return what an error asks for; None where it is a failure, or a group with one in it.

    Of a group the longest delay counts, and one `RetryLater` makes an attempt of it. Raises
    InvalidArgumentError where one has no delay.
    """
    members = leaves(error)
    if not all(isinstance(each, RetryLater | Snooze) for each in members):
        return None
    retry = any(isinstance(each, RetryLater) for each in members)
    return Wish(retry, max(map(_delay_of, members)))


def hold_of(error: BaseException) -> float | None:
    """Return for how long an error holds its rate; None where no `RateLimited` is in it.

    Raises InvalidArgumentError where one has no delay.
    """
    limited = [_delay_of(each) for each in leaves(error) if isinstance(each, RateLimited)]
    return max(limited, default=None)


def leaves(error: BaseException) -> list[BaseException]:
    """Return the exceptions of a group, of those in it too, which are no groups."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    found: list[BaseException] = []
    rest: list[BaseException] = [error]
    while rest:
        each = rest.pop()
        if isinstance(each, BaseExceptionGroup):
            rest += reversed(members_of(each))
        else:
            found.append(each)
    return found


def members_of(group: BaseExceptionGroup[Any]) -> tuple[BaseException, ...]:
    """Return the members of a group as it was made, whatever its class says."""
    members: tuple[BaseException, ...] = BaseExceptionGroup.exceptions.__get__(group)
    return members


def _delay_of(error: BaseException) -> float:
    """Return the delay of a `RetryLater` or `Snooze`, whose class may not have set it."""
    delay: Any = None
    try:
        delay = error.delay  # type: ignore[attr-defined]  # all that ask have one, or should
        return duration("delay", delay, zero=True)
    except Exception as problem:
        kind = type(error)
        allowed = (
            f"allowed is a number of seconds of at least 0, which {kind.__qualname__} has to hand "
            "on: super().__init__(…, delay=seconds)"
        )
        raise InvalidArgumentError(f"{kind.__qualname__}.delay", delay, allowed) from problem


def _made_again(kind: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    """Return an exception with these arguments, whatever the `__init__` of its class takes."""
    error = kind.__new__(kind, *args)
    error.args = args
    return error


def as_retry(value: object) -> Retry | None:
    """Return what `retry=` of a definition means; a number stands for so many attempts.

    Raises InvalidArgumentError.
    """
    if value is None or isinstance(value, Retry):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        check_int("retry", value, minimum=1)
        return Retry(max_attempts=value)
    raise InvalidArgumentError("retry", value, "allowed are None, a Retry, a number of attempts")


def _errors(argument: str, value: object) -> Errors:
    """Return classes of exceptions; a single one stands for itself."""
    classes = value if isinstance(value, tuple | list | set | frozenset) else (value,)
    for each in classes:
        if not (isinstance(each, type) and issubclass(each, BaseException)):
            raise InvalidArgumentError(argument, value, "allowed are classes of exceptions")
    return tuple(classes)
