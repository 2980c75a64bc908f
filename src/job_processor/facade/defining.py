"""Jobs and crons, defined by decorating their handlers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from job_processor.errors import InvalidArgumentError
from job_processor.facade.base import Base
from job_processor.handlers.definitions import CronDef, JobDef
from job_processor.jobs.handle import Define, JobHandle, PlainJobHandle
from job_processor.node.rules import check_definition

F = TypeVar("F", bound=Callable[..., Any])


class Defining(Base):
    """The decorators."""

    def job(self, name: str | None = None, **options: Any) -> Define:
        """Define a job by decorating its handler; `options` are those of `JobDef`.

        Without a name it gets the function's. The function becomes a `JobHandle`, whose `schedule`
        takes a payload of the class that the parameter `payload` is annotated with; called, it is
        still the function. Raises DefinitionError, and SharedDatabaseError as `setup` does.
        """

        def define(handler: Any) -> JobHandle[Any]:
            function = handler.handler if isinstance(handler, JobHandle) else handler
            definition, called = JobDef(function, **options), _name(name, handler)
            check_definition(self._store, called, definition)
            self.registry.add_job(called, definition)
            plain = definition.bound.payload_type is None
            return (PlainJobHandle if plain else JobHandle)(called, function, self)

        typed: Any = define
        return typed  # type: ignore[no-any-return]  # its overloads say what it returns

    def cron(self, cron_string: str, name: str | None = None, **options: Any) -> Callable[[F], F]:
        """Define a cron by decorating its handler; `options` are those of `CronDef`.

        Without a name it gets the function's. Raises DefinitionError, and SharedDatabaseError as
        `setup` does.
        """

        def define(handler: F) -> F:
            definition = CronDef(cron_string, handler, **options)
            called = _name(name, handler)
            check_definition(self._store, called, definition)
            self.registry.add_cron(called, definition)
            return handler

        return define


def _name(name: str | None, handler: Callable[..., Any]) -> str:
    if callable(name):
        raise InvalidArgumentError("name", name, "write @processor.job() with parentheses")
    return name if name is not None else getattr(handler, "__name__", type(handler).__name__)
