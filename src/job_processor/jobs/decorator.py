"""The decorators: from a handler to its definition and its handle."""

# What a type checker calls an overlap here it also tells apart: a parameter that gets the job, the
# signal or the context from one that is a field. tests/typing holds each case.
# mypy: disable-error-code="overload-overlap, overload-cannot-match"

from __future__ import annotations

from collections.abc import Callable
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    ParamSpec,
    TypeVar,
    Unpack,
    overload,
)

from job_processor.errors import DefinitionError
from job_processor.handlers.definitions import (
    CronOptions,
    DecoratedCron,
    DecoratedJob,
    JobOptions,
)
from job_processor.handlers.options import check_options
from job_processor.jobs.handle import (
    GivenHandle,
    JobHandle,
    PayloadHandle,
    PlainJobHandle,
)

if TYPE_CHECKING:
    from job_processor.jobs import shapes

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Decorator:
    """Defines a job by decorating its handler, with or without parentheses.

    Without a name it gets the function's. The function becomes a `JobHandle`, whose `schedule`
    takes its parameters; called, it is still the function. What gets the job, the signal, the
    context or the resources stands first, or behind the fields: then type checkers let these pass.

    add: keeps a definition under a name. processor: returns who schedules such jobs. prefix: stands
        before each name.
    """

    def __init__(
        self,
        add: Callable[[str, DecoratedJob], object],
        processor: Callable[[], Any],
        prefix: str = "",
    ) -> None:
        self._add = add
        self._processor = processor
        self._prefix = prefix

    @overload
    def __call__(
        self, handler: Callable[Concatenate[shapes.Anything, P], R], /
    ) -> JobHandle[..., Any]: ...
    @overload
    def __call__(self, handler: shapes.Payloads[T], /) -> PayloadHandle[T, Any]: ...
    @overload
    def __call__(self, handler: shapes.PayloadsContexts[T], /) -> PayloadHandle[T, Any]: ...
    @overload
    def __call__(self, handler: shapes.PayloadsJobs[T], /) -> PayloadHandle[T, Any]: ...
    @overload
    def __call__(self, handler: shapes.PayloadsSignal[T], /) -> PayloadHandle[T, Any]: ...
    @overload
    def __call__(self, handler: shapes.PayloadsResources[T], /) -> PayloadHandle[T, Any]: ...
    @overload
    def __call__(self, handler: shapes.PayloadsContextsSignal[T], /) -> PayloadHandle[T, Any]: ...
    @overload
    def __call__(self, handler: shapes.Payload[T, R], /) -> PayloadHandle[T, R]: ...
    @overload
    def __call__(self, handler: shapes.PayloadSignal[T, R], /) -> PayloadHandle[T, R]: ...
    @overload
    def __call__(self, handler: shapes.PayloadContext[T, R], /) -> PayloadHandle[T, R]: ...
    @overload
    def __call__(self, handler: shapes.PayloadJob[T, R], /) -> PayloadHandle[T, R]: ...
    @overload
    def __call__(self, handler: shapes.PayloadSignalContext[T, R], /) -> PayloadHandle[T, R]: ...
    @overload
    def __call__(self, handler: shapes.PayloadJobSignal[T, R], /) -> PayloadHandle[T, R]: ...
    @overload
    def __call__(self, handler: shapes.PayloadJobContext[T, R], /) -> PayloadHandle[T, R]: ...
    @overload
    def __call__(self, handler: shapes.PayloadJobSignalContext[T, R], /) -> PayloadHandle[T, R]: ...
    @overload
    def __call__(self, handler: shapes.PayloadResources[T, R], /) -> PayloadHandle[T, R]: ...
    @overload
    def __call__(self, handler: shapes.PayloadResourcesSignal[T, R], /) -> PayloadHandle[T, R]: ...
    @overload
    def __call__(self, handler: shapes.PayloadResourcesContext[T, R], /) -> PayloadHandle[T, R]: ...
    @overload
    def __call__(self, handler: shapes.PayloadResourcesJob[T, R], /) -> PayloadHandle[T, R]: ...
    @overload
    def __call__(self, handler: shapes.Defaults[R], /) -> JobHandle[..., R]: ...
    @overload
    def __call__(self, handler: Callable[[], R], /) -> PlainJobHandle[R]: ...
    @overload
    def __call__(self, handler: shapes.GivenDefaults[R], /) -> GivenHandle[..., R]: ...
    @overload
    def __call__(self, handler: Callable[[shapes.Given], R], /) -> PlainJobHandle[R]: ...
    @overload
    def __call__(self, handler: shapes.GivenDefaults2[R], /) -> GivenHandle[..., R]: ...
    @overload
    def __call__(
        self, handler: Callable[[shapes.Given, shapes.Given], R], /
    ) -> PlainJobHandle[R]: ...
    @overload
    def __call__(
        self, handler: Callable[[shapes.Given, shapes.Given, shapes.Given], R], /
    ) -> PlainJobHandle[R]: ...
    @overload
    def __call__(self, handler: shapes.ResourcesContext[P, R], /) -> GivenHandle[P, R]: ...
    @overload
    def __call__(self, handler: shapes.ContextResources[P, R], /) -> GivenHandle[P, R]: ...
    @overload
    def __call__(self, handler: shapes.ResourcesSignal[P, R], /) -> GivenHandle[P, R]: ...
    @overload
    def __call__(self, handler: shapes.SignalResources[P, R], /) -> GivenHandle[P, R]: ...
    @overload
    def __call__(self, handler: shapes.ResourcesJob[P, R], /) -> GivenHandle[P, R]: ...
    @overload
    def __call__(self, handler: shapes.JobResources[P, R], /) -> GivenHandle[P, R]: ...
    @overload
    def __call__(self, handler: shapes.KeywordResources[R], /) -> GivenHandle[..., R]: ...
    @overload
    def __call__(self, handler: shapes.KeywordResources2[R], /) -> GivenHandle[..., R]: ...
    @overload
    def __call__(self, handler: shapes.KeywordResources3[R], /) -> GivenHandle[..., R]: ...
    @overload
    def __call__(
        self, handler: Callable[Concatenate[shapes.Given, shapes.Given, shapes.Given, P], R], /
    ) -> GivenHandle[P, R]: ...
    @overload
    def __call__(
        self, handler: Callable[Concatenate[shapes.Given, shapes.Given, P], R], /
    ) -> GivenHandle[P, R]: ...
    @overload
    def __call__(
        self, handler: Callable[Concatenate[shapes.Given, P], R], /
    ) -> GivenHandle[P, R]: ...
    @overload
    def __call__(
        self,
        handler: Callable[[Any, shapes.Given], R]
        | Callable[[Any, Any, shapes.Given], R]
        | Callable[[Any, Any, Any, shapes.Given], R]
        | Callable[[Any, Any, Any, Any, shapes.Given], R],
        /,
    ) -> GivenHandle[..., R]: ...
    @overload
    def __call__(self, handler: shapes.KeywordContext[R], /) -> GivenHandle[..., R]: ...
    @overload
    def __call__(self, handler: shapes.KeywordContext2[R], /) -> GivenHandle[..., R]: ...
    @overload
    def __call__(self, handler: shapes.KeywordSignal[R], /) -> GivenHandle[..., R]: ...
    @overload
    def __call__(self, handler: shapes.KeywordSignal2[R], /) -> GivenHandle[..., R]: ...
    @overload
    def __call__(self, handler: shapes.Resources[P, R], /) -> GivenHandle[P, R]: ...
    @overload
    def __call__(self, handler: Callable[P, R], /) -> JobHandle[P, R]: ...
    @overload
    def __call__(self, name: str | None = None, **options: Unpack[JobOptions]) -> Decorator: ...
    def __call__(self, name: Any = None, **options: Any) -> Any:
        """Define the job; with a name or options, return what defines it."""
        if callable(name):
            return self._define(None, name, options)
        if name is not None and not isinstance(name, str):
            raise DefinitionError("name", name, "allowed is a str, or the handler itself")
        check_options("job", options, JobOptions.__annotations__)
        return lambda handler: self._define(name, handler, options)

    def _define(self, name: str | None, handler: Any, options: Any) -> JobHandle[..., Any]:
        function = handler.handler if isinstance(handler, JobHandle) else handler
        definition = DecoratedJob(function, **options)
        called = self._prefix + name_of(name, handler)
        self._add(called, definition)
        kinds = (called, function, self._processor)
        bound = definition.bound
        if bound.fields is not None:
            return JobHandle(*kinds, bound.fields)
        return PlainJobHandle(*kinds) if bound.payload_type is None else PayloadHandle(*kinds)


def decorated_cron(
    add: Callable[[str, DecoratedCron], object],
    cron_string: str | None,
    name: str | None,
    options: CronOptions,
    prefix: str = "",
) -> Callable[[F], F]:
    """Return what defines a cron by decorating its handler, which stays what it is.

    add: keeps a definition under a name. Raises DefinitionError.
    """
    given: Any = cron_string
    if callable(given):
        allowed = (
            'a cron needs to know when; write @processor.cron("0 2 * * *"), or '
            "@processor.cron(every=timedelta(minutes=5))"
        )
        raise DefinitionError("cron_string", given, allowed)
    check_options("cron", options, CronOptions.__annotations__)

    def define(handler: F) -> F:
        add(prefix + name_of(name, handler), DecoratedCron(cron_string, handler, **options))
        return handler

    return define


def name_of(name: str | None, handler: Callable[..., Any]) -> str:
    """Return the name of a job or cron: its own, or that of its function."""
    return name if name is not None else getattr(handler, "__name__", type(handler).__name__)
