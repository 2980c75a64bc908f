"""The shapes of handlers that type checkers tell apart, by the names and types of parameters."""

# ruff: noqa: D101, D102  # a name and a signature say all there is of each

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Never, ParamSpec, Protocol, TypeVar, overload

if TYPE_CHECKING:
    from job_processor.handlers.abort import AbortSignal
    from job_processor.handlers.context import Context
    from job_processor.models import SimpleJob

    class Given(SimpleJob, AbortSignal, Context):  # type: ignore[misc]  # there is no such object
        """What a parameter takes that gets the job, the signal or the context, whichever it is."""

    class Anything:
        """What only a parameter takes that takes anything."""


P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Payloads(Protocol[T]):
    def __call__(self, *, payloads: list[T]) -> Any: ...


class PayloadsContexts(Protocol[T]):
    def __call__(self, *, payloads: list[T], contexts: Any) -> Any: ...


class PayloadsJobs(Protocol[T]):
    def __call__(self, *, payloads: list[T], jobs: Any) -> Any: ...


class PayloadsSignal(Protocol[T]):
    def __call__(self, *, payloads: list[T], signal: Any) -> Any: ...


class PayloadsResources(Protocol[T]):
    def __call__(self, *, payloads: list[T], resources: Any) -> Any: ...


class PayloadsContextsSignal(Protocol[T]):
    def __call__(self, *, payloads: list[T], contexts: Any, signal: Any) -> Any: ...


class Payload(Protocol[T_contra, R_co]):
    def __call__(self, *, payload: T_contra) -> R_co: ...


class PayloadSignal(Protocol[T_contra, R_co]):
    def __call__(self, *, payload: T_contra, signal: Any) -> R_co: ...


class PayloadContext(Protocol[T_contra, R_co]):
    def __call__(self, *, payload: T_contra, context: Any) -> R_co: ...


class PayloadJob(Protocol[T_contra, R_co]):
    def __call__(self, *, payload: T_contra, job: Any) -> R_co: ...


class PayloadSignalContext(Protocol[T_contra, R_co]):
    def __call__(self, *, payload: T_contra, signal: Any, context: Any) -> R_co: ...


class PayloadJobSignal(Protocol[T_contra, R_co]):
    def __call__(self, *, payload: T_contra, job: Any, signal: Any) -> R_co: ...


class PayloadJobContext(Protocol[T_contra, R_co]):
    def __call__(self, *, payload: T_contra, job: Any, context: Any) -> R_co: ...


class PayloadJobSignalContext(Protocol[T_contra, R_co]):
    def __call__(self, *, payload: T_contra, job: Any, signal: Any, context: Any) -> R_co: ...


class KeywordContext(Protocol[R_co]):
    def __call__(self, field: Any, /, *, context: Given) -> R_co: ...


class KeywordContext2(Protocol[R_co]):
    def __call__(self, field: Any, other: Any, /, *, context: Given) -> R_co: ...


class KeywordSignal(Protocol[R_co]):
    def __call__(self, field: Any, /, *, signal: Given) -> R_co: ...


class KeywordSignal2(Protocol[R_co]):
    def __call__(self, field: Any, other: Any, /, *, signal: Given) -> R_co: ...


class PayloadResources(Protocol[T_contra, R_co]):
    def __call__(self, *, payload: T_contra, resources: Any) -> R_co: ...


class PayloadResourcesSignal(Protocol[T_contra, R_co]):
    def __call__(self, *, payload: T_contra, resources: Any, signal: Any) -> R_co: ...


class PayloadResourcesContext(Protocol[T_contra, R_co]):
    def __call__(self, *, payload: T_contra, resources: Any, context: Any) -> R_co: ...


class PayloadResourcesJob(Protocol[T_contra, R_co]):
    def __call__(self, *, payload: T_contra, resources: Any, job: Any) -> R_co: ...


class Defaults(Protocol[R_co]):
    """All of its fields have defaults: without one, it would take no argument."""

    @overload
    def __call__(self) -> R_co: ...
    @overload
    def __call__(self, field: Never, /) -> R_co: ...


class GivenDefaults(Protocol[R_co]):
    @overload
    def __call__(self, given: Given, /) -> R_co: ...
    @overload
    def __call__(self, given: Given, field: Never, /) -> R_co: ...


class GivenDefaults2(Protocol[R_co]):
    @overload
    def __call__(self, given: Given, other: Given, /) -> R_co: ...
    @overload
    def __call__(self, given: Given, other: Given, field: Never, /) -> R_co: ...


class Resources(Protocol[P, R_co]):
    def __call__(self, resources: Any, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class ResourcesContext(Protocol[P, R_co]):
    def __call__(
        self, resources: Any, context: Given, *args: P.args, **kwargs: P.kwargs
    ) -> R_co: ...


class ContextResources(Protocol[P, R_co]):
    def __call__(
        self, context: Given, resources: Any, *args: P.args, **kwargs: P.kwargs
    ) -> R_co: ...


class ResourcesSignal(Protocol[P, R_co]):
    def __call__(
        self, resources: Any, signal: Given, *args: P.args, **kwargs: P.kwargs
    ) -> R_co: ...


class SignalResources(Protocol[P, R_co]):
    def __call__(
        self, signal: Given, resources: Any, *args: P.args, **kwargs: P.kwargs
    ) -> R_co: ...


class ResourcesJob(Protocol[P, R_co]):
    def __call__(self, resources: Any, job: Given, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class JobResources(Protocol[P, R_co]):
    def __call__(self, job: Given, resources: Any, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


class KeywordResources(Protocol[R_co]):
    def __call__(self, field: Any, /, *, resources: Any) -> R_co: ...


class KeywordResources2(Protocol[R_co]):
    def __call__(self, field: Any, other: Any, /, *, resources: Any) -> R_co: ...


class KeywordResources3(Protocol[R_co]):
    def __call__(self, field: Any, other: Any, third: Any, /, *, resources: Any) -> R_co: ...
