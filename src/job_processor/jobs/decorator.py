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
    Never,
    ParamSpec,
    Protocol,
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
    from job_processor.handlers.abort import AbortSignal
    from job_processor.handlers.context import Context
    from job_processor.models import SimpleJob

    class Given(SimpleJob, AbortSignal, Context):  # type: ignore[misc]  # there is no such object
        """What a parameter takes that gets the job, the signal or the context, whichever it is."""

    class Anything:
        """What only a parameter takes that takes anything."""


P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
T_contra = TypeVar("T_contra", contravariant=True)


class _Payload(Protocol[T_contra, R_co]):
    def __call__(self, *, payload: T_contra) -> R_co: ...


class _PayloadSignal(Protocol[T_contra, R_co]):
    def __call__(self, *, payload: T_contra, signal: Any) -> R_co: ...


class _PayloadContext(Protocol[T_contra, R_co]):
    def __call__(self, *, payload: T_contra, context: Any) -> R_co: ...


class _PayloadJob(Protocol[T_contra, R_co]):
    def __call__(self, *, payload: T_contra, job: Any) -> R_co: ...


class _PayloadSignalContext(Protocol[T_contra, R_co]):
    def __call__(self, *, payload: T_contra, signal: Any, context: Any) -> R_co: ...


class _PayloadJobSignal(Protocol[T_contra, R_co]):
    def __call__(self, *, payload: T_contra, job: Any, signal: Any) -> R_co: ...


class _PayloadJobContext(Protocol[T_contra, R_co]):
    def __call__(self, *, payload: T_contra, job: Any, context: Any) -> R_co: ...


class _PayloadJobSignalContext(Protocol[T_contra, R_co]):
    def __call__(self, *, payload: T_contra, job: Any, signal: Any, context: Any) -> R_co: ...


class _KeywordContext(Protocol[R_co]):
    def __call__(self, field: Any, /, *, context: Given) -> R_co: ...


class _KeywordContext2(Protocol[R_co]):
    def __call__(self, field: Any, other: Any, /, *, context: Given) -> R_co: ...


class _KeywordSignal(Protocol[R_co]):
    def __call__(self, field: Any, /, *, signal: Given) -> R_co: ...


class _KeywordSignal2(Protocol[R_co]):
    def __call__(self, field: Any, other: Any, /, *, signal: Given) -> R_co: ...


class _PayloadResources(Protocol[T_contra, R_co]):
    def __call__(self, *, payload: T_contra, resources: Any) -> R_co: ...


class _PayloadResourcesSignal(Protocol[T_contra, R_co]):
    def __call__(self, *, payload: T_contra, resources: Any, signal: Any) -> R_co: ...


class _PayloadResourcesContext(Protocol[T_contra, R_co]):
    def __call__(self, *, payload: T_contra, resources: Any, context: Any) -> R_co: ...


class _PayloadResourcesJob(Protocol[T_contra, R_co]):
    def __call__(self, *, payload: T_contra, resources: Any, job: Any) -> R_co: ...


class _Defaults(Protocol[R_co]):
    """All of its fields have defaults: without one, it would take no argument."""

    @overload
    def __call__(self) -> R_co: ...
    @overload
    def __call__(self, field: Never, /) -> R_co: ...


class _GivenDefaults(Protocol[R_co]):
    @overload
    def __call__(self, given: Given, /) -> R_co: ...
    @overload
    def __call__(self, given: Given, field: Never, /) -> R_co: ...


class _GivenDefaults2(Protocol[R_co]):
    @overload
    def __call__(self, given: Given, other: Given, /) -> R_co: ...
    @overload
    def __call__(self, given: Given, other: Given, field: Never, /) -> R_co: ...


class _Resources(Protocol[P, R_co]):
    def __call__(self, resources: Any, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class _ResourcesContext(Protocol[P, R_co]):
    def __call__(
        self, resources: Any, context: Given, *args: P.args, **kwargs: P.kwargs
    ) -> R_co: ...


class _ContextResources(Protocol[P, R_co]):
    def __call__(
        self, context: Given, resources: Any, *args: P.args, **kwargs: P.kwargs
    ) -> R_co: ...


class _ResourcesSignal(Protocol[P, R_co]):
    def __call__(
        self, resources: Any, signal: Given, *args: P.args, **kwargs: P.kwargs
    ) -> R_co: ...


class _SignalResources(Protocol[P, R_co]):
    def __call__(
        self, signal: Given, resources: Any, *args: P.args, **kwargs: P.kwargs
    ) -> R_co: ...


class _ResourcesJob(Protocol[P, R_co]):
    def __call__(self, resources: Any, job: Given, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class _JobResources(Protocol[P, R_co]):
    def __call__(self, job: Given, resources: Any, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class _KeywordResources(Protocol[R_co]):
    def __call__(self, field: Any, /, *, resources: Any) -> R_co: ...


class _KeywordResources2(Protocol[R_co]):
    def __call__(self, field: Any, other: Any, /, *, resources: Any) -> R_co: ...


class _KeywordResources3(Protocol[R_co]):
    def __call__(self, field: Any, other: Any, third: Any, /, *, resources: Any) -> R_co: ...


class Decorator:
    """Defines a job by decorating its handler, with or without parentheses.

    Without a name it gets the function's. The function becomes a `JobHandle`, whose `schedule`
    takes its parameters; called, it is still the function. What gets the job, the signal or the
    context stands first, or behind the fields: then a type checker does not check these.

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
        self, handler: Callable[Concatenate[Anything, P], R], /
    ) -> JobHandle[..., Any]: ...
    @overload
    def __call__(self, handler: _Payload[T, R], /) -> PayloadHandle[T, R]: ...
    @overload
    def __call__(self, handler: _PayloadSignal[T, R], /) -> PayloadHandle[T, R]: ...
    @overload
    def __call__(self, handler: _PayloadContext[T, R], /) -> PayloadHandle[T, R]: ...
    @overload
    def __call__(self, handler: _PayloadJob[T, R], /) -> PayloadHandle[T, R]: ...
    @overload
    def __call__(self, handler: _PayloadSignalContext[T, R], /) -> PayloadHandle[T, R]: ...
    @overload
    def __call__(self, handler: _PayloadJobSignal[T, R], /) -> PayloadHandle[T, R]: ...
    @overload
    def __call__(self, handler: _PayloadJobContext[T, R], /) -> PayloadHandle[T, R]: ...
    @overload
    def __call__(self, handler: _PayloadJobSignalContext[T, R], /) -> PayloadHandle[T, R]: ...
    @overload
    def __call__(self, handler: _PayloadResources[T, R], /) -> PayloadHandle[T, R]: ...
    @overload
    def __call__(self, handler: _PayloadResourcesSignal[T, R], /) -> PayloadHandle[T, R]: ...
    @overload
    def __call__(self, handler: _PayloadResourcesContext[T, R], /) -> PayloadHandle[T, R]: ...
    @overload
    def __call__(self, handler: _PayloadResourcesJob[T, R], /) -> PayloadHandle[T, R]: ...
    @overload
    def __call__(self, handler: _Defaults[R], /) -> JobHandle[..., R]: ...
    @overload
    def __call__(self, handler: Callable[[], R], /) -> PlainJobHandle[R]: ...
    @overload
    def __call__(self, handler: _GivenDefaults[R], /) -> GivenHandle[..., R]: ...
    @overload
    def __call__(self, handler: Callable[[Given], R], /) -> PlainJobHandle[R]: ...
    @overload
    def __call__(self, handler: _GivenDefaults2[R], /) -> GivenHandle[..., R]: ...
    @overload
    def __call__(self, handler: Callable[[Given, Given], R], /) -> PlainJobHandle[R]: ...
    @overload
    def __call__(self, handler: Callable[[Given, Given, Given], R], /) -> PlainJobHandle[R]: ...
    @overload
    def __call__(self, handler: _ResourcesContext[P, R], /) -> GivenHandle[P, R]: ...
    @overload
    def __call__(self, handler: _ContextResources[P, R], /) -> GivenHandle[P, R]: ...
    @overload
    def __call__(self, handler: _ResourcesSignal[P, R], /) -> GivenHandle[P, R]: ...
    @overload
    def __call__(self, handler: _SignalResources[P, R], /) -> GivenHandle[P, R]: ...
    @overload
    def __call__(self, handler: _ResourcesJob[P, R], /) -> GivenHandle[P, R]: ...
    @overload
    def __call__(self, handler: _JobResources[P, R], /) -> GivenHandle[P, R]: ...
    @overload
    def __call__(self, handler: _KeywordResources[R], /) -> GivenHandle[..., R]: ...
    @overload
    def __call__(self, handler: _KeywordResources2[R], /) -> GivenHandle[..., R]: ...
    @overload
    def __call__(self, handler: _KeywordResources3[R], /) -> GivenHandle[..., R]: ...
    @overload
    def __call__(
        self, handler: Callable[Concatenate[Given, Given, Given, P], R], /
    ) -> GivenHandle[P, R]: ...
    @overload
    def __call__(
        self, handler: Callable[Concatenate[Given, Given, P], R], /
    ) -> GivenHandle[P, R]: ...
    @overload
    def __call__(self, handler: Callable[Concatenate[Given, P], R], /) -> GivenHandle[P, R]: ...
    @overload
    def __call__(
        self,
        handler: Callable[[Any, Given], R]
        | Callable[[Any, Any, Given], R]
        | Callable[[Any, Any, Any, Given], R]
        | Callable[[Any, Any, Any, Any, Given], R],
        /,
    ) -> GivenHandle[..., R]: ...
    @overload
    def __call__(self, handler: _KeywordContext[R], /) -> GivenHandle[..., R]: ...
    @overload
    def __call__(self, handler: _KeywordContext2[R], /) -> GivenHandle[..., R]: ...
    @overload
    def __call__(self, handler: _KeywordSignal[R], /) -> GivenHandle[..., R]: ...
    @overload
    def __call__(self, handler: _KeywordSignal2[R], /) -> GivenHandle[..., R]: ...
    @overload
    def __call__(self, handler: _Resources[P, R], /) -> GivenHandle[P, R]: ...
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
    cron_string: str,
    name: str | None,
    options: CronOptions,
    prefix: str = "",
) -> Callable[[F], F]:
    """Return what defines a cron by decorating its handler, which stays what it is.

    add: keeps a definition under a name. Raises DefinitionError.
    """
    if callable(cron_string):
        allowed = 'a cron needs to know when; write @processor.cron("0 2 * * *")'
        raise DefinitionError("cron_string", cron_string, allowed)
    check_options("cron", options, CronOptions.__annotations__)

    def define(handler: F) -> F:
        add(prefix + name_of(name, handler), DecoratedCron(cron_string, handler, **options))
        return handler

    return define


def name_of(name: str | None, handler: Callable[..., Any]) -> str:
    """Return the name of a job or cron: its own, or that of its function."""
    return name if name is not None else getattr(handler, "__name__", type(handler).__name__)
