"""What integrations put around each handler: a span, a scope, a name for its log lines."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias

from job_processor.models import Job, JobStatus


@dataclass(slots=True)
class HandlerRun:
    """One call of a handler, as a scope sees it."""

    job: Job
    """The job as it was claimed."""
    status: JobStatus | None = None
    """What its end is written as, known when the scope is left (PENDING: it is tried again); None
    when it was taken away."""
    error: BaseException | None = None
    """What the handler raised, where that is why the attempt failed; known when it is left."""


Scope: TypeAlias = Callable[[HandlerRun], AbstractContextManager[object]]
Call: TypeAlias = Callable[[], Any]
Wrapper: TypeAlias = Callable[[Call, bool], Call]
"""Takes the call of a handler or of `on_job_exited`, and whether it is async; returns the one that
is made in its place, there where it runs: in its thread, or in the event loop. What that raises is
what the handler raised."""


class Scopes:
    """The scopes of one processor. One that fails is logged and harms nothing.

    They are entered and left in the context that the handler runs in, whose copy its thread has.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._scopes: tuple[Scope, ...] = ()
        self.has_any = False
        """False when nothing is around a handler, as for most."""
        self.wrappers: tuple[Wrapper, ...] = ()
        self.preloads: tuple[str, ...] = ()
        """Modules that the process of a handler imports before the handler's own."""

    def add(self, scope: Scope) -> Callable[[], None]:
        """Put `scope` around each handler from now on; returns a function that ends it."""
        self._scopes = (*self._scopes, scope)
        self.has_any = True

        def forget() -> None:
            self._scopes = tuple(other for other in self._scopes if other is not scope)
            self.has_any = bool(self._scopes)

        return forget

    def wrap(self, wrapper: Wrapper) -> Callable[[], None]:
        """Make the call that `wrapper` returns from now on; returns a function that ends it."""
        self.wrappers = (*self.wrappers, wrapper)

        def forget() -> None:
            self.wrappers = tuple(other for other in self.wrappers if other is not wrapper)

        return forget

    def wrapped(self, call: Call, is_async: bool) -> Call:
        """Return the call to make in place of `call`."""
        for wrapper in self.wrappers:
            call = wrapper(call, is_async)
        return call

    def preload(self, module: str) -> None:
        """Let the processes of handlers import `module` before the handler's own."""
        self.preloads = (*self.preloads, module)

    def enter(self, job: Job) -> Entered:
        """Enter all of them for a handler that begins."""
        entered = Entered(HandlerRun(job), self._logger)
        for scope in self._scopes:
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
