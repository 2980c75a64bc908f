"""What the user defines: jobs, crons, and the registry of their names."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from hashlib import sha256
from importlib.util import find_spec
from typing import Any, ClassVar, Literal, TypeAlias, TypedDict, TypeVar

from job_processor import schedule
from job_processor.errors import DefinitionError, InvalidArgumentError, how_to_install
from job_processor.handlers.around import Around
from job_processor.handlers.binding import BoundHandler, Door, bind_handler
from job_processor.handlers.callables import is_generator
from job_processor.handlers.labels import Labels, as_labels
from job_processor.handlers.limits import Limit, as_limit
from job_processor.handlers.rates import Rate, as_rate
from job_processor.handlers.resources import asking, check_manager
from job_processor.handlers.retries import Retry, as_retry
from job_processor.settings import Duration, check_text, duration, time_zone

Handler: TypeAlias = Callable[..., Any]
ExitHook: TypeAlias = Callable[..., Awaitable[object] | object]
"""Gets the job; and the resources, if it has a parameter with this name."""
Misfire: TypeAlias = Literal["once", "skip", "all"]
T = TypeVar("T")
Executor: TypeAlias = Literal["async", "thread", "process"]


class CommonOptions(TypedDict, total=False):
    """The options that jobs and crons have in common."""

    on_job_exited: ExitHook | None
    resumable: bool
    tag: str | None
    exclusive: bool
    max_runtime_in_minutes: Duration | None
    retry: Retry | int | None
    discard_result: bool
    executor: Executor | None
    max_runtime: Duration | None
    around: Around | None
    rate: Rate | str | None
    limit: Limit | int | None
    labels: Labels


class JobOptions(CommonOptions, total=False):
    """The options of a `JobDef`: for `@processor.job(…)`, and for `JobProcessor(defaults=…)`."""

    batch: int | None
    batch_wait: Duration | None


class CronOptions(CommonOptions, total=False):
    """The options of a `CronDef`, for `@processor.cron(…)`."""

    every: Duration | None
    anchor: datetime | None
    checkin_margin: Duration
    timezone: str | None
    misfire: Misfire


def _noting(kind: type[T]) -> type[T]:
    """Let a definition note the names of what is given for it, be it the same as the default."""
    make: Any = kind.__init__
    names = [each.name for each in fields(kind) if each.init]  # type: ignore[arg-type]  # a dataclass

    @functools.wraps(make)
    def __init__(self: Any, *arguments: Any, **options: Any) -> None:  # noqa: N807  # that of the class
        object.__setattr__(self, "given", frozenset((*names[: len(arguments)], *options)))
        make(self, *arguments, **options)

    kind.__init__ = __init__  # type: ignore[method-assign]  # of the same signature
    return kind


@_noting
@dataclass(frozen=True, slots=True)
class JobDef:
    """The definition of a job: its handler and how it runs. `@processor.job` creates one.

    handler: async or sync function. The parameters `job`, `signal`, `payload`, `context` and
        `resources` get these objects. All other parameters are fields of the payload, checked by
        their annotations. Required parameters without an annotation get `(job, signal)` by
        position, with a warning. A sync function runs in a thread. None: this process only stores
        such jobs.
    on_job_exited: function that is called once with the job when it has finished, has errored or
        was killed while it ran, also after a crash of its worker; not before a retry.
    resumable: after a shutdown or a crash the job is paused and runs again on another worker;
        otherwise it is errored.
    tag: the queue; only workers that serve this tag run the job. None: every worker does.
    exclusive: while a job of this name is pending, running or paused, a new one is stored as
        skipped.
    max_runtime_in_minutes: timeout of a run in minutes, or a timedelta. The run is then stopped, by
        force if necessary, and errored. None: no timeout.
    retry: retries of a failed attempt: a `Retry`, or the number of attempts; None: no retry.
    executor: where the handler runs: `async` in the worker's event loop, `thread` in a thread,
        `process` in a process of its own, which can be killed, gives its memory back and can crash
        without harm to other jobs; None: `async` or `thread`, as the handler is.
    discard_result: do not store the return value of the handler.
    max_runtime: the same timeout as `max_runtime_in_minutes`, in seconds, or a timedelta.
    around: function that gets a job and returns a context manager, such as one with
        `@asynccontextmanager`; it is entered around each run of the handler. A sync one is entered
        in the handler's thread.
    rate: rate limit: how many jobs may start in a time, on all workers together: `"100/m"`, or a
        `Rate`.
    limit: concurrency limit: how many jobs of this name may run at the same time, on all workers
        together, or a `Limit`.
    labels: labels to find all jobs of this name by, besides those of each job: `["nightly"]`.
    batch: run the handler for up to this many jobs at once, at most 1,000. It gets `payloads`,
        `jobs` or `contexts`, and returns a list with a result or an exception for each job, or a
        mapping by id.
    batch_wait: seconds, or a timedelta, for which a batch that is not full waits for more jobs;
        None: it runs with the jobs that are due.

    Raises DefinitionError for an option or a combination that cannot work.
    """

    _door: ClassVar[Door] = Door(by_position=("job", "signal"))
    """How the function becomes a handler."""

    handler: Handler | None
    on_job_exited: ExitHook | None = None
    resumable: bool = False
    tag: str | None = None
    exclusive: bool = False
    max_runtime_in_minutes: Duration | None = None
    retry: Retry | int | None = None
    discard_result: bool = False
    executor: Executor | None = None
    max_runtime: Duration | None = None
    around: Around | None = None
    rate: Rate | str | None = None
    limit: Limit | int | None = None
    labels: Labels = None
    batch: int | None = None
    batch_wait: Duration | None = None
    bound: BoundHandler = field(init=False, repr=False, compare=False)
    retries: Retry | None = field(init=False, repr=False, compare=False)
    """The `Retry` that `retry` means."""
    limit_seconds: float | None = field(init=False, repr=False, compare=False)
    """The timeout in seconds; None: no timeout."""
    arounds: tuple[Around, ...] = field(init=False, repr=False, compare=False)
    """The context managers around each run, the outermost first."""
    asking: tuple[Callable[..., Any], ...] = field(init=False, repr=False, compare=False)
    """The functions of `arounds` and `on_job_exited` that also take the resources."""
    rate_limit: Rate | None = field(init=False, repr=False, compare=False)
    """The `Rate` that `rate` means."""
    limited: Limit | None = field(init=False, repr=False, compare=False)
    """The `Limit` that `limit` means."""
    labelled: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """The labels as a tuple."""
    batch_seconds: float = field(init=False, repr=False, compare=False)
    """`batch_wait` in seconds."""
    given: frozenset[str] = field(init=False, repr=False, compare=False)
    """The names of the options that were given; defaults of the processor do not replace them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "bound", _bound(self))
        with as_definition_error():
            object.__setattr__(self, "batch_seconds", _batch_seconds(self))
        check_common(self)


@_noting
@dataclass(frozen=True, slots=True)
class CronDef:
    """The definition of a cron: its times, handler and options. `@processor.cron` creates one.

    cron_string: 5 fields, 6 with seconds first, or an alias such as `@hourly`; None: see `every`.
    handler: required; as for a job, but a cron has no payload. Required parameters without an
        annotation get `(signal, job)` by position, with a warning; other parameters need a default.
    checkin_margin: minutes, or a timedelta; an occurrence that starts more than this after its time
        is missed, see `misfire`.
    timezone: IANA name; None: the processor's.
    misfire: what happens after missed occurrences: `once` runs one late occurrence and drops the
        others, `skip` runs none, `all` runs each, at most 100.
    every: interval instead of `cron_string`: a timedelta, or a number of seconds, from one
        occurrence to the next. Whole seconds; no time zone matters.
    anchor: for `every`: an aware datetime at which an occurrence falls, past or future; None: the
        start of 1970 in UTC.

    All other options are those of `JobDef`; occurrences have no key.

    Raises DefinitionError for an option or a combination that cannot work.
    """

    _door: ClassVar[Door] = Door(by_position=("signal", "job"), takes_fields=False)
    """How the function becomes a handler."""
    batch: ClassVar[None] = None
    """An occurrence runs by itself."""

    cron_string: str | None = None
    handler: Handler | None = None
    on_job_exited: ExitHook | None = None
    resumable: bool = False
    checkin_margin: Duration = 5
    max_runtime_in_minutes: Duration | None = None
    tag: str | None = None
    exclusive: bool = False
    timezone: str | None = None
    misfire: Misfire = "once"
    retry: Retry | int | None = None
    discard_result: bool = False
    executor: Executor | None = None
    max_runtime: Duration | None = None
    around: Around | None = None
    rate: Rate | str | None = None
    limit: Limit | int | None = None
    every: Duration | None = None
    anchor: datetime | None = None
    labels: Labels = None
    bound: BoundHandler = field(init=False, repr=False, compare=False)
    retries: Retry | None = field(init=False, repr=False, compare=False)
    """The `Retry` that `retry` means."""
    limit_seconds: float | None = field(init=False, repr=False, compare=False)
    """The timeout in seconds; None: no timeout."""
    arounds: tuple[Around, ...] = field(init=False, repr=False, compare=False)
    """The context managers around each run, the outermost first."""
    asking: tuple[Callable[..., Any], ...] = field(init=False, repr=False, compare=False)
    """The functions of `arounds` and `on_job_exited` that also take the resources."""
    rate_limit: Rate | None = field(init=False, repr=False, compare=False)
    """The `Rate` that `rate` means."""
    limited: Limit | None = field(init=False, repr=False, compare=False)
    """The `Limit` that `limit` means."""
    labelled: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """The labels as a tuple."""
    expression: str = field(init=False, repr=False, compare=False)
    """The cron expression, or a text for `every` and `anchor`, as it is stored."""
    margin_seconds: float = field(init=False, repr=False, compare=False)
    """`checkin_margin` in seconds."""
    given: frozenset[str] = field(init=False, repr=False, compare=False)
    """The names of the options that were given; defaults of the processor do not replace them."""

    def __post_init__(self) -> None:
        if self.handler is None:
            allowed = 'allowed is a function: CronDef("0 2 * * *", handler)'
            raise DefinitionError("handler", None, allowed)
        object.__setattr__(self, "bound", bind_handler(self.handler, self._door))
        check_common(self)
        with as_definition_error():
            object.__setattr__(self, "expression", _expression(self))
            if self.timezone is not None:
                time_zone(self.timezone)
            margin = 60 * duration("checkin_margin", self.checkin_margin, "minutes")
            object.__setattr__(self, "margin_seconds", margin)
        if self.misfire not in ("once", "skip", "all"):
            raise DefinitionError("misfire", self.misfire, "allowed are 'once', 'skip' and 'all'")

    def when(self, default_timezone: str) -> str:
        """Return the expression with its time zone, for people; an interval has no time zone."""
        if self.cron_string is None or schedule.interval_of(self.expression) is not None:
            return self.expression
        return f"{self.cron_string} in {self.timezone or default_timezone}"

    def fingerprint(self, default_timezone: str) -> str:
        """Return a hash of the expression and the time zone: it changes when the times change."""
        text = f"{self.expression}\n{self.timezone or default_timezone}"
        return sha256(text.encode()).hexdigest()[:16]


@_noting
@dataclass(frozen=True, slots=True)
class DecoratedJob(JobDef):
    """A job that is defined by decorating its handler: nothing is given by position."""

    _door: ClassVar[Door] = Door()


@_noting
@dataclass(frozen=True, slots=True)
class DecoratedCron(CronDef):
    """A cron that is defined by decorating its handler: nothing is given by position."""

    _door: ClassVar[Door] = Door(takes_fields=False)


Definition: TypeAlias = JobDef | CronDef


def _bound(definition: JobDef) -> BoundHandler:
    """Return the handler of a job, with what it gets."""
    if definition.handler is None:
        return bind_handler(_elsewhere, definition._door)  # noqa: SLF001  # of this module
    if definition.batch is not None:
        from job_processor.handlers.batches import bind_batch  # noqa: PLC0415  # few have any

        return bind_batch(definition.handler)
    return bind_handler(definition.handler, definition._door)  # noqa: SLF001  # the same


def _batch_seconds(definition: JobDef) -> float:
    if definition.batch is None and definition.batch_wait is None:
        return 0.0
    from job_processor.handlers.batches import check_batch  # noqa: PLC0415  # few have any

    return check_batch(definition)


def _elsewhere() -> None:
    """Stand in for a handler that another process has."""


def _expression(cron: CronDef) -> str:
    """Return when a cron fires; raises InvalidArgumentError unless exactly one thing says so."""
    if cron.every is None and cron.anchor is not None:
        allowed = "it is of an interval: give every=timedelta(…), too"
        raise InvalidArgumentError("anchor", cron.anchor, allowed)
    if cron.every is None and cron.cron_string is None:
        allowed = 'a cron needs to know when: give "0 2 * * *", or every=timedelta(minutes=5)'
        raise InvalidArgumentError("cron_string", None, allowed)
    if cron.every is None:
        return schedule.parse(cron.cron_string)
    if cron.cron_string is not None:
        allowed = "a cron has an expression or an interval; give one of them"
        raise InvalidArgumentError("every", cron.every, allowed)
    if cron.timezone is not None:
        allowed = "an interval is the same in all zones; leave it out, or write a cron expression"
        raise InvalidArgumentError("timezone", cron.timezone, allowed)
    return schedule.interval_expression(cron.every, cron.anchor)


class as_definition_error:  # noqa: N801  # reads as a statement: with as_definition_error()
    """Makes a DefinitionError of what is not allowed inside of it."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, InvalidArgumentError) and not isinstance(error, DefinitionError):
            raise DefinitionError(error.argument, error.value, error.allowed) from error


def check_common(definition: Definition) -> None:
    """Check what jobs and crons have in common, and take down what it means.

    Raises DefinitionError.
    """
    hook, tag = definition.on_job_exited, definition.tag
    if hook is not None and not callable(hook):
        raise DefinitionError("on_job_exited", hook, "allowed is a function of one argument")
    if hook is not None and is_generator(hook):
        allowed = "it has a yield, so a call of it would run nothing; allowed is one without"
        raise DefinitionError("on_job_exited", hook, allowed)
    if tag is not None and (not isinstance(tag, str) or not tag.strip()):
        raise DefinitionError("tag", tag, "allowed is None or a non-empty str")
    if tag is not None:
        with as_definition_error():
            check_text("tag", tag)
    for flag in ("resumable", "exclusive", "discard_result"):
        if not isinstance(getattr(definition, flag), bool):
            raise DefinitionError(flag, getattr(definition, flag), "allowed are True and False")
    _check_executor(definition)
    with as_definition_error():
        object.__setattr__(definition, "retries", as_retry(definition.retry))
    with as_definition_error():
        object.__setattr__(definition, "limit_seconds", _limit(definition))
    with as_definition_error():
        object.__setattr__(definition, "rate_limit", as_rate(definition.rate))
    with as_definition_error():
        object.__setattr__(definition, "limited", as_limit(definition.limit))
    with as_definition_error():
        object.__setattr__(definition, "labelled", as_labels(definition.labels))
    _check_keys(definition)
    check_manager("around", definition.around, "job")
    arounds = () if definition.around is None else (definition.around,)
    object.__setattr__(definition, "arounds", arounds)
    object.__setattr__(definition, "asking", asking(*arounds, hook))


def _limit(definition: Definition) -> float | None:
    """Return the seconds that a run may take."""
    minutes, limit = definition.max_runtime_in_minutes, definition.max_runtime
    if limit is not None and minutes is not None:
        allowed = "it is the same as max_runtime_in_minutes; give one of them"
        raise InvalidArgumentError("max_runtime", limit, allowed)
    if minutes is not None:
        return 60 * duration("max_runtime_in_minutes", minutes, "minutes")
    return None if limit is None else duration("max_runtime", limit)


def _check_keys(definition: Definition) -> None:
    """Check that a limit, and a rate, has a key only where there is one to be had."""
    limit, rate = definition.limited, definition.rate_limit
    if limit is not None and limit.key is not None:
        _check_key(definition, "limit", limit.key, "limit=1, or give a group")
    if rate is not None and rate.key is not None:
        _check_key(definition, "rate", rate.key, f'rate="{rate}", or give a group without a key')


def _check_key(definition: Definition, argument: str, key: object, instead: str) -> None:
    if isinstance(definition, CronDef):
        allowed = f"an occurrence has no payload, so no key; write {instead}"
        raise DefinitionError(argument, getattr(definition, argument), allowed)
    fields = definition.bound.fields
    if isinstance(key, str) and fields is not None and definition.handler is not None:
        known = fields.parameters
        if fields.is_open:
            return
        if key.partition(".")[0] not in known and key not in known:
            told = ", ".join(map(repr, known))
            allowed = f"the handler has no such field; allowed is one of its fields: {told}"
            raise DefinitionError("key", key, allowed)


def _check_executor(definition: Definition) -> None:
    executor, function = definition.executor, definition.bound.function
    usual = "async" if definition.bound.is_async else "thread"
    if executor in (None, usual):
        return
    if executor != "process":
        allowed = f"allowed for this handler are {usual!r} and 'process'"
        raise DefinitionError("executor", executor, allowed)
    if find_spec("pebble") is None:
        missing = f"it needs pebble: {how_to_install('processes')}"
        raise DefinitionError("executor", executor, missing)
    check_importable("handler", function)
    if definition.around is not None:
        check_importable("around", definition.around)


def check_importable(argument: str, function: object) -> None:
    """Raise DefinitionError for a function that another process does not find by its name."""
    name = getattr(function, "__qualname__", "<no name>")
    of_object = inspect.ismethod(function) and not isinstance(function.__self__, type)
    if "<" in name or getattr(function, "__module__", None) is None or of_object:
        allowed = "allowed in a process is a function at the top of a module, which imports it"
        raise DefinitionError(argument, function, allowed)
