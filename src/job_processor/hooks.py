"""What an integration is, and what it sees of the processor that it is installed in."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from job_processor.events import Listener
from job_processor.handlers.definitions import Definition
from job_processor.listeners import Listeners
from job_processor.models import BaseJob, Job, JobStatus, Vitals, make
from job_processor.settings import Settings
from job_processor.texts import storable


@dataclass(frozen=True, slots=True)
class Host:
    """The processor, as an integration sees it. Everything is safe to call in the event loop."""

    logger: logging.Logger | Any
    settings: Settings
    listen: Callable[[Listener], Callable[[], None]]
    """Calls a listener with each event; returns a function that stops it."""
    around_handlers: Callable[[Scope], Callable[[], None]]
    """Enters a context manager around each handler; returns a function that stops it."""
    wrap_calls: Callable[[Wrapper], Callable[[], None]]
    """Lets a function replace the calls of handlers, of `on_job_exited` and of the lifespan, in the
    thread in which they run; returns a function that stops it.
    """
    preload: Callable[[str], None]
    """Imports a module in each handler process before the module of the handler, for code that must
    be set up there.
    """
    stamp: Callable[[Stamp], Callable[[], None]]
    """Lets a function add fields to each job before it is stored; returns a function that stops it.
    """
    definition: Callable[[str], Definition | None]
    """Returns the definition of a job or cron with a handler in this process; None: there is none.
    """
    get_status: Callable[[], Awaitable[dict[str, Any]]]
    """That of the processor, which must be set up."""
    get_vitals: Callable[[], Awaitable[Vitals]]
    """That of the processor; cheap for any size of database."""
    count_waiting: Callable[[], Awaitable[dict[str, int]]]
    """That of the processor; cheap for any size of database."""
    count_parked: Callable[[], Awaitable[dict[str, int]]]
    """That of the processor; cheap for any size of database."""
    get_scaling: Callable[..., Awaitable[Any]]
    """That of the processor."""


@runtime_checkable
class Integration(Protocol):
    """Connects a processor with another system; pass it to `JobProcessor(integrations=[…])`.

    It is an object with a method `install`, which gets the `Host`.
    """

    def install(self, host: Host) -> None:
        """Start listening; called once for each processor, when the processor is created."""


@dataclass(slots=True)
class HandlerRun:
    """One run of a handler, as a `Scope` gets it."""

    job: Job
    """The job as it was when the worker claimed it."""
    status: JobStatus | None = None
    """The new state of the job, set before the scope is left (PENDING: it is retried); None if the
    job was taken from this worker.
    """
    error: BaseException | None = None
    """The exception of the handler, if that is why the attempt failed; set before the scope is
    left.
    """


Scope: TypeAlias = Callable[[HandlerRun], AbstractContextManager[object]]
"""Gets the run and returns a context manager, which is entered around the handler."""
Call: TypeAlias = Callable[[], Any]
Wrapper: TypeAlias = Callable[[Call, bool], Call]
"""Gets a call of a handler or of `on_job_exited`, and whether it is async; returns the call to make
instead, in the same thread or event loop. An exception of that call is one of the handler. A
lifespan is one async call, from entering to leaving it.
"""


class Scopes:
    """The scopes of one processor. One that fails is logged and harms nothing.

    They are entered and left in the context that the handler runs in, whose copy its thread has.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self.around: Listeners[Scope] = Listeners()
        """What is entered before a handler and left after it: nothing, for most."""
        self.wrappers: Listeners[Wrapper] = Listeners()
        """What changes the call of a handler: nothing, for most."""
        self.preloads: tuple[str, ...] = ()
        """Modules that the process of a handler imports before the handler's own."""

    def add(self, scope: Scope) -> Callable[[], None]:
        """Put `scope` around each handler from now on; returns a function that ends it."""
        return self.around.add(scope)

    def wrap(self, wrapper: Wrapper) -> Callable[[], None]:
        """Make the call that `wrapper` returns from now on; returns a function that ends it."""
        return self.wrappers.add(wrapper)

    def wrapped(self, call: Call, is_async: bool) -> Call:
        """Return the call to make in place of `call`."""
        for wrapper in self.wrappers.all:
            call = wrapper(call, is_async)
        return call

    def preload(self, module: str) -> None:
        """Let the processes of handlers import `module` before the handler's own."""
        self.preloads = (*self.preloads, module)

    def enter(self, job: Job) -> Entered:
        """Enter all of them for a handler that begins."""
        entered = Entered(HandlerRun(job), self._logger)
        for scope in self.around.all:
            entered.enter(scope)
        return entered


class Entered:
    """Scopes that were entered for one handler."""

    def __init__(self, run: HandlerRun, logger: logging.Logger) -> None:
        self._run = run
        self._logger = logger
        self._managers: list[AbstractContextManager[object]] = []

    def enter(self, scope: Scope) -> None:
        """Enter one more."""
        try:
            manager = scope(self._run)
            manager.__enter__()
        except BaseException:  # whatever it is, the handler runs
            self._logger.exception("a scope of %s failed as it was entered", _name(self._run.job))
        else:
            self._managers.append(manager)

    def leave(
        self,
        status: JobStatus | None,
        raised: BaseException | None,
        error: BaseException | None,
    ) -> None:
        """Leave them, the last one first; what one of them swallows is raised to the others too."""
        self._run.status, self._run.error = status, error
        trace = None if raised is None else raised.__traceback__
        for manager in reversed(self._managers):
            try:
                manager.__exit__(None if raised is None else type(raised), raised, trace)
            except BaseException as failure:
                if failure is raised:
                    continue  # as the function of a @contextmanager does that lets it through
                self._logger.exception("a scope of %s failed as it was left", _name(self._run.job))
        self._run.error = None  # its traceback holds all that the handler had


def _name(job: Job) -> str:
    return f"job {job.name!r} ({job.id})"


Stamp: TypeAlias = Callable[[Job], Mapping[str, Any] | None]
"""Gets a new job and returns fields of its model with their values; None: none."""
AnyJob = TypeVar("AnyJob", bound=BaseJob)


class Stamps:
    """The stamps of one processor. One that fails is logged and harms nothing."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._stamps: Listeners[Stamp] = Listeners()

    def __bool__(self) -> bool:
        return bool(self._stamps.all)

    def add(self, stamp: Stamp) -> Callable[[], None]:
        """Ask `stamp` for each job from now on; returns a function that ends it."""
        return self._stamps.add(stamp)

    def on(self, job: AnyJob) -> AnyJob:
        """Return the job with what all of them add; the job itself when that is nothing."""
        for stamp in self._stamps.all:
            try:
                added = stamp(job)  # type: ignore[arg-type]  # a job is one of the two models
            except BaseException:  # whatever it is, the job is stored
                self._logger.exception("a stamp failed on job %r (%s)", job.name, job.id)
                continue
            if added:
                plain = {name: _kept(value) for name, value in added.items()}
                job = make(type(job), {**job.__dict__, **plain})
        return job


def _kept(value: Any) -> Any:
    return storable(value) if isinstance(value, str) else value
