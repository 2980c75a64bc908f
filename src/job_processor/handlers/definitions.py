"""What the user defines: jobs, crons, and the registry of their names."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.util import find_spec
from typing import Any, ClassVar, Literal, TypeAlias, TypedDict

from job_processor import schedule
from job_processor.errors import DefinitionError, InvalidArgumentError, UnknownJobError
from job_processor.handlers.binding import BoundHandler, Door, bind_handler
from job_processor.handlers.callables import is_generator
from job_processor.handlers.retries import Retry, as_retry
from job_processor.settings import check_name, check_positive, check_text, time_zone

Handler: TypeAlias = Callable[..., Any]
ExitHook: TypeAlias = Callable[[Any], Awaitable[object] | object]
Misfire: TypeAlias = Literal["once", "skip", "all"]
Executor: TypeAlias = Literal["async", "thread", "process"]


class JobOptions(TypedDict, total=False):
    """The options of a `JobDef`; of the decorator, and defaults of a processor."""

    on_job_exited: ExitHook | None
    resumable: bool
    tag: str | None
    exclusive: bool
    max_runtime_in_minutes: float | None
    retry: Retry | int | None
    discard_result: bool
    executor: Executor | None


class CronOptions(JobOptions, total=False):
    """The options of a `CronDef`, beside when it fires."""

    checkin_margin: float
    timezone: str | None
    misfire: Misfire


@dataclass(frozen=True, slots=True)
class JobDef:
    """A job by name: what runs it and how.

    handler: async or plain function; gets what its parameters are named after (`job`, `signal`,
        `payload`, `context`). All others are fields of the payload, by their annotations; required
        ones without an annotation get `(job, signal)` by position, with a warning. A plain function
        runs in a thread. None: this process only schedules such jobs, others run them.
    on_job_exited: called once with the job as last written when it has finished, errored or was
        killed while it ran, a crash included.
    resumable: after a shutdown or a crash it is paused and taken up again, else it is errored.
    tag: only workers that serve this tag run it.
    exclusive: while one is pending, running or paused, a new one is stored as skipped.
    max_runtime_in_minutes: then it is interrupted, by force if need be, and errored.
    retry: what follows a failed attempt: a `Retry`, a number of attempts, or None: nothing.
    executor: where it runs: `async` in the worker's event loop, `thread` in a thread, `process` in
        a process of its own, which can be stopped by force, gives its memory back, and takes
        nothing else down with it; None: `async` or `thread`, as the handler is.
    discard_result: what the handler returns is not kept.

    Raises DefinitionError when one of these cannot work.
    """

    _door: ClassVar[Door] = Door(by_position=("job", "signal"))
    """How the function becomes a handler."""

    handler: Handler | None
    on_job_exited: ExitHook | None = None
    resumable: bool = False
    tag: str | None = None
    exclusive: bool = False
    max_runtime_in_minutes: float | None = None
    retry: Retry | int | None = None
    discard_result: bool = False
    executor: Executor | None = None
    bound: BoundHandler = field(init=False, repr=False, compare=False)
    retries: Retry | None = field(init=False, repr=False, compare=False)
    """What `retry` means."""

    def __post_init__(self) -> None:
        handler = _elsewhere if self.handler is None else self.handler
        object.__setattr__(self, "bound", bind_handler(handler, self._door))
        _check_common(self)


@dataclass(frozen=True, slots=True)
class CronDef:
    """A cron by name: when it fires, what runs it and how.

    cron_string: 5 fields, 6 with seconds first, or an alias such as `@hourly`.
    handler: as a job's, but a cron has no payload: parameters of other names have a default, or no
        annotation, and then they get `(signal, job)`, with a warning.
    checkin_margin: minutes of tolerance between planned and actual start; a later start is missed.
    timezone: IANA name; None: the processor's.
    misfire: what follows missed occurrences: `once` runs the standing one, `skip` settles it as
        skipped, `all` adds the others, at most 100.
    on_job_exited, resumable, max_runtime_in_minutes, tag, exclusive, retry, discard_result,
        executor: as a job's.

    Raises DefinitionError when one of these cannot work.
    """

    _door: ClassVar[Door] = Door(by_position=("signal", "job"), takes_fields=False)
    """How the function becomes a handler."""

    cron_string: str
    handler: Handler
    on_job_exited: ExitHook | None = None
    resumable: bool = False
    checkin_margin: float = 5
    max_runtime_in_minutes: float | None = None
    tag: str | None = None
    exclusive: bool = False
    timezone: str | None = None
    misfire: Misfire = "once"
    retry: Retry | int | None = None
    discard_result: bool = False
    executor: Executor | None = None
    bound: BoundHandler = field(init=False, repr=False, compare=False)
    retries: Retry | None = field(init=False, repr=False, compare=False)
    """What `retry` means."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "bound", bind_handler(self.handler, self._door))
        _check_common(self)
        with _as_definition_error():
            schedule.parse(self.cron_string)
            if self.timezone is not None:
                time_zone(self.timezone)
            check_positive("checkin_margin", self.checkin_margin)
        if self.misfire not in ("once", "skip", "all"):
            raise DefinitionError("misfire", self.misfire, "allowed are 'once', 'skip' and 'all'")

    def fingerprint(self, default_timezone: str) -> str:
        """Return a hash of what decides when it fires: the expression and the zone."""
        text = f"{schedule.parse(self.cron_string)}\n{self.timezone or default_timezone}"
        return sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class DecoratedJob(JobDef):
    """A job that is defined by decorating its handler: nothing is given by position."""

    _door: ClassVar[Door] = Door()


@dataclass(frozen=True, slots=True)
class DecoratedCron(CronDef):
    """A cron that is defined by decorating its handler: nothing is given by position."""

    _door: ClassVar[Door] = Door(takes_fields=False)


Definition: TypeAlias = JobDef | CronDef


class Registry:
    """The jobs and crons of one processor, by name.

    `jobs` holds those that are only scheduled here, too; whatever else asks, asks for those that
    can be run here.
    """

    def __init__(self, jobs: Mapping[str, JobDef], crons: Mapping[str, CronDef]) -> None:
        self.jobs: dict[str, JobDef] = {}
        self.crons: dict[str, CronDef] = {}
        self._served: dict[tuple[str, ...] | None, tuple[str, ...]] = {}
        for argument, given in (("jobs", jobs), ("crons", crons)):
            if not isinstance(given, Mapping):
                raise InvalidArgumentError(
                    argument, given, "allowed is a mapping of names to definitions"
                )
        for name, job in jobs.items():
            self.add_job(name, job)
        for name, cron in crons.items():
            self.add_cron(name, cron)

    def add(self, name: str, definition: Definition) -> None:
        """Add a job or a cron; raise DefinitionError when the name is taken."""
        if isinstance(definition, CronDef):
            self.add_cron(name, definition)
        else:
            self.add_job(name, definition)

    def add_job(self, name: str, definition: JobDef) -> None:
        """Add a job; raise DefinitionError when the name is taken or it is no JobDef."""
        if not isinstance(definition, JobDef):
            raise DefinitionError(f"jobs[{name!r}]", definition, "allowed is a JobDef")
        self._check_new(name, definition, self.jobs.get(name))
        self.jobs[name] = definition

    def add_cron(self, name: str, definition: CronDef) -> None:
        """Add a cron; raise DefinitionError when the name is taken or it is no CronDef."""
        if not isinstance(definition, CronDef):
            raise DefinitionError(f"crons[{name!r}]", definition, "allowed is a CronDef")
        self._check_new(name, definition, self.crons.get(name))
        self.crons[name] = definition

    def get(self, name: str) -> Definition | None:
        """Return the definition of a job or cron that can be run here; None: there is none."""
        definition = self.jobs.get(name) or self.crons.get(name)
        return definition if definition is not None and definition.handler is not None else None

    def job(self, name: str) -> JobDef:
        """Return the definition of a job; raise UnknownJobError when there is none."""
        definition = self.jobs.get(name) if isinstance(name, str) else None
        if definition is None:
            known = ", ".join(repr(known) for known in sorted(self.jobs)) or "none yet"
            raise UnknownJobError("name", name, f"the jobs defined here are: {known}")
        return definition

    def runnable(self, name: str) -> JobDef:
        """Return the definition of a job that can be run here; raise UnknownJobError."""
        definition = self.job(name)
        if definition.handler is None:
            raise UnknownJobError("name", name, "it has no handler here, it can only be scheduled")
        return definition

    def served(self, tags: tuple[str, ...] | None) -> tuple[str, ...]:
        """Return the names that a worker with these tags takes; None stands for all tags."""
        names = self._served.get(tags)
        if names is None:
            names = tuple(
                name for name, each in self if not each.tag or tags is None or each.tag in tags
            )
            self._served[tags] = names
        return names

    def unknown_tags(self, tags: tuple[str, ...]) -> list[str]:
        """Return those of `tags` that no definition has."""
        known = {job.tag for job in self.jobs.values()} | {c.tag for c in self.crons.values()}
        return [tag for tag in tags if tag not in known]

    def __iter__(self) -> Iterator[tuple[str, Definition]]:
        yield from ((name, job) for name, job in self.jobs.items() if job.handler is not None)
        yield from self.crons.items()

    def _check_new(self, name: str, new: Definition, old: Definition | None) -> None:
        with _as_definition_error():
            check_name("name", name)
        again = old is not None and _is_defined_again(old, new)
        if not again and (name in self.jobs or name in self.crons):
            raise DefinitionError("name", name, "allowed is a name that no job or cron has yet")
        self._served.clear()


def _is_defined_again(old: Definition, new: Definition) -> bool:
    """Tell whether the same function is defined once more by hand, as in a cell that runs again."""
    if not hasattr(sys, "ps1"):  # which an interactive session has
        return False
    places = {
        (getattr(each.handler, "__module__", None), getattr(each.handler, "__qualname__", each))
        for each in (old, new)
    }
    return len(places) == 1 and places.pop()[0] == "__main__"


def _elsewhere() -> None:
    """Stand in for a handler that another process has."""


class _as_definition_error:  # noqa: N801  # reads as a statement: with _as_definition_error()
    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, InvalidArgumentError) and not isinstance(error, DefinitionError):
            raise DefinitionError(error.argument, error.value, error.allowed) from error


def _check_common(definition: Definition) -> None:
    hook, tag = definition.on_job_exited, definition.tag
    if hook is not None and not callable(hook):
        raise DefinitionError("on_job_exited", hook, "allowed is a function of one argument")
    if hook is not None and is_generator(hook):
        allowed = "it has a yield, so a call of it would run nothing; allowed is one without"
        raise DefinitionError("on_job_exited", hook, allowed)
    if tag is not None and (not isinstance(tag, str) or not tag.strip()):
        raise DefinitionError("tag", tag, "allowed is None or a non-empty str")
    if tag is not None:
        with _as_definition_error():
            check_text("tag", tag)
    for flag in ("resumable", "exclusive", "discard_result"):
        if not isinstance(getattr(definition, flag), bool):
            raise DefinitionError(flag, getattr(definition, flag), "allowed are True and False")
    _check_executor(definition)
    with _as_definition_error():
        object.__setattr__(definition, "retries", as_retry(definition.retry))
    if definition.max_runtime_in_minutes is not None:
        with _as_definition_error():
            check_positive("max_runtime_in_minutes", definition.max_runtime_in_minutes)


def _check_executor(definition: Definition) -> None:
    executor, function = definition.executor, definition.bound.function
    usual = "async" if definition.bound.is_async else "thread"
    if executor in (None, usual):
        return
    if executor != "process":
        allowed = f"allowed for this handler are {usual!r} and 'process'"
        raise DefinitionError("executor", executor, allowed)
    if find_spec("pebble") is None:
        missing = "it needs pebble: pip install 'job-processor[processes]'"
        raise DefinitionError("executor", executor, missing)
    name = getattr(function, "__qualname__", "<no name>")
    if "<" in name or getattr(function, "__module__", None) is None:
        allowed = "allowed in a process is a function at the top of a module, which imports it"
        raise DefinitionError("handler", function, allowed)
